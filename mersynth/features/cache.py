"""Features that recognizers read instead of frames, computed once and kept in the store.

They are in the store's folder::

    my_store/
        features/
            flow-3f2a91bc.npy     (N, 2, H, W) float32, one row per clip
            flow-3f2a91bc.json    its options, its SHA-256, and the checksum of its store
            .verified.json        which files matched their checksums (mersynth.store.verdict)

The name ends in a checksum of the options (and of MagNet's weights, if used): other options make
another file, the same options find the existing one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from mersynth import __version__, config, logs
from mersynth.checks import check_choice
from mersynth.disk.files import checksum_of, sha256_of_file, whole_file, write_json_atomically
from mersynth.disk.json_files import read_json
from mersynth.disk.lock import hold
from mersynth.disk.space import mapped, new_array
from mersynth.features.kinds import FEATURES, REMEDIES, warn_still
from mersynth.motion.flow import METHODS
from mersynth.motion.magnify.checkpoint import SHIPPED
from mersynth.store.clip_store import ClipStore
from mersynth.store.verdict import DamagedError, check_files, hash_files, remember

logger = logging.getLogger(__name__)

_BATCH = 16  # clips at once
_BY_FLOW = ("flow", "strain", "flow_hsv", "on_off")  # features whose method is one of flow


class FeatureError(Exception):
    """A feature is unknown, was not computed, or its file is damaged."""


def complete_options(wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Features with all their options: those not given come from ``configs/prepare.yaml``.

    Args:
        wanted: names of :data:`FEATURES`, each with some of its options.

    Raises:
        FeatureError: if a feature is unknown.
        ValueError: if an option is unknown, or of another kind than its default.
    """
    unknown = sorted(set(wanted) - set(FEATURES))
    if unknown:
        raise FeatureError(f"no feature {', '.join(unknown)}; known: {', '.join(FEATURES)}")
    return {name: _completed(name, given) for name, given in wanted.items()}


def _completed(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    from omegaconf import OmegaConf

    def defaults(*overrides: str) -> dict[str, Any]:
        chosen = config.load("prepare", overrides).feature[name]
        return cast(dict[str, Any], OmegaConf.to_container(chosen))

    options = defaults()
    method = given.get("method", options.get("method"))
    if name in _BY_FLOW and method != options["method"]:
        check_choice(f"{name}: method", method, METHODS)
        options = defaults(f"flow@feature.{name}={method}")
    for key, value in given.items():
        if key not in options:
            allowed = ", ".join(options) or "none"
            raise ValueError(f"{name} has no option {key!r}; it has {allowed}")
        kind = type(options[key])
        if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind | int):
            raise ValueError(f"{name}: {key} must be {kind.__name__}, got {value!r}")
        options[key] = kind(value)
    return options


def compute_features(
    store: ClipStore,
    wanted: Mapping[str, Mapping[str, Any]],
    device: str | torch.device = "cpu",
) -> dict[str, Path]:
    """Compute those features of a store that its folder does not have yet.

    If another process is computing a feature, this waits for it instead of computing it again.

    Args:
        store: a complete store, not a filtered view.
        wanted: names of :data:`FEATURES`, each with the options that differ from the defaults in
            ``configs/prepare.yaml``.
        device: where to compute.

    Returns:
        The files of the features, by name.

    Raises:
        FeatureError: if a feature is unknown, no clip has what it needs, or the store is a view.
        ValueError: if an option is wrong.
        NoSpaceError: if the disk has no room for a feature.
    """
    complete = complete_options(wanted)
    if len(store) != len(ClipStore.open(store.path)):
        raise FeatureError(
            f"features are computed for a complete store, not for a part of {store.path}"
        )
    files = {}
    for name, options in complete.items():
        file = files[name] = _file(store, name, options)
        # Checked before the lock is taken as well: a store with all features may be read-only.
        if not _is_there(file, store):
            with hold(file, wait=True):
                if not _is_there(file, store):
                    _compute(store, name, options, file, torch.device(device))
                    continue
        logger.info("%s: exists already, %s", name, file)
    return files


