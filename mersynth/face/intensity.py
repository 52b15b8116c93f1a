"""AU intensities by py-feat: of every frame, and their difference from the onset.

py-feat gives the probability that an AU is shown; the project uses it as the intensity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TYPE_CHECKING

import numpy as np

from mersynth.devices import choose_device
from mersynth.face import weights
from mersynth.face.weights import Backend as Backend
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import NUM_LANDMARKS

if TYPE_CHECKING:
    import torch

    from mersynth.face.feat_finder import RetinaFaceBoxes


@dataclass(frozen=True, eq=False, slots=True)
class Measurement:
    """Measurements of the frames of a clip; NaN where no face was found.

    Attributes:
        intensities: (T, 20) float32 in [0, 1], columns as ``CONDITION_AUS``; or (T, 20, 2) from a
            reader that distinguishes sides, the last axis as ``SIDES``.
        landmarks: (T, 68, 2) float32, iBUG's landmarks, x, y in pixels of the frames; None from a
            reader that gives none.
    """

    intensities: np.ndarray
    landmarks: np.ndarray | None


def choose_backend(backend: str = "auto") -> Backend | None:
    """The backend to use; ``auto`` takes v2, else v1, else none, by the weights on this machine.

    Args:
        backend: ``"auto"``, ``"v2"``, ``"v1"`` or ``"none"``.

    Returns:
        The backend, or None: no intensities are measured.

    Raises:
        ValueError: if the name is unknown.
        WeightsMissingError: if a backend was asked for by name and its weights are missing.
    """
    if backend == "none":
        return None
    for name, files in weights.BACKENDS.items():
        if backend == name:
            weights.require(files, f"AU intensities ({name} backend)")
            return name
        if backend == "auto" and all(map(weights.locate, files)):
            return name
    if backend == "auto":
        return None
    raise ValueError(
        f"backend must be 'auto', 'none' or one of {', '.join(weights.BACKENDS)}, got {backend!r}"
    )


class IntensityMeter:
    """Measures AU intensities; loads py-feat's networks once, for many clips.

    Args:
        backend: ``"v2"``, the multitask network of py-feat's ``Detectorv2``; or ``"v1"``, the trees
            of its ``Detectorv1``.
        batch_size: frames read at once.
        device: where to compute; ``"auto"`` is the CUDA device where there is one.

    Raises:
        ValueError: if the backend is unknown, the batch size not positive, or a file of weights
            cannot be used.
        WeightsMissingError: if the backend's weights are missing.
    """

    def __init__(
        self,
        backend: Backend = "v2",
        batch_size: int = 16,
        device: str | torch.device = "auto",
    ) -> None:
        from mersynth.face.feat_models import load_reader

        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}")
        self.backend = backend
        self.batch_size = batch_size
        self.device = choose_device(device)
        self._reader = load_reader(backend, self.device)
        self._retinaface: RetinaFaceBoxes | None = None

    def measure(
        self, frames: np.ndarray | Iterable[np.ndarray], boxes: np.ndarray | None = None
    ) -> Measurement:
        """Measure the frames of a clip, a batch at a time.

        Args:
            frames: (T, H, W, 3) uint8, RGB, which may be memory-mapped; or any iterable of frames
                (H, W, 3) of one size, which are read in batches.
            boxes: (4,) left, top, right, bottom of the face in all frames, in pixels, or (T, 4) one
                box per frame, NaN where there is no face. In aligned frames it is
                :func:`mersynth.face.template.face_box`, in a cropped release roughly the whole
                frame, ``(0, 0, W - 1, H - 1)``. None: RetinaFace searches every frame, and the
                largest face counts.

        Raises:
            ValueError: if a frame has another type, shape or size, or the number of boxes differs
                from that of frames.
            WeightsMissingError: if a search is needed and RetinaFace's weights are missing.
        """
        if boxes is None:
            self._load_retinaface()
        intensities = [np.zeros((0, len(CONDITION_AUS)), np.float32)]
        landmarks = [np.zeros((0, NUM_LANDMARKS, 2), np.float32)]
        for batch, places in _batches(frames, boxes, self.batch_size):
            read = self._read(batch, places)
            intensities.append(read[0])
            landmarks.append(read[1])
        return Measurement(np.concatenate(intensities), np.concatenate(landmarks))

    def _read(self, batch: np.ndarray, boxes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        import torch

        frames = torch.from_numpy(batch).permute(0, 3, 1, 2).to(self.device)
        if boxes is None:
            assert self._retinaface is not None  # measure() has loaded it
            found = self._retinaface.find(frames)
            boxes = np.array([faces[0][0] if faces else [np.nan] * 4 for faces in found])
        intensities = np.full((len(batch), len(CONDITION_AUS)), np.nan, np.float32)
        landmarks = np.full((len(batch), NUM_LANDMARKS, 2), np.nan, np.float32)
        seen = np.isfinite(boxes).all(1)
        if seen.any():
            places = torch.from_numpy(boxes[seen].astype(np.float32)).to(self.device)
            shown = frames[torch.from_numpy(seen).to(self.device)]
            intensities[seen], landmarks[seen] = self._reader.read(shown, places)
        return intensities, landmarks

    def _load_retinaface(self) -> None:
        if self._retinaface is None:
            from mersynth.face.feat_finder import RetinaFaceBoxes

            wanted = [weights.RETINAFACE]
            (path,) = weights.require(wanted, "AU intensities where no boxes are given")
            self._retinaface = RetinaFaceBoxes(path, self.device)


def measure_intensities(
    frames: np.ndarray | Iterable[np.ndarray],
    backend: Backend = "v2",
    batch_size: int = 16,
    boxes: np.ndarray | None = None,
    device: str | torch.device = "auto",
) -> np.ndarray:
    """AU intensities of one clip; for many clips use one :class:`IntensityMeter`.

    Args:
        frames: see :meth:`IntensityMeter.measure`.
        backend: see :class:`IntensityMeter`.
        batch_size: frames read at once.
        boxes: see :meth:`IntensityMeter.measure`.
        device: where to compute.

    Returns:
        (T, 20) float32 in [0, 1], columns as ``CONDITION_AUS``; NaN where no face was found.

    Raises:
        ValueError: see :class:`IntensityMeter` and its ``measure``.
        WeightsMissingError: if weights are missing.
    """
    return IntensityMeter(backend, batch_size, device).measure(frames, boxes).intensities


def difference_to_onset(intensities: np.ndarray) -> np.ndarray:
    """Difference of every frame's intensities from those of the onset, the first frame.

    A face's resting shape is measured as AUs (low brows as AU 4); the difference removes it.

    Args:
        intensities: (T, 20) in [0, 1].

    Returns:
        (T, 20) float32 in [-1, 1]; NaN where the frame or the onset was not measured.
    """
    intensities = np.asarray(intensities, np.float32)
    return intensities - intensities[:1]


def _batches(
    frames: Iterable[np.ndarray], boxes: np.ndarray | None, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Frames (B, H, W, 3) and their boxes (B, 4), a batch at a time."""
    rows = _box_rows(boxes)
    stream = iter(frames)
    size: tuple[int, ...] | None = None
    while batch := list(islice(stream, batch_size)):
        for frame in batch:
            size = size or frame.shape
            if frame.dtype != np.uint8 or len(size) != 3 or size[2] != 3 or frame.shape != size:
                raise ValueError(
                    "frames must all be (H, W, 3) uint8 of one size, got "
                    f"{frame.shape} {frame.dtype} after {size}"
                )
        places = None if rows is None else np.array(list(islice(rows, len(batch))))
        if places is not None and len(places) != len(batch):
            raise ValueError("there are fewer boxes than frames; give one box, or one per frame")
        yield np.stack(batch), places
    if boxes is not None and boxes.ndim == 2 and rows is not None and next(rows, None) is not None:
        raise ValueError("there are more boxes than frames; give one box, or one per frame")


def _box_rows(boxes: np.ndarray | None) -> Iterator[np.ndarray] | None:
    if boxes is None:
        return None
    if boxes.shape == (4,):
        return repeat(boxes)
    if boxes.ndim == 2 and boxes.shape[1] == 4:
        return iter(boxes)
    raise ValueError(f"boxes must have shape (4,) or (T, 4), got {boxes.shape}")
