"""Hydra configs: found in the wheel or the checkout, composed with a user's overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mersynth import ranges
from mersynth.checks import listed, shown

if TYPE_CHECKING:
    from omegaconf import DictConfig


RANGES = "ranges.yaml"
"""What values may be; no config itself."""


PATHS = {"prepare": ("intensities",), "train": ("macro_store", "gan.init_from")}
"""Keys of paths, by config: what follows their first = is the value as it is, or in quotes."""


OPTIONAL = {
    "evaluate": (
        "model.training.epoch_clips",
        "model.training.gradient_clip",
        "model.training.sampler",
        "model.training.scheduler",
        "model.training.standardise",
    )
}
"""Keys, by config, that overrides may give though a config lacks them."""


class ConfigError(Exception):
    """There is no such config, or an override does not fit."""


def config_folder() -> Path:
    """The folder of the configs: ``mersynth/configs`` in a wheel, ``configs`` in a checkout."""
    packaged = Path(__file__).with_name("configs")
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "configs"


def load(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a config. Nothing is written and logging is left as it is.

    Args:
        name: file name in the config folder, without ``.yaml``.
        overrides: Hydra overrides, for instance ``["gan=large", "gan.image_size=256"]``. They
            cannot change a value's kind: number, whole number, or true/false. Paths
            (:data:`PATHS`) are taken as they are.

    Raises:
        ConfigError: if there is no config of that name, or an override is misspelt, names a key or
            a choice that does not exist, gives a value of another kind or outside its range
            (``configs/ranges.yaml``), or adds or removes a key (but for :data:`OPTIONAL`).

    Example:
        >>> load("prepare", ["image_size=256"]).image_size
        256
    """
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(overrides, str) or not all(isinstance(each, str) for each in overrides):
        raise ConfigError(f"overrides must be a list of texts such as 'a=1', got {overrides!r}")
    overrides, places = _apart(name, overrides)
    folder = config_folder()
    names = sorted(file.stem for file in folder.glob("*.yaml") if file.name != RANGES)
    if name not in names:
        raise ConfigError(f"there is no config {name!r} in {folder}; there are {', '.join(names)}")
    # Groups are chosen before values within them are set, as in Hydra itself.
    ordered = sorted(overrides, key=lambda override: "." in _key(override))
    for override in ordered:
        if override.startswith(("+", "~")):
            raise ConfigError(
                f"override {shown(override)}: keys can be changed, not added (+) or removed (~)"
            )
    values = [override for override in ordered if not _chooses_group(override, folder)]
    try:
        before = _composed(name, [override for override in ordered if override not in values])
        config = _with_values(name, before, ordered, values)
    # Hydra raises ValueError if the choice of a group is a number, TypeError if it is numbers.
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise _named_error(name, ordered) from error
    for key, place in places.items():
        OmegaConf.update(config, key, place)
    try:
        values_of = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:  # of ${NAME}
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"the overrides {listed(ordered)} cannot be resolved: {reason}"
        ) from error
    for override in values:
        _check_kind(override, before, config)
    if wrong := out_of_range(name, values_of):
        raise ConfigError(wrong)
    return config


def out_of_range(name: str, values: object) -> str | None:
    """What is wrong with the first value of a config that is out of its range, or None.

    Args:
        name: of the config.
        values: plain Python, all of them or some.
    """
    return ranges.out_of_range(name, values, config_folder() / RANGES)


def literal(key: str, value: object) -> str:
    """The override that sets a key of :data:`PATHS` to a path, whatever signs it holds."""
    text = str(value).replace('"', '\\"')
    return f'{key}="{text}"'


def _apart(name: str, overrides: Sequence[str]) -> tuple[list[str], dict[str, str | None]]:
    """Overrides without those of paths, and the paths by their keys."""
    others: list[str] = []
    places: dict[str, str | None] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or key not in PATHS.get(name, ()):
            others.append(override)
            continue
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            text = text[1:-1].replace(f"\\{text[0]}", text[0])
        elif text == "null":
            places[key] = None
            continue
        # Escaped, since OmegaConf would look up ${NAME}.
        places[key] = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return others, places


