"""What several commands make of their options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import typer

from mersynth import config, paths


def one_store(source: str | None, store: Path | None) -> Path:
    """The store that ``--source`` or ``--store`` names.

    Raises:
        typer.BadParameter: unless exactly one of them is given.
    """
    if (source is None) == (store is None):
        raise typer.BadParameter("give either --source or --store")
    return store if store is not None else paths.store_path(str(source))


def config_options(
    name: str, overrides: list[str] | None, flags: Mapping[str, Any]
) -> dict[str, Any]:
    """A command's config as keyword arguments; a flag that was given wins over an override.

    Args:
        name: the config's name.
        overrides: config values to change.
        flags: by the config value that each of them sets; None or False: it was not given.

    Raises:
        ConfigError: if a value does not fit.
    """
    from omegaconf import OmegaConf

    from mersynth.face.template import FramingChoice

    # Compared by identity: 0 equals False, but is a value, though a wrong one.
    given = [
        f"{k}={value}" for k, value in flags.items() if value is not None and value is not False
    ]
    options = OmegaConf.to_container(config.load(name, [*(overrides or []), *given]), resolve=True)
    options = cast(dict[str, Any], options)
    if "framing" in options:
        options["framing"] = FramingChoice(**options["framing"])
    return options
