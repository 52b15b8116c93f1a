"""The AU warp: micro-expressions on any neutral face by the AUs' displacement fields.

Nothing is trained. The 68 landmarks determine which place of the average face a pixel shows (a
smooth thin-plate map); the phantom's displacement fields (:mod:`mersynth.augment.au_fields`)
determine where that place goes; and every pixel of the result is sampled from where it came.

Faces are assumed to look into the camera, like the aligned faces of a store; roll is followed, yaw
and pitch are not. Nothing is invented: light and folds do not change (unlike in the phantom's own
frames); parting lips show the line between them, stretched and darkened, instead of teeth; a
widening eye is stretched. The ratio of an eye's opening to that between its landmarks is the
phantom's mean; a face's own lids differ from that by about a tenth of their opening.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mersynth.augment.au_motion import Fit, Motion
from mersynth.augment.base import check_unit_range
from mersynth.face.template import HEAD, Framing
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.facs.landmarks import NUM_LANDMARKS

_FAR_OUT = 0.5  # share of a side by which a landmark of a tightly cropped face may lie outside


def au_flow(landmarks: Tensor | Fit | None, curves: Tensor, size: tuple[int, int]) -> Tensor:
    """The optical flow of AUs on a neutral face.

    Args:
        landmarks: (B, 68, 2) x, y in pixels, iBUG's points of the neutral face, the first pixel's
            centre at 0; None if the faces are aligned and framed as
            :data:`mersynth.face.template.HEAD`; or what :func:`fit_faces` made of them.
        curves: (B, T, 20) AU intensities in [0, 1], columns as ``CONDITION_AUS``; or
            (B, T, 20, 2) for the subject's left and right side. 0 is the face unchanged.
        size: height and width of the image, in pixels.

    Returns:
        (B, T, 2, H, W) x, y in pixels, from the neutral face to frame t. Eyeballs do not move.

    Raises:
        ValueError: if a shape is wrong, an intensity is NaN or outside [0, 1], or landmarks are
            NaN, lie in one place, or lie further outside the image than half of its side.

    Example:
        >>> smile = torch.zeros(1, 1, 20)
        >>> smile[..., CONDITION_AUS.index(12)] = 0.3
        >>> flow = au_flow(None, smile, (64, 64))
        >>> flow.shape, bool(flow[0, 0, 1, 44, 23] < -0.5)  # the mouth's corner rises
        (torch.Size([1, 1, 2, 64, 64]), True)
    """
    sides = _check_curves(curves)
    fit = _fitted(landmarks, len(sides), size, sides.device)
    return Motion.of(fit, sides).flow().unflatten(0, sides.shape[:2])


def au_warp(face: Tensor, landmarks: Tensor | Fit | None, curves: Tensor) -> Tensor:
    """Animate neutral faces by AU curves.

    Args:
        face: (B, 3, H, W) in [0, 1].
        landmarks: as for :func:`au_flow`.
        curves: as for :func:`au_flow`.

    Returns:
        (B, T, 3, H, W) in [0, 1]; a frame whose AUs are all 0 is the face itself.

    Raises:
        ValueError: as :func:`au_flow`; or if faces have another shape, are not float, or leave
            [0, 1].

    Example:
        >>> au_warp(torch.rand(2, 3, 64, 64), None, torch.rand(2, 8, 20) / 5).shape
        torch.Size([2, 8, 3, 64, 64])
    """
    sides = _check_curves(curves)
    if face.dim() != 4 or face.shape[:2] != (len(sides), 3) or not face.is_floating_point():
        raise ValueError(
            f"face must be float (B, 3, H, W) with B = {len(sides)} as in the curves, got "
            f"{tuple(face.shape)} {face.dtype}"
        )
    check_unit_range("au_warp", face)
    size = (face.shape[-2], face.shape[-1])
    fit = _fitted(landmarks, len(sides), size, face.device)
    motion = Motion.of(fit, sides)
    frames = motion.draw(face.float().repeat_interleave(sides.shape[1], 0))
    return frames.to(face.dtype).unflatten(0, sides.shape[:2])


def fit_faces(landmarks: Tensor, size: tuple[int, int], device: torch.device) -> Fit:
    """What :func:`au_flow` and :func:`au_warp` do anew for the same faces whenever they are called.

    Args:
        landmarks: (B, 68, 2), as for :func:`au_flow`.
        size: height and width of the images, in pixels.
        device: of the faces.

    Raises:
        ValueError: as :func:`au_flow` for landmarks.
    """
    return Fit.of(_check_landmarks(landmarks, len(landmarks), size), size, device)


class AUWarp(nn.Module):
    """:func:`au_warp` as a module; it has no parameters.

    Example:
        >>> AUWarp()(torch.rand(1, 3, 64, 64), None, torch.zeros(1, 4, 20)).shape
        torch.Size([1, 4, 3, 64, 64])
    """

    def forward(self, face: Tensor, landmarks: Tensor | None, curves: Tensor) -> Tensor:
        """Warp: (B, 3, H, W), (B, 68, 2) or None, and (B, T, 20[, 2]) to (B, T, 3, H, W)."""
        return au_warp(face, landmarks, curves)


def template_landmarks(size: tuple[int, int], framing: Framing = HEAD) -> Tensor:
    """(68, 2) landmarks of an aligned face, x, y in pixels, for an image's height and width."""
    height, width = size
    return torch.from_numpy(framing.landmarks(width, height)).float()


