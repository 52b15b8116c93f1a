"""``mersynth quality``: all measures of a synthetic store, in one folder."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from mersynth import __version__, paths
from mersynth.devices import choose_device
from mersynth.disk.files import real_path, whole_folder, write_json_atomically
from mersynth.disk.lock import hold
from mersynth.face.template import HEAD
from mersynth.facs.action_units import SIDES
from mersynth.facs.emotions import label
from mersynth.phantom.version import version_of, warn_versions
from mersynth.quality.au_control import measure_control
from mersynth.quality.balance import balance
from mersynth.quality.choose_reader import choose_reader
from mersynth.quality.distribution import measure_distribution
from mersynth.quality.extractor import Extractor, choose_extractor
from mersynth.quality.identity import find_faces, measure_identity
from mersynth.quality.motion import find_motion, measure_motion
from mersynth.quality.outside import measure_outside
from mersynth.quality.page import write_page
from mersynth.quality.sample import NotMeasuredError, Sample, take_sample
from mersynth.quality.separability import measure_separability
from mersynth.quality.settings import load_settings
from mersynth.quality.worst import find_worst
from mersynth.store.clip_store import ClipStore, StoreError, require_real, warn_framings
from mersynth.store.loading import own_scheme
from mersynth.store.names import NameChoice, reconcile_stores

logger = logging.getLogger(__name__)

# Arrays by clip, which the page draws, but which are not written to the file of figures.
_DRAWN_ONLY = ("per_clip", "drawn", "read", "pairs")


def measure_quality(
    *,
    real: Path,
    synthetic: Path,
    out: Path | None = None,
    names: NameChoice | None = None,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> Path:
    """Measure a synthetic store against a real one, into ``quality.json`` and ``quality.html``.

    Figures that cannot be measured on these stores are None, with the reason. The same stores,
    settings and seed give the same bytes on one machine's CPU; a CUDA device rounds differently in
    each run.

    Args:
        real: a store of real clips.
        synthetic: the store to measure; it may also be a second store of real clips, to see which
            figures real clips reach.
        out: new folder; default ``./quality/<name of the synthetic store>``.
        names: how to treat names that look alike, such as the subjects ``006`` and ``6``:
            ``"same"``, ``"distinct"``, or None to refuse them (:mod:`mersynth.store.names`).
        seed: of samples, trainings and splits.
        overrides: Hydra overrides of ``configs/quality.yaml``.

    Returns:
        The folder.

    Raises:
        StoreError: if a store is missing or damaged, the real one holds synthetic clips, both are
            the same, the frames differ in size, or ``out`` exists.
        NamesError: if names in the stores look alike, and ``names`` is None.
        InUseError: if another process is writing ``out``.
        ConfigError, ValueError: if a setting is wrong, or a store has too few clips that can be
            compared.
    """
    settings = load_settings(overrides)
    target = paths.quality_path(Path(synthetic).name, out)
    with hold(target):
        if target.exists():
            raise StoreError(f"{target} exists already; remove it or choose another --out")
        _measure(real, synthetic, target, settings, names, seed)
    logger.info("see %s", target / "quality.html")
    return target


def _measure(
    real: Path,
    synthetic: Path,
    target: Path,
    settings: dict[str, Any],
    names: NameChoice | None,
    seed: int,
) -> None:
    device = choose_device(settings["device"])
    (first, second), _ = reconcile_stores(open_stores(real, synthetic), names)
    stores = first, second
    scheme = settings["scheme"] or own_scheme(stores[1])
    options = scheme, settings["max_clips"], settings["moments"], settings["max_size"], seed
    samples = take_sample(stores[0], *options), take_sample(stores[1], *options)
    about = _Work(stores, samples, settings, device, seed, scheme)
    measures = about.measure()
    worst = find_worst(measures, samples[1], settings["worst"])
    result = {
        "mersynth": __version__,
        "seed": seed,
        "scheme": scheme,
        "names": names,
        "settings": settings,
        "real": _facts(stores[0], samples[0]),
        "synthetic": _facts(stores[1], samples[1]),
        "reader": about.reader_facts,
        "extractor": about.extractor_facts,
        "measures": {
            name: {k: v for k, v in found.items() if k not in _DRAWN_ONLY}
            for name, found in measures.items()
        },
        "worst": [
            {"measure": one["title"], "clips": [_without_row(c) for c in one["clips"]]}
            for one in worst
        ],
    }
    result = plain(result)
    with whole_folder(target) as partial:
        write_json_atomically(partial / "quality.json", result)
        write_page(partial / "quality.html", result, measures, worst, *samples)


def open_stores(real: Path, synthetic: Path) -> tuple[ClipStore, ClipStore]:
    """Both stores, verified and comparable.

    Raises:
        StoreError: see :func:`measure_quality`.
    """
    first, second = require_real(ClipStore.open(real, verify=True)), ClipStore.open(synthetic, True)
    if real_path(real) == real_path(synthetic):
        raise StoreError(f"{synthetic} is the real store itself; give the store to measure")
    if first.image_size != second.image_size:
        raise StoreError(
            f"the frames of {real} have {first.image_size} pixels, those of {synthetic} "
            f"{second.image_size}: prepare or generate one of them again at the other's size, for "
            f"instance `mersynth prepare --source SOURCE --image-size {second.image_size}`"
        )
    warn_framings(
        {str(store.path): store.framing for store in (first, second)},
        "The measures may only show this difference: prepare or generate one of them again",
    )
    warn_versions(
        {str(store.path): version_of(store) for store in (first, second)},
        "The measures may only show this difference: render or generate one of them again",
    )
    if not any(clip.is_synthetic for clip in second.clips):
        logger.info("%s holds real clips: real is compared with real", synthetic)
    if first.checksum == second.checksum:
        logger.warning("both stores hold the same clips: the figures are those of an exact copy")
    return first, second


class _Work:
    """The measures of one call; intermediate results that several need are computed once."""

    def __init__(
        self,
        stores: tuple[ClipStore, ClipStore],
        samples: tuple[Sample, Sample],
        settings: dict[str, Any],
        device: torch.device,
        seed: int,
        scheme: str,
    ) -> None:
        self.stores, (self.real, self.made) = stores, samples
        self.settings, self.device, self.seed, self.scheme = settings, device, seed, scheme
        self.reader_facts: dict[str, Any] = {}
        self.extractor_facts: dict[str, Any] = {}

    def measure(self) -> dict[str, dict[str, Any]]:
        """Every measure by name: its figures, or the reason why there are none."""
        onsets = _onsets(self.stores[0], self.made.frames.shape[2])
        owners = np.array([clip.subject_id for clip in self.stores[0].clips])
        faces = find_faces(onsets, owners, self.made)
        # A real clip starts from its own onset, not from the face that it resembles most.
        animated = (faces >= 0) & np.array([clip.is_synthetic for clip in self.made.clips])
        own_faces = np.where(animated[:, None, None, None], onsets[faces], 0)
        motion = self.settings["motion"]
        framings = [store.framing or HEAD for store in self.stores]
        ours = find_motion(self.real, motion, self.device, framing=framings[0])
        theirs = find_motion(self.made, motion, self.device, own_faces, framings[1])
        return {
            "au_control": _attempt(self._control),
            **self._by_features(onsets, faces),
            "outside": _attempt(
                lambda: measure_outside(self.real, self.made, self.settings["outside"])
            ),
            "motion": measure_motion(self.real, self.made, ours, theirs, self.seed),
            "separability": _attempt(
                lambda: measure_separability(
                    self.real,
                    self.made,
                    ours.small,
                    theirs.small,
                    self.settings["separability"],
                    self.seed,
                )
            ),
            "balance": {
                name: _balance(store, self.scheme)
                for name, store in zip(("real", "synthetic"), self.stores, strict=True)
            },
        }

    def _control(self) -> dict[str, Any]:
        taken = frozenset((*self.stores[0].subjects, *self.stores[1].subjects))
        self.reader_facts = {"name": None, "how": None}
        if np.isnan(self.made.moved).all():  # checked before minutes of training
            raise NotMeasuredError("the synthetic store holds no AU intensities")
        asked = [sample.moved[np.isfinite(sample.moved)] for sample in (self.real, self.made)]
        reader = choose_reader(
            self.stores[0],
            self.real,
            taken,
            max((float(values.max()) for values in asked if len(values)), default=1.0),
            self.settings["reader"],
            self.device,
            self.seed,
        )
        self.reader_facts = {
            "name": reader.name,
            "how": reader.how,
            "sides": reader.sides,
            "side_errors": reader.side_errors and dict(zip(SIDES, reader.side_errors, strict=True)),
        }
        return measure_control(self.real, self.made, reader, self.settings["control"])

    def _by_features(self, onsets: np.ndarray, faces: np.ndarray) -> dict[str, dict[str, Any]]:
        try:
            extractor = choose_extractor(
                self.real, self.settings["extractor"], self.device, self.seed
            )
        except NotMeasuredError as error:
            self.extractor_facts = {"name": None, "reason": str(error)}
            return {name: {"reason": str(error)} for name in ("identity", "distribution")}
        facts = ("name", "task", "accuracy", "chance")
        self.extractor_facts = {name: getattr(extractor, name) for name in facts}
        return {
            "identity": _attempt(
                lambda: measure_identity(self.real, self.made, onsets, faces, extractor, self.seed)
            ),
            "distribution": _attempt(lambda: self._distribution(extractor, faces)),
        }

    def _distribution(self, extractor: Extractor, faces: np.ndarray) -> dict[str, Any]:
        place = {clip.id: row for row, clip in enumerate(self.real.clips)}
        ids = [clip.id for clip in self.stores[0].clips]
        face_rows = np.array([place.get(ids[face], -1) if face >= 0 else -1 for face in faces])
        return measure_distribution(
            extractor.features(self.real.apex_frames),
            extractor.features(self.real.frames[:, 0]),
            extractor.features(self.made.apex_frames),
            self.real.subjects,
            face_rows,
            self.settings["distribution"],
            self.seed,
        )


def _attempt(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return measure()
    except NotMeasuredError as error:
        logger.warning("not measured: %s", error)
        return {"reason": str(error)}


def _onsets(store: ClipStore, size: int) -> np.ndarray:
    """(M, size, size, 3) uint8, the first frame of every clip."""
    frames = np.stack([np.array(store.frames[start]) for start in store.starts])
    if frames.shape[1] == size:
        return frames
    return np.stack([cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA) for f in frames])


def _balance(store: ClipStore, scheme: str) -> dict[str, Any]:
    named = [(clip, label(clip.source, clip.emotion, scheme)) for clip in store.clips]
    known = [(clip, name) for clip, name in named if name is not None]
    return balance([clip for clip, _ in known], [name for _, name in known])


def _facts(store: ClipStore, sample: Sample) -> dict[str, Any]:
    generators = sorted({clip.generator for clip in store.clips if clip.generator is not None})
    return {
        "path": str(store.path),
        "checksum": store.checksum,
        "source": store.meta["header"]["source"],
        "clips": len(store),
        "subjects": len(store.subjects),
        "measured_clips": len(sample),
        "image_size": store.image_size,
        "synthetic": bool(generators),
        "generators": generators,
    }


def _without_row(clip: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in clip.items() if name != "row"}


def plain(value: Any) -> Any:
    """A value for JSON: floats with six decimals, non-finite ones as None."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) + 0.0 if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