def _with_values(
    name: str, before: DictConfig, ordered: list[str], values: list[str]
) -> DictConfig:
    """A config with values set as Hydra sets them, but without composing it again."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    parsed = OverridesParser.create().parse_overrides(values)
    if any(override.is_sweep_override() or override.package for override in parsed):
        return _composed(name, ordered)  # raises the error for it
    config = deepcopy(before)
    for override in parsed:
        key = override.key_or_group
        added = key in OPTIONAL.get(name, ())
        OmegaConf.update(config, key, override.value(), merge=True, force_add=added)
    return config


def _composed(name: str, overrides: Sequence[str]) -> DictConfig:
    folder = config_folder().resolve()
    state = tuple((file, file.stat().st_mtime_ns) for file in sorted(folder.rglob("*.yaml")))
    optional = OPTIONAL.get(name, ())
    hydras = tuple(f"++{each}" if _key(each) in optional else each for each in overrides)
    return deepcopy(_compose_once(folder, state, name, hydras))


# Hydra takes 0.1 to 0.2 s for each composition, and preparing features asks for dozens.
@lru_cache(maxsize=256)
def _compose_once(
    folder: Path, _state: tuple[tuple[Path, int], ...], name: str, overrides: tuple[str, ...]
) -> DictConfig:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose(name, list(overrides))


def _named_error(name: str, ordered: list[str]) -> ConfigError:
    """The error that names the override at fault: the first that fails after those before it."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    config = _composed(name, ())
    for count, override in enumerate(ordered, start=1):
        try:
            config = _composed(name, ordered[:count])
        except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
            reason = _reason(error, override, config, OPTIONAL.get(name, ()))
            return ConfigError(f"override {shown(override)} of config {name!r}: {reason}")
    return ConfigError(f"the overrides of config {name!r} do not fit together: {ordered}")


def _chooses_group(override: str, folder: Path) -> bool:
    return (folder / _key(override).partition("@")[0]).is_dir()


def _key(override: str) -> str:
    return override.partition("=")[0]


def _reason(error: Exception, override: str, config: DictConfig, optional: Sequence[str]) -> str:
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf import DictConfig, OmegaConf

    if isinstance(error, TypeError):
        return "a group takes the name of one of its choices"
    if isinstance(error, OverrideParseException):
        return (
            "it is not KEY=VALUE, for instance image_size=256; a value that contains = or , needs "
            "quotation marks: 'KEY=\"VALUE\"'"
        )
    if isinstance(error, MissingConfigException):
        return f"there is no such choice; the choices are {', '.join(error.options or ())}"
    parent = _key(override)
    node: object = None
    while parent and not isinstance(node, DictConfig):
        parent = parent.rpartition(".")[0]
        node = OmegaConf.select(config, parent) if parent else config
    keys = {str(key) for key in node} if isinstance(node, DictConfig) else set()
    split = (key.rpartition(".") for key in optional)
    keys |= {last for folder, _, last in split if folder == parent}
    where = f"{parent!r} has" if parent else "it has"
    return f"{str(error).splitlines()[0].rstrip('.')}; {where} the keys {', '.join(sorted(keys))}"


def _check_kind(override: str, before: DictConfig, after: DictConfig) -> None:
    from omegaconf import ListConfig, OmegaConf

    old, new = (OmegaConf.select(config, _key(override)) for config in (before, after))
    if isinstance(old, ListConfig):
        right = isinstance(new, ListConfig) and not any(isinstance(v, ListConfig) for v in new)
        if not right:
            raise ConfigError(
                f"override {shown(override)}: the value must be a list such as [1,2], got {new!r}"
            )
    wanted = _kind(old)
    allowed = (wanted, "a whole number") if wanted == "a number" else (wanted,)
    if wanted and _kind(new) not in allowed:
        raise ConfigError(
            f"override {shown(override)}: the value must be {wanted}, got {shown(new)}"
        )


def _kind(value: object) -> str | None:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    return "a number" if isinstance(value, float) else None
