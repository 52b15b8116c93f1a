"""The layout ``npz``: one file of arrays for recognizers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mersynth import logs
from mersynth.clips import Clip
from mersynth.devices import choose_device
from mersynth.export.images import lacks_apex
from mersynth.export.job import ExportError, ExportSettings, Job, Written, provenance
from mersynth.face.template import AUTO, Framing
from mersynth.features.kinds import warn_still
from mersynth.motion.flow import magnitude, optical_flow, optical_strain
from mersynth.motion.luma import luma
from mersynth.motion.maps import cut, scaled
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float

_BATCH = 16  # clips at once; a pair's flow does not depend on the rest of the batch
_OF_ONSET = {"onset", "onset_grey"}  # features that need no apex
_PROVENANCE = ("face", "template", "generator", "unseen")


@dataclass(frozen=True, slots=True)
class Feature:
    """Channels of x that are computed from a clip's onset and apex frame.

    Attributes:
        compute: function of onset and apex, (B, 3, H, W) in [0, 1], and the flow between them,
            (B, 2, H, W), that gives (B, C, H, W).
        channels: names of the C channels.
        unit: unit of the values.
        moves: whether it needs the flow.
    """

    compute: Callable[[Tensor, Tensor, Tensor], Tensor]
    channels: tuple[str, ...]
    unit: str
    moves: bool = False


def _rgb(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{colour}" for colour in "rgb")


_DISPLACEMENT = "pixels of the store's frames, onset to apex"
_SCALED = {
    "minmax": "share of the clip's own range, 0 to 1",
    "standardise": "standard deviations of the clip from its mean",
}
_CHANGE = "apex minus onset, in [-1, 1]"
FEATURES: Mapping[str, Feature] = {
    "u": Feature(lambda o, a, f: f[:, :1], ("u",), f"{_DISPLACEMENT}, to the right", True),
    "v": Feature(lambda o, a, f: f[:, 1:], ("v",), f"{_DISPLACEMENT}, down", True),
    "strain": Feature(
        lambda o, a, f: optical_strain(f), ("strain",), "optical strain, pixels per pixel", True
    ),
    "magnitude": Feature(lambda o, a, f: magnitude(f), ("magnitude",), _DISPLACEMENT, True),
    "onset": Feature(lambda o, a, f: o, _rgb("onset"), "RGB in [0, 1]"),
    "apex": Feature(lambda o, a, f: a, _rgb("apex"), "RGB in [0, 1]"),
    "difference": Feature(lambda o, a, f: a - o, _rgb("difference"), f"RGB, {_CHANGE}"),
    "onset_grey": Feature(lambda o, a, f: luma(o), ("onset_grey",), "luma in [0, 1]"),
    "apex_grey": Feature(lambda o, a, f: luma(a), ("apex_grey",), "luma in [0, 1]"),
    "difference_grey": Feature(
        lambda o, a, f: luma(a - o), ("difference_grey",), f"luma, {_CHANGE}"
    ),
}
"""The features that x can hold, by name."""


def npz_fault(clip: Clip, settings: ExportSettings) -> str | None:
    """Why a clip's features cannot be computed; None if they can."""
    if set(settings.features) <= _OF_ONSET:
        return None
    return lacks_apex(clip)


def write_npz(job: Job, file: Path) -> Written:
    """Write one compressed ``.npz`` for ``numpy.load``, without pickles.

    ============  ===========  =====================================================================
    name          shape        what
    ============  ===========  =====================================================================
    x             N, C, H, W   float32, the features' channels one after another
    y             N            int64, index in ``classes``
    subject       N            the store's own name of the subject, unique within ``dataset``
    dataset       N            the clip's source
    clip          N            name of the clip, unique within its subject
    classes       K            names of the classes
    channels      C            names of the channels, for instance ``u`` or ``apex_r``
    units         C            their units
    scale         none         ``none``, ``minmax`` or ``standardise``
    framing       3            eyes, apart, aspect (:class:`mersynth.face.template.Framing`) of x;
                               absent if that of the store is not known
    face          N            id of the subject whose face is shown
    template      N            id of the clip whose AU curve is followed; empty for a real clip
    generator     N            SHA-256 of the generator; empty for a real clip
    unseen        N            ids of the subjects it never saw, joined by ``;``
    card          none         the export's card, JSON
    ============  ===========  =====================================================================

    Flow is computed on the store's frames; each channel is then cut to the framing, reduced to
    ``size`` by averaging areas, and scaled. Without a scale, u, v and magnitude remain
    displacements in pixels of the *store's* frames; divide them by ``card["image_size"] / size``
    for pixels of x, if it shows all of the frames.

    Raises:
        ExportError: if ``size`` is above that of the frames or of the part shown, the framing shows
            more than the frames, or the frames' own is not known.
        ValueError: if a feature is unknown or named twice, an option of the flow is wrong, or a
            scale is wanted for pictures.
    """
    with computed_features(job, file.parent) as (x, facts):
        _write_arrays(job, x, facts, file)
    return Written([], facts)


