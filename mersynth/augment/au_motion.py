"""Fits the average face to images by their landmarks, moves it, and renders the result."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mersynth.augment.au_fields import SIZE, AverageFace, average_face
from mersynth.phantom.head.eyes import slide
from mersynth.phantom.head.muscles import lid_openings
from mersynth.phantom.warp import undo

_STIFFNESS = 1e-2  # of the thin plate: smooths landmark errors, and allows equal landmarks

# Parting lips show the line between them, stretched; it darkens with the distance from both lips,
# down to the light that still enters.
_DARKENS = 8.0  # cells
_DARKEST = 0.25

_Box = tuple[slice, slice, slice, slice]  # of (N, C, H, W)


@dataclass(frozen=True, eq=False)
class Fit:
    """The average face laid on B images: what does not depend on the AUs.

    Attributes:
        average, here: as :class:`Motion` has them.
        place: (B, 2, H, W), down: (B, 2, H, W), stretch: (B, 1, H, W), likewise, of each face.
        turn: (B, 2, 2) takes a step in cells to one in pixels.
    """

    average: AverageFace
    here: Tensor
    place: Tensor
    down: Tensor
    stretch: Tensor
    turn: Tensor

    @classmethod
    def of(cls, landmarks: Tensor, size: tuple[int, int], device: torch.device) -> Fit:
        """The fit to landmarks (B, 68, 2), of which the first pixel's centre is at 0.

        Args:
            landmarks: of the faces.
            size: height and width of the images.
            device: where motion is computed.
        """
        average = average_face(device)
        points = landmarks.to(device, torch.float32) + 0.5
        here = _pixel_centres(size, device)
        turn = _similarity(average.landmarks, points)
        place = _thin_plate(points, average.landmarks, here)
        # The lids' opening is the face's own, not the average one: their steps follow its stretch.
        axis = turn[:, :, 1] / turn[:, :, 1].norm(dim=1, keepdim=True)
        by_y, by_x = torch.gradient(place[:, 1:], dim=(2, 3))
        axis_x, axis_y = axis[:, :, None, None].split(1, 1)
        stretch = (by_x * axis_x + by_y * axis_y).clamp(min=0.1)
        down = axis[:, :, None, None] / stretch
        return cls(average, here, place, down, stretch, turn)

    def move(self, fields: Tensor, curves: Tensor) -> Tensor:
        """Motion (B T, 2, H, W) in pixels by fields (40, 2, R, R) and curves (B, T, 20, 2)."""
        # Summed before they are looked up: T times two maps are fewer than the fields.
        cells = (curves.flatten(2) @ fields.flatten(1)).unflatten(2, fields.shape[1:])
        found = _sample(cells.flatten(1, 2), self.place).unflatten(1, cells.shape[1:3])
        return torch.einsum("bdc,btchw->btdhw", self.turn, found).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class Motion:
    """The motion in N = B T frames, B faces in T frames each.

    Positions in the image are in pixels from its corner, so that the first pixel's centre is at
    0.5; positions on the average face are in its cells.

    Attributes:
        average: the average face.
        here: (1, 2, H, W) the pixels' own positions.
        place: (N, 2, H, W) the places of the average face that they show.
        down: (N, 2, H, W) the step in pixels for one cell down the average face.
        stretch: (N, 1, H, W) cells per step of one pixel down the face.
        upper, lower: (N, 2, H, W) motion in pixels, for the upper and for the lower lip.
        lids: (2, 2, N) for the subject's right and left eye, closing of the upper lid and rise of
            the lower, as shares of the eye's opening.
    """

    average: AverageFace
    here: Tensor
    place: Tensor
    down: Tensor
    stretch: Tensor
    upper: Tensor
    lower: Tensor
    lids: Tensor

    @classmethod
    def of(cls, fit: Fit, curves: Tensor) -> Motion:
        """The motion of curves (B, T, 20, 2) on B faces."""
        frames = curves.shape[1]
        curves = curves.to(fit.place)
        return cls(
            fit.average,
            fit.here,
            fit.place.repeat_interleave(frames, 0),
            fit.down.repeat_interleave(frames, 0),
            fit.stretch.repeat_interleave(frames, 0),
            fit.move(fit.average.upper, curves),
            fit.move(fit.average.lower, curves),
            lid_openings(curves.flatten(0, 1)).permute(1, 2, 0),
        )

    def flow(self) -> Tensor:
        """(N, 2, H, W) from the neutral face to the frame: where each of its places goes."""
        start = self.here.repeat(len(self.upper), 1, 1, 1)
        ball = torch.zeros_like(start[:, :1], dtype=torch.bool)
        for eye, box in enumerate(self._eye_boxes()):
            x, y = self.place[box].unbind(1)
            rest, moved = self.average.eyes.levels(x, eye, *self.lids[eye])
            start[box] += self.down[box] * _slide(y, rest, moved)[:, None]
            ball[box] = ((y > rest[1]) & (y < rest[2]))[:, None]
        on_lower = self._below(self.place) > 0
        skin = torch.where(on_lower, _sample(self.lower, start), _sample(self.upper, start))
        return (start + skin - self.here).masked_fill(ball, 0.0)

    def draw(self, face: Tensor) -> Tensor:
        """(N, 3, H, W) the faces (N, 3, H, W) in motion."""
        moving = self._moving()
        origin = self.here.repeat(len(face), 1, 1, 1)
        origin[moving], depth = self._look_up(self.upper, moving)
        eyes = [self._close_lids(origin, eye, box) for eye, box in enumerate(self._eye_boxes())]
        frame = face.clone()
        frame[moving] = self._colour(face, origin[moving], moving)
        above = (0.5 - depth / self.stretch[moving]).clamp(0, 1)
        # The lower lip's side is only sampled where it is visible.
        seen = _span((above < 1).any(0).any(0).any(1))
        rows = (slice(None), slice(None), seen, slice(None))
        top = moving[2].start
        box = (*moving[:2], slice(top + seen.start, top + seen.stop), moving[3])
        frame[box] = torch.lerp(self._draw_lower(face, depth[rows], box), frame[box], above[rows])
        for box, cover, ball in eyes:
            frame[box] = torch.lerp(frame[box], self._colour(face, ball, box), cover)
        return frame.clamp(0, 1)

    def _moving(self) -> _Box:
        """The pixels outside which nothing moves."""
        moved = ((self.upper != 0) | (self.lower != 0)).any(0).any(0)
        for _, _, rows, columns in self._eye_boxes():
            moved[rows, columns] = True
        return (slice(None), slice(None), _span(moved.any(1)), _span(moved.any(0)))

    def _draw_lower(self, face: Tensor, depth_upper: Tensor, box: _Box) -> Tensor:
        """Colours of a box on the lower lip's side, and of the gap between the lips."""
        origin, depth = self._look_up(self.lower, box)
        gap = (depth_upper.clamp(max=0) - depth).clamp(min=0)
        origin = origin + gap * self.down[box]
        inside = torch.minimum(depth_upper.clamp(min=0), -depth.clamp(max=0))
        shade = torch.exp(-inside / _DARKENS).clamp(min=_DARKEST)
        return self._colour(face, origin, box) * shade

    def _look_up(self, motion: Tensor, box: _Box) -> tuple[Tensor, Tensor]:
        """Where the pixels of a box come from.

        Returns:
            (N, 2, H, W) in pixels, and (N, 1, H, W) how far below the lips' line that is, cells.
        """
        here = self.here[_of_one(box)].expand(len(motion), -1, -1, -1)
        origin = undo(here, motion)
        return origin, self._below(_sample(self.place, origin))

    def _below(self, place: Tensor) -> Tensor:
        """How far places (N, 2, H, W) of the average face lie below the line between the lips."""
        x, y = place.split(1, 1)
        at = (x - 0.5).clamp(0, SIZE - 1.001)
        k = at.long()
        line = self.average.lip_line
        return y - torch.lerp(line[k], line[k + 1], at - k)

    def _close_lids(self, origin: Tensor, eye: int, box: _Box) -> tuple[_Box, Tensor, Tensor]:
        """Remove the lids' motion from origins; box, cover and origin of the eyeball beneath."""
        x, y = _sample(self.place, origin[box]).unbind(1)
        rest, moved = self.average.eyes.levels(x, eye, *self.lids[eye])
        down = self.down[box]
        origin[box] += down * _slide(y, moved, rest)[:, None]
        pixel = self.stretch[box][:, 0]
        cover = ((y - moved[1]) / pixel + 0.5).clamp(0, 1)
        cover = cover * ((moved[2] - y) / pixel + 0.5).clamp(0, 1)
        cover = cover * ((rest[2] - rest[1]) / pixel).clamp(0, 1)
        # The part that a widening eye uncovers is not in the picture. Its upper half is stretched,
        # starting somewhat inside the rim, which lid and lashes darken.
        middle = (rest[1] + rest[2]) / 2
        share = (middle - self.place[box][:, 1]) / (middle - moved[1]).clamp(min=1e-3)
        wider = (rest[1] - moved[1]).clamp(min=0)
        bare = (wider + torch.minimum(2 * wider, 0.4 * (middle - rest[1]))) * share.clamp(0, 1)
        return box, cover[:, None], self.here[_of_one(box)] + down * bare[:, None]

    def _colour(self, face: Tensor, origin: Tensor, box: _Box) -> Tensor:
        """The face's colours at origins; exactly the pixel's own where nothing moved it."""
        still = (origin == self.here[_of_one(box)]).all(1, keepdim=True)
        return torch.where(still, face[box], _sample(face, origin, "bicubic"))

    def _eye_boxes(self) -> list[_Box]:
        """The pixels that each eye's lids cover on any of the faces; empty boxes if none."""
        boxes = []
        for top, bottom, left, right in self.average.eyes.boxes:
            x, y = self.place.unbind(1)
            within = ((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).any(0)
            boxes.append((slice(None), slice(None), _span(within.any(1)), _span(within.any(0))))
        return boxes


def _slide(y: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """How far heights move with the lids; exactly 0 where they do not."""
    return slide(y, before, after) - slide(y, before, before)


def _similarity(source: Tensor, target: Tensor) -> Tensor:
    """(B, 2, 2) scaled rotations that bring points (68, 2) nearest to (B, 68, 2), least squares."""
    x, y = source - source.mean(0), target - target.mean(1, keepdim=True)
    cos = (x * y).sum((1, 2))
    sin = (x[:, 0] * y[..., 1] - x[:, 1] * y[..., 0]).sum(1)
    rows = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    return rows / x.square().sum()


def _thin_plate(source: Tensor, target: Tensor, at: Tensor) -> Tensor:
    """The smooth map that takes source points to target points, at other points.

    Thin-plate spline, Bookstein 1989: an affine map and kernels r^2 log r^2 at the points.

    Args:
        source: (B, K, 2).
        target: (K, 2).
        at: (1, 2, H, W).

    Returns:
        (B, 2, H, W).
    """
    batch, count = source.shape[:2]
    # Solved once per face, in double precision, which some devices lack.
    points = source.double().cpu()
    centre = points.mean(1, keepdim=True)
    scale = points.std((1, 2), keepdim=True)
    points = (points - centre) / scale
    stiff = _STIFFNESS * torch.eye(count, dtype=points.dtype)
    line = torch.cat([torch.ones_like(points[..., :1]), points], -1)  # (B, K, 3)
    system = torch.zeros(batch, count + 3, count + 3, dtype=points.dtype)
    system[:, :count, :count] = _kernel(torch.cdist(points, points).square()) + stiff
    system[:, :count, count:] = line
    system[:, count:, :count] = line.mT
    wanted = torch.zeros(batch, count + 3, 2, dtype=points.dtype)
    wanted[:, :count] = target.double().cpu()
    solution = torch.linalg.solve(system, wanted).to(at)
    points, centre, scale = (v.to(at) for v in (points, centre, scale))
    where = (at.flatten(2).mT - centre) / scale  # (B, HW, 2)
    bent = _kernel(torch.cdist(where, points).square()) @ solution[:, :count]
    place = bent + solution[:, count : count + 1] + where @ solution[:, count + 1 :]
    return place.mT.unflatten(2, at.shape[-2:])


def _kernel(squared: Tensor) -> Tensor:
    return squared * squared.clamp(min=1e-30).log()  # faster than xlogy


def _pixel_centres(size: tuple[int, int], device: torch.device) -> Tensor:
    """(1, 2, H, W) x, y of the pixels' centres."""
    y, x = (torch.arange(side, device=device) + 0.5 for side in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]


def _sample(maps: Tensor, points: Tensor, mode: str = "bilinear") -> Tensor:
    """Values of maps (N, C, h, w) at points (N, 2, H, W) in their own cells, edges continued."""
    sides = torch.tensor([maps.shape[-1], maps.shape[-2]], device=points.device)
    grid = points.permute(0, 2, 3, 1) * (2 / sides) - 1
    return F.grid_sample(maps, grid, mode, "border", align_corners=False)


def _span(flags: Tensor) -> slice:
    at = flags.nonzero()[:, 0]
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0)


def _of_one(box: _Box) -> _Box:
    """The same box in an array that all frames share."""
    return (slice(0, 1), *box[1:])
