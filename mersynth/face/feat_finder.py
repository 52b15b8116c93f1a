"""Face detection by py-feat's RetinaFace, with 68 landmarks if a network for them is available."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mersynth.devices import choose_device
from mersynth.face import weights
from mersynth.face.face import Face
from mersynth.face.feat_models import import_feat, load_reader, loading

MIN_SCORE = 0.5
"""Least probability of a face: py-feat's own threshold."""

_SAME_FACE = 0.4  # intersection over union, also py-feat's
_MEAN = (123.0, 117.0, 104.0)  # RGB, what the network was trained on


class RetinaFaceBoxes:
    """RetinaFace (Deng et al. 2020): boxes and five points.

    py-feat's own class drops the points, and switches gradients off in the whole process.

    Args:
        path: ``model.safetensors`` of ``py-feat/retinaface_r34``.
        device: where it computes.

    Raises:
        ValueError: if the file cannot be used.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        import_feat()
        from feat.face_detectors.Retinaface.Retinaface_model import RetinaFace
        from safetensors.torch import load_file

        self._network = RetinaFace()
        with loading(path):
            self._network.load_state_dict(load_file(path))
        self._network.eval().to(device)
        self._mean = torch.tensor(_MEAN, device=device)[:, None, None]
        self._priors: dict[tuple[int, ...], Tensor] = {}

    @torch.inference_mode()
    def find(self, frames: Tensor) -> list[list[tuple[np.ndarray, np.ndarray, float]]]:
        """Find the faces of frames of one size.

        Args:
            frames: (B, 3, H, W) uint8, RGB, on the network's device.

        Returns:
            For each frame its faces, the largest first: box (4,), points (5, 2), both in pixels,
            and score.
        """
        from feat.face_detectors.Retinaface.Retinaface_model import decode_boxes, decode_landmarks

        height, width = frames.shape[-2:]
        priors, variance = self._priors_of(height, width, frames.device), self._network.cfg
        boxes, classes, points = self._network(frames.float() - self._mean)
        size = torch.tensor([width, height], device=frames.device)
        boxes = decode_boxes(boxes, priors, variance["variance"]) * size.repeat(2)
        points = decode_landmarks(points, priors, variance["variance"]) * size.repeat(5)
        return [_strongest(*frame) for frame in zip(boxes, points, classes[..., 1], strict=True)]

    def _priors_of(self, height: int, width: int, device: torch.device) -> Tensor:
        from feat.face_detectors.Retinaface.Retinaface_model import generate_priors

        key = height, width
        if key not in self._priors:
            cfg = self._network.cfg
            self._priors[key] = generate_priors(cfg["min_sizes"], cfg["steps"], key, device=device)
        return self._priors[key]


def _strongest(
    boxes: Tensor, points: Tensor, scores: Tensor
) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """One box per face, the largest first."""
    from torchvision.ops import nms

    sure = scores >= MIN_SCORE
    boxes, points, scores = boxes[sure], points[sure], scores[sure]
    kept = nms(boxes, scores, _SAME_FACE)
    boxes, points, scores = boxes[kept].cpu(), points[kept].cpu(), scores[kept].cpu()
    order = (boxes[:, 2:] - boxes[:, :2]).prod(1).argsort(descending=True, stable=True)
    return [(boxes[i].numpy(), points[i].reshape(5, 2).numpy(), float(scores[i])) for i in order]


class FeatFinder:
    """RetinaFace's faces, the largest with 68 landmarks by the v2 backend, else by v1.

    Args:
        device: where it computes; ``"auto"`` is the CUDA device where there is one.

    Attributes:
        gives: what it finds of a face, in words.

    Raises:
        WeightsMissingError: if RetinaFace's weights are missing.
        ValueError: if a file of weights cannot be used.
    """

    def __init__(self, device: str | torch.device = "auto") -> None:
        self._device = choose_device(device)
        (path,) = weights.require([weights.RETINAFACE], "faces by py-feat's RetinaFace")
        self._retinaface = RetinaFaceBoxes(path, self._device)
        backends = (b for b, files in weights.BACKENDS.items() if all(map(weights.locate, files)))
        backend = next(backends, None)
        self._reader = load_reader(backend, self._device) if backend else None
        self.gives = f"68 landmarks by the {backend} backend" if backend else "boxes and 5 points"

    def find(self, image: np.ndarray, exact: int | None = 1) -> list[Face]:
        """The faces of an image, the largest first.

        Args:
            image: (H, W, 3) uint8.
            exact: how many of them, from the largest, have landmarks; None: all.
        """
        frame = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        frame = frame.to(self._device)
        faces: list[Face] = []
        for box, points, score in self._retinaface.find(frame)[0]:
            landmarks = None
            if self._reader is not None and (exact is None or len(faces) < exact):
                boxes = torch.from_numpy(box)[None].to(self._device)
                landmarks = self._reader.read(frame, boxes)[1][0]
            left, top, right, bottom = box.tolist()
            faces.append(Face((left, top, right, bottom), landmarks, points, score, "feat"))
        return faces
