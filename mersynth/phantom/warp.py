"""Mapping positions from a frame's pixels to the neutral face, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mersynth.phantom.head.eyes import slide
from mersynth.phantom.head.muscles import lid_openings
from mersynth.phantom.optics.camera import SPAN, sample
from mersynth.phantom.response import Response
from mersynth.phantom.scene import Scene

Box = tuple[slice, slice]  # rows and columns
WHOLE: Box = (slice(None), slice(None))

_ITERATIONS = 5  # a micro-expression's error falls below 0.01 pixels


def undo(target: Tensor, motion: Tensor) -> Tensor:
    """Where places come from: the fixed point of ``place = target - motion(place)``.

    Args:
        target: (T, 2, H, W) x, y of places after the motion, in the motion's cells.
        motion: (T, 2, h, w) displacement of each place, in cells.
    """
    sides = motion.new_tensor([motion.shape[-1], motion.shape[-2]])[:, None, None]
    goal, step = target * (2 / sides) - 1, motion * (2 / sides)  # in the units of grid_sample
    place = goal
    for _ in range(_ITERATIONS):
        grid = place.permute(0, 2, 3, 1)
        moved = F.grid_sample(step, grid, "bilinear", "border", align_corners=False)
        place = goal - moved
    return target - moved * (sides / 2)


@dataclass(frozen=True, slots=True)
class Motion:
    """The motion in some frames of a scene.

    Attributes:
        scene: the scene.
        upper: (T, 2, S, S) image motion in pixels at each place of the neutral face, on the upper
            lip's side.
        lower: (T, 2, S, S) the same, on the lower lip's side.
        pose: (T, 5) shift right and down (in 20 cm, what a picture of the whole head spans), roll,
            yaw, pitch (radians).
        lids: (T, 2, 2) the subject's right and left eye; closing of the upper lid, rise of the
            lower.
        still: (T, 2, S, S) places that the picture's pixels would show if only the head's shift and
            roll moved it.
    """

    scene: Scene
    upper: Tensor
    lower: Tensor
    pose: Tensor
    lids: Tensor
    still: Tensor

    @classmethod
    def of(
        cls, scene: Scene, response: Response, aus: Tensor, pose: Tensor, blink: Tensor
    ) -> Motion:
        """The motion of (T, 20, 2) AU intensities, (T, 5) pose and (T,) blink."""
        turned = torch.einsum("tk,kchw->tchw", pose[:, 3:], scene.turns)
        upper = turned + response.by(aus, response.upper)
        lower = turned.add_(response.by(aus, response.lower))
        closing, rise = lid_openings(aus).unbind(-1)
        closing = closing + blink[:, None] * (1 - closing)
        half = scene.camera.size / 2
        centres = scene.window.centres(pose.device)[None]
        still = _rotate(centres - half - _shift(scene, pose), -pose[:, 2]) + half
        return cls(scene, upper, lower, pose, torch.stack([closing, rise], -1), still)

    def origin(self, motion: Tensor, top: int = 0) -> Tensor:
        """Places (T, 2, S - top, S) on the face that the picture shows from a row on, without lids.

        Args:
            motion: :attr:`upper` or :attr:`lower`.
            top: the first row.
        """
        return undo(self.still[:, :, top:], motion)

    def behind(self, depth: float | Tensor, box: Box = WHOLE) -> Tensor:
        """Places (T, 2, h, w) in the neutral image of things that only the pose moves.

        Args:
            depth: their depth, cm; one number, or (S, S) at each pixel.
            box: rows and columns of the picture.
        """
        depth = depth[box] if isinstance(depth, Tensor) else depth
        return self.still[(..., *box)] - self._turn(depth)

    def follow(self, behind: Tensor, depth: float | Tensor) -> Tensor:
        """Places (1 or T, 2, S, S) at a depth in cm that only the pose moves, in the frames."""
        return self._pose(behind + self._turn(depth))

    def close_lids(self, place: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Remove the lids' motion from places (T, 2, S, S).

        Returns:
            The places on the neutral face, and for each eye's box (6, T, h, w): the four levels of
            its lids as moved, its opening at rest, and y of the places with the lids' motion.
        """
        place = place.clone()
        found = []
        for eye, box in enumerate(self.scene.eyes.boxes):
            top, bottom, left, right = self.scene.window.rows_and_columns(box)
            x, y = place[:, 0, top:bottom, left:right], place[:, 1, top:bottom, left:right]
            rest, moved = self.scene.eyes.levels(x, eye, *self.lids[:, eye].unbind(-1))
            found.append(torch.cat([moved, (rest[2] - rest[1])[None], y[None]]))
            place[:, 1, top:bottom, left:right] = slide(y, moved, rest)
        return place, found

    def forward(self, points: Tensor, on_lower: Tensor) -> Tensor:
        """Where places of the neutral face are in the frames.

        Args:
            points: (T, 2, H, W) pixels of the neutral image.
            on_lower: (H, W) True on the lower lip's side.
        """
        points = points.clone()
        x, y = points[:, 0].clone(), points[:, 1].clone()
        for eye, (top, bottom, left, right) in enumerate(self.scene.eyes.boxes):
            rest, moved = self.scene.eyes.levels(x, eye, *self.lids[:, eye].unbind(-1))
            here = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
            points[:, 1] = torch.where(here, slide(y, rest, moved), points[:, 1])
        size = self.scene.camera.size
        lower, upper = sample(self.lower, points, size), sample(self.upper, points, size)
        return self._pose(points + torch.where(on_lower, lower, upper))

    def _turn(self, depth: float | Tensor) -> Tensor:
        """Image motion of what lies at a depth by yaw and pitch."""
        turn = torch.stack([self.pose[:, 3], -self.pose[:, 4]], 1)
        return turn[:, :, None, None] * (self.scene.camera.pixels_per_cm * depth)

    def _pose(self, points: Tensor) -> Tensor:
        half = self.scene.camera.size / 2
        return _rotate(points - half, self.pose[:, 2]) + half + _shift(self.scene, self.pose)


def _shift(scene: Scene, pose: Tensor) -> Tensor:
    """Shift (T, 2, 1, 1) of poses (T, 5), in pixels of the image."""
    return pose[:, :2, None, None] * (SPAN * scene.camera.pixels_per_cm)


def _rotate(points: Tensor, angle: Tensor) -> Tensor:
    """Rotate (T, 2, H, W) points clockwise in the image (y is down) by (T,) radians."""
    cos, sin = (v[:, None, None] for v in (angle.cos(), angle.sin()))
    x, y = points.unbind(1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], 1)