@contextmanager
def computed_features(job: Job, folder: Path) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """The features of every clip, as x of :func:`write_npz`, in a temporary file.

    Args:
        job: the export.
        folder: where the file may be.

    Yields:
        x, (N, C, H, W) float32, and its facts for the card.

    Raises:
        ExportError, ValueError: see :func:`write_npz`.
    """
    settings = job.settings
    features = _chosen(settings.features)
    if settings.scale != "none" and (
        still := [name for name in settings.features if not FEATURES[name].moves]
    ):
        raise ValueError(
            f"scale={settings.scale} is for features of motion, not for {', '.join(still)}; leave "
            "scale at none, or export these to a file of their own"
        )
    _check_size(job)
    if not set(settings.features) <= _OF_ONSET:
        warn_still(job.store, str(job.store.path))
    channels = sum(len(feature.channels) for feature in features)
    shape = len(job.store), channels, settings.size, settings.size
    # x may be larger than the memory: it is put into a file first.
    with TemporaryFile(dir=folder) as stored:
        _compute_all(job, features, stored)
        yield np.memmap(stored, np.float32, "r", shape=shape), _facts(job, features)


def _compute_all(job: Job, features: Sequence[Feature], file: IO[bytes]) -> None:
    """Write the features of every clip to a file, one clip after another."""
    settings, count = job.settings, len(job.store)
    device = choose_device(settings.device)
    with logs.progress("computing features", total=count, unit="clips") as advance:
        for first in range(0, count, _BATCH):
            rows = range(first, min(first + _BATCH, count))
            values = _compute([job.store[i] for i in rows], features, settings.flow, device)
            small = _shrink(_shown(values, job), settings.size)
            file.write(scaled(small, settings.scale).astype(np.float32).tobytes())
            advance(len(rows))
    file.flush()


def _facts(job: Job, features: Sequence[Feature]) -> dict[str, Any]:
    settings, framing = job.settings, _framing(job)
    units = {
        channel: _SCALED.get(settings.scale, feature.unit)
        for feature in features
        for channel in feature.channels
    }
    return {
        "channels": units,
        "image_size": job.store.image_size,
        "size": settings.size,
        "framing": framing and framing.as_dict(),
        "resized": "by averaging areas, after the flow was computed",
        "flow": dict(settings.flow) if any(feature.moves for feature in features) else None,
        "device": choose_device(settings.device).type,
    }


def _write_arrays(job: Job, x: np.ndarray, facts: Mapping[str, Any], file: Path) -> None:
    """Write the ``.npz`` file."""
    units, framing = facts["channels"], _framing(job)
    table = list(provenance(job))
    arrays: dict[str, Any] = {
        "x": x,
        "y": np.asarray(job.data.labels, np.int64),
        "classes": np.asarray(job.data.classes),
        "channels": np.asarray(list(units)),
        "units": np.asarray(list(units.values())),
        "scale": np.asarray(job.settings.scale),
        "card": np.asarray(json.dumps({**job.card, **facts}, sort_keys=True)),
    }
    if framing is not None:
        arrays["framing"] = np.asarray(list(framing.as_dict().values()))
    for name in ("subject", "dataset", "clip", *_PROVENANCE):
        arrays[name] = np.asarray([row[name] for row in table], str)
    with file.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _framing(job: Job) -> Framing | None:
    """The framing of x; None if it is not known."""
    own, choice = job.store.framing, job.settings.framing
    if choice == AUTO:
        return own
    if own is None:
        raise ExportError(
            f"how faces lie in the frames of {job.store.path} is not known, so that they cannot be "
            "cut to a framing; prepare it aligned (geometry=align), or leave framing at auto"
        )
    return choice.framing(own)


def _shown(values: np.ndarray, job: Job) -> np.ndarray:
    """The part of maps (B, C, H, W) of the store's frames that x shows."""
    own, wanted = job.store.framing, _framing(job)
    if own is None or wanted is None or wanted == own:
        return values
    try:
        return cut(values, own, wanted)
    except ValueError as error:
        raise ExportError(f"{job.store.path}: {error}") from error


def _check_size(job: Job) -> None:
    side, size = job.store.image_size, job.settings.size
    shown = min(_shown(np.empty((side, side), bool), job).shape)
    if size > shown:
        of = f"frames' {side} pixels"
        needed = size
        if shown < side:
            of = f"{shown} pixels, of {side}, that the framing shows"
            needed = math.ceil((size + 1) * side / shown)
        raise ExportError(
            f"size {size} is larger than the {of}, which would invent detail; prepare the store "
            f"with --image-size {needed}"
        )


def _chosen(names: Sequence[str]) -> list[Feature]:
    known = ", ".join(FEATURES)
    for name in names:
        if name not in FEATURES:
            raise ValueError(f"no feature {name!r}; known are {known}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"features must name some of {known}, each once, got {list(names)}")
    return [FEATURES[name] for name in names]


def _compute(
    clips: Sequence[StoredClip],
    features: Sequence[Feature],
    flow_options: Mapping[str, Any],
    device: torch.device,
) -> np.ndarray:
    """(B, C, H, W) float32 at the size of the frames."""
    onset = to_float(np.stack([c.frames[0] for c in clips])).to(device)
    # A clip without apex only gets here if no feature needs the apex.
    apex = to_float(np.stack([c.frames[c.clip.apex_index or 0] for c in clips])).to(device)
    flow = onset.new_zeros(len(onset), 2, *onset.shape[2:])
    if any(feature.moves for feature in features):
        flow = optical_flow(onset, apex, **flow_options)
    parts = [feature.compute(onset, apex, flow) for feature in features]
    return torch.cat(parts, dim=1).float().cpu().numpy()


def _shrink(values: np.ndarray, size: int) -> np.ndarray:
    """(B, C, H, W) to (B, C, size, size), each channel by averaging areas."""
    if values.shape[-1] == size:
        return values
    small = [
        cv2.resize(channel, (size, size), interpolation=cv2.INTER_AREA)
        for channel in values.reshape(-1, *values.shape[2:])
    ]
    return np.stack(small).reshape(*values.shape[:2], size, size)
