"""py-feat's networks, loaded from files on this machine, without py-feat's download and tables.

py-feat is imported inside functions, because its import takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mersynth.checks import check_choice
from mersynth.face import weights
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import NUM_LANDMARKS

AU_NAMES = tuple(f"AU{number:02d}" for number in CONDITION_AUS)

# The types in py-feat's file of classifiers; loading any other type could run code that the author
# of the file put there.
_TRUSTED_PACKAGES = ("feat.", "numpy.", "scipy.", "sklearn.", "xgboost.")
_TRUSTED_TYPES = ("builtins.bytearray", "collections.OrderedDict", "collections.defaultdict")


class FaceReader(Protocol):
    """Measures AU intensities and landmarks of faces whose boxes are known."""

    def read(self, frames: Tensor, boxes: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Measure one face per frame.

        Args:
            frames: (B, 3, H, W) uint8, RGB, on the reader's device.
            boxes: (B, 4) float32, left, top, right, bottom in pixels, on the reader's device.

        Returns:
            (B, 20) float32 AU intensities in [0, 1], columns as ``CONDITION_AUS``; and (B, 68, 2)
            float32 iBUG's landmarks, x, y in pixels of the frames.
        """
        ...


def import_feat() -> None:
    """Import py-feat without changing the environment.

    Its import sets ``OMP_NUM_THREADS`` to 1 if unset, for this process and all its children.

    Raises:
        ValueError: if it cannot be imported; its torchcodec may be of another torch.
    """
    variable = "OMP_NUM_THREADS"
    unset = variable not in os.environ
    if unset:
        os.environ[variable] = str(torch.get_num_threads())
    try:
        import feat  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"py-feat cannot be imported with torch {torch.__version__} ({reason}): it needs "
            "torchcodec, whose version must be the one for this torch; `pip install -U torch "
            "torchvision torchcodec` brings them together"
        ) from error
    finally:
        if unset:
            del os.environ[variable]


@contextmanager
def loading(*paths: Path) -> Iterator[None]:
    """Name the files that were being loaded when an error is raised.

    Raises:
        ValueError: instead of the original error.
    """
    try:
        yield
    # Damaged archives, pickles, headers and tensors raise different errors.
    except Exception as error:
        names = " or ".join(map(str, paths))
        raise ValueError(
            f"{names} cannot be used ({error}); get it again, `mersynth doctor` says how"
        ) from error


def load_reader(backend: weights.Backend, device: torch.device) -> FaceReader:
    """The networks of a backend.

    Raises:
        ValueError: if the backend is unknown, or a file of weights cannot be used.
        WeightsMissingError: if its weights are missing.
    """
    check_choice("backend", backend, weights.BACKENDS)
    paths = weights.require(weights.BACKENDS[backend], f"AU intensities ({backend} backend)")
    import_feat()
    with loading(*paths):
        if backend == "v2":
            return MultitaskReader(paths[0], device)
        return ClassicReader(paths[0], paths[1], device)


class MultitaskReader:
    """The v2 backend: the multitask network of py-feat's ``Detectorv2``.

    Args:
        path: ``face_multitask_v28.safetensors``, or another checkpoint of that network.
        device: where it computes.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        from feat.multitask.inference import MultitaskModel

        # In bfloat16, py-feat's own choice on CUDA, an AU is off by up to 0.01, which is as much as
        # some micro-expressions show.
        self._model = MultitaskModel(device, str(path), amp=False)
        missing = [name for name in AU_NAMES if name not in self._model.au_names]
        if missing:
            raise ValueError(f"it does not measure {', '.join(missing)}")
        self._columns = [self._model.au_names.index(name) for name in AU_NAMES]

    @torch.inference_mode()
    def read(self, frames: Tensor, boxes: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Measure one face per frame; see :class:`FaceReader`."""
        from feat.multitask.inference import CHIP_SIZE, EXPAND_BBOX
        from feat.utils.image_operations import extract_face_square_pad_torch

        chips, squares = extract_face_square_pad_torch(
            frames.float() / 255,
            boxes,
            face_size=CHIP_SIZE,
            expand_bbox=EXPAND_BBOX,
            frame_idx=torch.arange(len(frames), device=frames.device),
        )
        output = self._model(chips)
        squares = squares.cpu().numpy()[:, None]  # (B, 1, 3): left, top, side
        landmarks = squares[..., :2] + output.landmarks68 * squares[..., 2:]
        return _checked(output.au[:, self._columns]), landmarks.astype(np.float32)