def load_feature(store: ClipStore, name: str, **options: Any) -> np.ndarray:
    """A feature of a store, or of a filtered view of it.

    Args:
        store: the store.
        name: one of :data:`FEATURES`.
        options: those that select one of several versions of the feature; not needed if there is
            only one.

    Returns:
        (N, ...) float32, one row per clip of ``store`` (for ``intensity_change`` one row per frame,
        clip after clip); NaN where a clip has no apex and the feature needs one. Memory-mapped and
        read-only if ``store`` is not a view.

    Raises:
        FeatureError: if there is no such feature (names the command to compute it), or more than
            one (names the options that differ), or if its file is damaged.
    """
    if name not in FEATURES:
        raise FeatureError(f"no feature {name!r}; known: {', '.join(FEATURES)}")
    versions = []
    for file in sorted((store.path / "features").glob(f"{name}-*.npy")):
        card = _read_card(file, store)
        if card is not None and options.items() <= card["options"].items():
            versions.append((file, card))
    if not versions:
        asked = f" with {options}" if options else ""
        raise FeatureError(
            f"{store.path} has no feature {name!r}{asked}; `mersynth prepare --store {store.path} "
            f"--features {name}` computes it"
        )
    exact = [version for version in versions if options and version[1]["options"] == options]
    versions = exact or versions
    if len(versions) > 1:
        found = "; ".join(str(card["options"]) for _, card in versions)
        raise FeatureError(f"{store.path} has {name!r} in several versions, choose one by: {found}")
    file, card = versions[0]
    try:
        seals = check_files(file.parent, {file.name: card["sha256"]})
        values = mapped(file)
    except (DamagedError, ValueError) as error:
        raise FeatureError(f"{error}; remove {file} and compute it again") from error
    if seals:
        remember(file.parent, seals)
    if list(values.shape) != card["shape"]:
        raise FeatureError(f"{file} is damaged (shape {values.shape}); remove and compute it again")
    if len(card["clips"]) == len(store):
        return values
    if FEATURES[name].of == "clip":
        place = {clip: row for row, clip in enumerate(card["clips"])}
        return values[[place[clip.id] for clip in store.clips]]
    rows = [
        np.arange(start, start + clip.num_frames)
        for start, clip in zip(store.starts, store.clips, strict=True)
    ]
    return values[np.concatenate(rows)] if rows else values[:0]


@torch.no_grad()
def _compute(
    store: ClipStore, name: str, options: Mapping[str, Any], file: Path, device: torch.device
) -> None:
    feature = FEATURES[name]
    usable = [i for i, item in enumerate(store) if feature.fits(item)]
    if len(usable) < len(store):
        missing = len(store) - len(usable)
        lacking = f"{name}: {missing} of {len(store)} clips have no {feature.needs}"
        if not usable:
            raise FeatureError(f"{lacking}; {REMEDIES[feature.needs]}")
        logger.warning("%s and get NaN", lacking)
    if feature.needs == "apex":
        warn_still((store[i] for i in usable), name)
    flow = _known_flow(store, options) if feature.of_flow is not None else None
    file.parent.mkdir(exist_ok=True)
    array: np.memmap | None = None
    with (
        whole_file(file) as partial,
        logs.progress(f"computing {name}", total=len(usable), unit="clips") as advance,
    ):
        for first in range(0, len(usable), _BATCH):
            chosen = usable[first : first + _BATCH]
            if feature.of_flow is not None and flow is not None:
                values = feature.of_flow(torch.from_numpy(flow[chosen]).to(device))
            else:
                values = feature.compute([store[i] for i in chosen], device, **options)
            if array is None:
                count = len(store) if feature.of == "clip" else len(store.frames)
                array = new_array(partial, np.float32, (count, *values.shape[1:]))
                array[:] = np.nan
            rows = chosen if feature.of == "clip" else _frame_rows(store, chosen)
            array[rows] = values.float().cpu().numpy()
            advance(len(chosen))
        assert array is not None
        array.flush()
    seals = hash_files(file.parent, [file.name])
    card = {
        "name": name,
        "options": dict(options),
        "store": store.checksum,
        "clips": [clip.id for clip in store.clips],
        "shape": list(array.shape),
        "bytes": file.stat().st_size,
        "sha256": seals[file.name]["sha256"],
        "device": str(device),
        "magnet": _weights(name, options),
        "row": feature.shape,
        "versions": {"mersynth": __version__, "torch": torch.__version__},
    }
    write_json_atomically(file.with_suffix(".json"), card)
    remember(file.parent, seals)


def _known_flow(store: ClipStore, options: Mapping[str, Any]) -> np.ndarray | None:
    """The store's flow with these options, if it was computed."""
    try:
        return load_feature(store, "flow", **options)
    except FeatureError:
        return None


def _frame_rows(store: ClipStore, chosen: Sequence[int]) -> np.ndarray:
    return np.concatenate(
        [np.arange(store.starts[i], store.starts[i] + store.clips[i].num_frames) for i in chosen]
    )


def _file(store: ClipStore, name: str, options: Mapping[str, Any]) -> Path:
    made_by = [dict(options), _weights(name, options)]
    return store.path / "features" / f"{name}-{checksum_of(made_by)[:8]}.npy"


def _weights(name: str, options: Mapping[str, Any]) -> str | None:
    """SHA-256 of the shipped MagNet's weights, where the feature uses them."""
    magnified = name == "magnified" and options["method"] == "magnet"
    if not magnified and not (name == "on_off" and options["alpha"] != 1):
        return None
    return sha256_of_file(SHIPPED / "magnet.safetensors")


def _is_there(file: Path, store: ClipStore) -> bool:
    return _read_card(file, store) is not None


def _read_card(file: Path, store: ClipStore) -> dict[str, Any] | None:
    """The card of a feature's file; None if it is incomplete or belongs to another store."""
    try:
        card: dict[str, Any] = read_json(file.with_suffix(".json"))
        fits = card["store"] == store.checksum and card["bytes"] == file.stat().st_size
        return card if fits and {"options", "clips", "shape", "sha256"} <= set(card) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