def _fitted(
    landmarks: Tensor | Fit | None, batch: int, size: tuple[int, int], device: torch.device
) -> Fit:
    if not isinstance(landmarks, Fit):
        return Fit.of(_check_landmarks(landmarks, batch, size), size, device)
    fitted = (len(landmarks.place), *landmarks.place.shape[-2:])
    if fitted != (batch, *size):
        raise ValueError(
            f"the fit is of {fitted[0]} faces of {fitted[1:]} pixels, the curves and images are of "
            f"{batch} faces of {size} pixels; call fit_faces for these"
        )
    return landmarks


def _check_landmarks(landmarks: Tensor | None, batch: int, size: tuple[int, int]) -> Tensor:
    """Landmarks (B, 68, 2); the template's for None."""
    height, width = size
    side = torch.tensor([width, height])
    if landmarks is None:
        return template_landmarks(size).expand(batch, -1, -1)
    if landmarks.shape != (batch, NUM_LANDMARKS, 2):
        raise ValueError(
            f"landmarks must have shape ({batch}, {NUM_LANDMARKS}, 2) to go with the curves, got "
            f"{tuple(landmarks.shape)}"
        )
    if not bool(torch.isfinite(landmarks).all()):
        bad = (~torch.isfinite(landmarks)).flatten(1).any(1).nonzero()[:, 0].tolist()
        raise ValueError(
            f"landmarks of faces {bad} are NaN or infinite; for faces aligned as in stores, give "
            "landmarks=None"
        )
    beyond = torch.maximum(-landmarks, landmarks + 1 - side.to(landmarks)).amax((0, 1)).cpu()
    if bool((beyond > _FAR_OUT * side).any()):
        raise ValueError(
            f"landmarks lie outside the image of {width} x {height} pixels: "
            f"{landmarks.amin((0, 1)).tolist()}..{landmarks.amax((0, 1)).tolist()}"
        )
    spread = landmarks.float().std(1).amin(1)
    if bool((spread < 1).any()):
        raise ValueError(
            "landmarks of a face must lie apart in both directions, got a standard deviation of "
            f"{spread.min().item():.3g} pixels"
        )
    return landmarks


def _check_curves(curves: Tensor) -> Tensor:
    """Curves as (B, T, 20, 2) float32."""
    count = len(CONDITION_AUS)
    if curves.shape[2:] not in ((count,), (count, 2)):
        raise ValueError(
            f"curves must have shape (B, T, {count}) or (B, T, {count}, 2) (left and right), got "
            f"{tuple(curves.shape)}"
        )
    if not bool(((curves >= 0) & (curves <= 1)).all()):
        raise ValueError(
            "AU intensities must be measured and lie in [0, 1], got "
            f"{curves.min().item():.3f}..{curves.max().item():.3f}"
        )
    curves = curves if curves.dim() == 4 else curves[..., None].expand(-1, -1, -1, 2)
    return curves.float()