class ClassicReader:
    """The v1 backend: landmarks, HOG and gradient-boosted trees, as in py-feat's ``Detectorv1``.

    Args:
        landmark_path: ``mobilefacenet_model_best.pth.tar``.
        au_path: ``xgb_au_classifier_v2.skops``.
        device: where the landmark network and HOG compute; the trees run on the CPU.
    """

    def __init__(self, landmark_path: Path, au_path: Path, device: torch.device) -> None:
        from feat.au_detectors.StatLearning.SL_test import XGBClassifier
        from feat.landmark_detectors.mobilefacenet_test import MobileFaceNet
        from feat.utils.image_operations import HOGLayer

        self._landmarks = MobileFaceNet([_CROP, _CROP], 2 * NUM_LANDMARKS, device=device)
        state = torch.load(landmark_path, map_location=device, weights_only=True)["state_dict"]
        self._landmarks.load_state_dict(state)
        self._landmarks.eval().to(device)
        self._trees = XGBClassifier()
        self._trees.load_weights(**_tree_parts(au_path))
        self._hog = HOGLayer(
            orientations=8,
            pixels_per_cell=8,
            cells_per_block=2,
            block_normalization="L2-Hys",
            feature_vector=True,
            device=device,
        ).to(device)

    @torch.inference_mode()
    def read(self, frames: Tensor, boxes: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Measure one face per frame; see :class:`FaceReader`."""
        from feat.utils.face_mask import extract_hog_features_batched
        from feat.utils.image_operations import (
            extract_face_from_bbox_torch,
            inverse_transform_landmarks_torch,
        )

        crops, crop_boxes = extract_face_from_bbox_torch(
            frames.float() / 255,
            boxes,
            face_size=_CROP,
            frame_idx=torch.arange(len(frames), device=frames.device),
        )
        shares = self._landmarks(crops)[0]  # (B, 136): x, y, x, y ... as shares of the crop
        features, aligned = extract_hog_features_batched(crops, shares, hog_layer=self._hog)
        intensities = self._trees.detect_au(frame=features, landmarks=[aligned])
        landmarks = inverse_transform_landmarks_torch(shares, crop_boxes)
        return _checked(intensities), landmarks.reshape(-1, NUM_LANDMARKS, 2).float().cpu().numpy()


_CROP = 112  # pixels of the v1 networks' input


def _tree_parts(path: Path) -> dict[str, object]:
    """The parts of py-feat's classifier file, if it holds only models."""
    from skops.io import get_untrusted_types, load

    unknown = get_untrusted_types(file=path)
    foreign = [
        name
        for name in unknown
        if not name.startswith(_TRUSTED_PACKAGES) and name not in _TRUSTED_TYPES
    ]
    if foreign:
        raise ValueError(f"it holds more than classifiers: {', '.join(foreign)}")
    loaded = load(path, trusted=unknown)
    regions = ("upper", "lower", "full")
    parts = [f"{part}_{region}" for part in ("scaler", "pca_model") for region in regions]
    return {part: getattr(loaded, part) for part in [*parts, "classifiers"]}


def _checked(intensities: np.ndarray) -> np.ndarray:
    """Probabilities as float32, clipped where rounding exceeded 0 or 1."""
    if intensities.shape[1] != len(CONDITION_AUS):
        raise ValueError(f"py-feat gave {intensities.shape[1]} AUs, not {len(CONDITION_AUS)}")
    return np.clip(intensities, 0, 1).astype(np.float32)
