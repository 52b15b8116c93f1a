"""Frames of a phantom subject, with their true landmarks and flow.

The subject is rasterised once (:mod:`scene`). A frame finds, for each of its pixels, the place on
the neutral face that it shows, by inverting the motion with a fixed-point iteration; looks the
colour up there; and lights it by the normals that the movement has turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.sources.phantom.camera import pixel_centres, sample
from mersynth.sources.phantom.eyes import slide
from mersynth.sources.phantom.muscles import lid_motion
from mersynth.sources.phantom.scene import Scene, build_scene
from mersynth.sources.phantom.subject import PhantomSubject

# MediaPipe's vertices for iBUG's 68 points.
LANDMARK_VERTICES = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
_LOWER_LIP = (*range(55, 60), *range(65, 68))
_ITERATIONS = 5
_BATCH_PIXELS = 1 << 19  # pixels rendered at once: enough to be fast, little enough for the cache


@dataclass(frozen=True, slots=True)
class Rendered:
    """Frames and their truth.

    Attributes:
        frames: (T, 3, H, W) RGB in [0, 1].
        landmarks: (T, 68, 2) x, y in pixels, iBUG's points; the first pixel's centre at 0.
        flow: (T, 2, H, W) x, y in pixels: where the place that frame 0 shows at a pixel has moved
            to in frame t. None unless asked for.
    """

    frames: Tensor
    landmarks: Tensor
    flow: Tensor | None


@dataclass(frozen=True, slots=True)
class _Motion:
    """What moves in some frames: image motion of both lips' sides, pose and lids."""

    upper: Tensor  # (T, 2, S, S) pixels
    lower: Tensor
    pose: Tensor  # (T, 5)
    lids: Tensor  # (T, 2, 2) subject's right and left eye; closing, rising


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the pixels of one frame show."""

    place: Tensor  # (1, 2, S, S) places on the neutral face
    on_lower: Tensor  # (S, S) bool: on the lower lip's side
    cover: Tensor  # (S, S) bool: the head, not the room
    ball: Tensor  # (S, S) bool: an eyeball
    behind: Tensor  # (1, 2, S, S) places in the neutral image, for the eyeballs


class PhantomRenderer:
    """Renders one subject at one image size.

    Args:
        subject: whose head.
        image_size: side of the square frames, in pixels; even, 32 at least.
        device: where the maps live and frames are computed.

    Raises:
        ValueError: if the image size is odd or below 32.

    Example:
        >>> renderer = PhantomRenderer(PhantomSubject.sample(0), image_size=64)
        >>> renderer.render(torch.zeros(2, 20, 2)).frames.shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(
        self,
        subject: PhantomSubject,
        image_size: int = 128,
        device: str | torch.device = "cpu",
    ) -> None:
        if image_size < 32 or image_size % 2:
            raise ValueError(
                f"image_size must be an even number of pixels, 32 or more, got {image_size}"
            )
        self.subject = subject
        self.image_size = image_size
        self.device = torch.device(device)
        self.scene: Scene = build_scene(subject, image_size, self.device)
        self._lid_motion = lid_motion().to(self.device)
        self._exposure = 1.0
        self._exposure = self._expose()

    @torch.no_grad()
    def render(
        self,
        aus: Tensor,
        pose: Tensor | None = None,
        blink: Tensor | None = None,
        light: Tensor | None = None,
        noise_generator: torch.Generator | None = None,
        flow: bool = False,
    ) -> Rendered:
        """Render frames.

        Args:
            aus: (T, 20, 2) AU intensities in [0, 1], columns as ``CONDITION_AUS``; the last axis is
                the subject's left and right side.
            pose: (T, 5) shift right and down as a share of the image's side; then roll (clockwise),
                yaw (nose to the image's right) and pitch (nose up) in radians.
            blink: (T,) closing of the lids in [0, 1], beside what AU 43 closes.
            light: (T,) factor on all light, about 1.
            noise_generator: a generator on this renderer's device; adds the subject's camera noise.
            flow: compute the flow too.

        Returns:
            The frames with their truth.

        Raises:
            ValueError: if ``aus`` has another shape, or an intensity lies outside [0, 1].
        """
        aus = self._check(aus)
        frames_each = max(1, _BATCH_PIXELS // self.image_size**2)
        count = len(aus)
        pose = torch.zeros(count, 5) if pose is None else pose
        blink = torch.zeros(count) if blink is None else blink
        light = torch.ones(count) if light is None else light
        pose, blink, light = (v.to(self.device, torch.float32) for v in (pose, blink, light))
        onset = self._seen_at(self._motion(aus[:1], pose[:1], blink[:1])) if flow else None
        frames, landmarks, flows = [], [], []
        for rows in torch.arange(count, device=self.device).split(frames_each):
            motion = self._motion(aus[rows], pose[rows], blink[rows])
            frames.append(self._draw(aus[rows], motion, light[rows], noise_generator))
            landmarks.append(self._landmarks(motion))
            if onset is not None:
                flows.append(self._flow(onset, motion))
        return Rendered(
            torch.cat(frames), torch.cat(landmarks), torch.cat(flows) if flows else None
        )

    def _check(self, aus: Tensor) -> Tensor:
        if aus.dim() != 3 or aus.shape[1:] != (len(CONDITION_AUS), 2):
            raise ValueError(
                f"aus must have shape (T, {len(CONDITION_AUS)}, 2) (AUs, left and right), got "
                f"{tuple(aus.shape)}"
            )
        if not bool(((aus >= 0) & (aus <= 1)).all()):
            raise ValueError(
                "AU intensities must lie in [0, 1] and be measured, got "
                f"{aus.min().item():.3f}..{aus.max().item():.3f}"
            )
        return aus.to(self.device, torch.float32)

    def _motion(self, aus: Tensor, pose: Tensor, blink: Tensor) -> _Motion:
        scene = self.scene
        weights = torch.cat([aus.flatten(1), pose[:, 3:]], 1)  # (T, 42)
        upper, lower = (
            torch.einsum("tk,kchw->tchw", weights, field) for field in (scene.upper, scene.lower)
        )
        lids = torch.einsum("tas,al->tsl", aus, self._lid_motion).flip(1)  # right, left
        closing = lids[..., 0].clamp(-0.5, 1.0)
        closing = closing + blink[:, None] * (1 - closing)
        rising = lids[..., 1].clamp(0.0, 0.8)
        return _Motion(upper, lower, pose, torch.stack([closing, rising], -1))

    # --- from the frame to the neutral face ------------------------------------------------------

    def _unpose(self, pose: Tensor, points: Tensor) -> Tensor:
        """Take shift and roll out of (T, 2, H, W) points."""
        half = self.image_size / 2
        shifted = points - half - pose[:, :2, None, None] * self.image_size
        return _turn(shifted, -pose[:, 2]) + half

    def _pose(self, pose: Tensor, points: Tensor) -> Tensor:
        half = self.image_size / 2
        turned = _turn(points - half, pose[:, 2])
        return turned + half + pose[:, :2, None, None] * self.image_size

    def _invert(self, motion: _Motion) -> tuple[Tensor, Tensor]:
        """Places on the face that the frames' pixels show, before the lids: upper and lower side."""
        size = self.image_size
        target = self._unpose(motion.pose, pixel_centres(size, self.device)[None])
        places = []
        for field in (motion.upper, motion.lower):
            place = target
            for _ in range(_ITERATIONS):
                place = target - sample(field, place, size)
            places.append(place)
        return places[0], places[1]

    # --- the picture -----------------------------------------------------------------------------

    def _draw(
        self, aus: Tensor, motion: _Motion, light: Tensor, noise: torch.Generator | None
    ) -> Tensor:
        scene, size = self.scene, self.image_size
        upper, lower = self._invert(motion)
        upper, eyes = self._slide_lids(upper, motion)
        shaded = self._shade(aus)  # (T, 4, S, S)

        def look_up(place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            texture = sample(scene.texture, place, size)
            lit = sample(shaded, place, size)
            cover = texture[:, 3:4]
            return texture[:, :3] * lit[:, :3] + lit[:, 3:] * cover, cover, texture[:, 4:]

        colour, cover, above = look_up(upper)
        top = size // 2  # only the lower half differs between the lips' sides
        colour_low, cover_low, above_low = look_up(lower[:, :, top:])
        share = sample(scene.mouth_share[None, None], lower[:, :, top:], size)
        gap = (share * 12).clamp(max=1.0) * above_low * (1 - above[:, :, top:])
        inside = sample(scene.inside[None], self._behind(motion, 4.6)[:, :, top:], size)
        inside = inside * (0.35 + 0.65 * share.sqrt())
        colour_low = torch.lerp(colour_low, inside, gap)
        mix = above[:, :, top:]
        colour[:, :, top:] = torch.lerp(colour_low, colour[:, :, top:], mix)
        cover[:, :, top:] = torch.lerp(cover_low, cover[:, :, top:], mix)
        self._draw_eyes(colour, eyes, motion)
        picture = colour + (1 - cover) * scene.room
        picture = (picture * (light[:, None, None, None] * self._exposure)).clamp_(0, 1).sqrt_()
        if noise is not None:
            grain = torch.randn(picture.shape, generator=noise, device=self.device)
            picture += grain.mul_(self.subject.noise)
        return picture.clamp_(0, 1)

    def _shade(self, aus: Tensor) -> Tensor:
        """Diffuse light (3) and highlights (1) on the neutral face's pixels: (T, 4, S, S)."""
        scene, size = self.scene, self.image_size
        weights = aus.flatten(1)
        normal = (weights @ scene.normal_motion.flatten(1)).reshape(-1, 3, size, size)
        normal += scene.normal
        normal *= normal.square().sum(1, keepdim=True).clamp_(min=1e-8).rsqrt_()
        diffuse, shine = scene.lights.shade(normal, scene.shadow)
        folds = (weights @ scene.fold_shade.flatten(1)).reshape(-1, 1, size, size)
        diffuse *= torch.exp(-folds) * scene.openness
        return torch.cat([diffuse, shine * scene.gloss], 1)

    def _behind(self, motion: _Motion, depth: float) -> Tensor:
        """Places in the neutral image of what turns with the head at a depth, but has no muscle."""
        target = self._unpose(motion.pose, pixel_centres(self.image_size, self.device)[None])
        k = self.scene.camera.pixels_per_cm * depth
        turn = torch.stack([motion.pose[:, 3], -motion.pose[:, 4]], 1) * k
        return target - turn[:, :, None, None]

    def _slide_lids(self, place: Tensor, motion: _Motion) -> tuple[Tensor, list[Tensor]]:
        """Take the lids' motion out of places; for each eye's box its moved levels (4, T, h, w)."""
        place = place.clone()
        found = []
        for eye, (top, bottom, left, right) in enumerate(self.scene.eyes.boxes):
            x, y = place[:, 0, top:bottom, left:right], place[:, 1, top:bottom, left:right]
            rest, moved = self.scene.eyes.levels(x, eye, *motion.lids[:, eye].unbind(-1))
            found.append(torch.cat([moved, (rest[2] - rest[1])[None], y[None]]))
            place[:, 1, top:bottom, left:right] = slide(y, moved, rest)
        return place, found

    def _draw_eyes(self, colour: Tensor, eyes: list[Tensor], motion: _Motion) -> None:
        scene, k = self.scene, self.scene.camera.pixels_per_cm
        behind = self._behind(motion, scene.eyes.depth)
        edge = max(1.0, 0.1 * k)
        lash = max(0.55, 0.085 * k)
        for levels, (top, bottom, left, right) in zip(eyes, scene.eyes.boxes, strict=True):
            _, upper, lower, _, opening, y = levels
            box = (..., slice(top, bottom), slice(left, right))
            ball = sample(scene.eyes.ball[None], behind[box], self.image_size)
            under = ((y - upper) / (0.28 * k)).clamp(0, 1)
            ball = ball * (0.45 + 0.55 * under)[:, None]
            present = (opening / edge).clamp(0, 1)
            seen = ((y - upper) / edge + 0.5).clamp(0, 1) * ((lower - y) / edge + 0.5).clamp(0, 1)
            skin = torch.lerp(colour[box], ball, (seen * present)[:, None])
            dark = 0.85 * torch.exp(-(((y - upper + 0.3 * lash) / lash) ** 2))
            dark = dark + 0.35 * torch.exp(-(((y - lower) / (0.8 * lash)) ** 2))
            colour[box] = skin * (1 - (dark * present.sqrt()).clamp(max=0.9))[:, None]

    # --- truth -----------------------------------------------------------------------------------

    def _forward(self, motion: _Motion, points: Tensor, lower: Tensor) -> Tensor:
        """Where places (T, 2, H, W) of the neutral face are in the frames; lower: (H, W) bool."""
        points = points.clone()
        x, y = points[:, 0].clone(), points[:, 1].clone()
        for eye in (0, 1):
            top, bottom, left, right = self.scene.eyes.boxes[eye]
            rest, moved = self.scene.eyes.levels(x, eye, *motion.lids[:, eye].unbind(-1))
            here = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
            points[:, 1] = torch.where(here, slide(y, rest, moved), points[:, 1])
        shift = torch.where(
            lower,
            sample(motion.lower, points, self.image_size),
            sample(motion.upper, points, self.image_size),
        )
        return self._pose(motion.pose, points + shift)

    def _landmarks(self, motion: _Motion) -> Tensor:
        chosen = list(LANDMARK_VERTICES)
        points = self.scene.vertices[chosen].T[None, :, :, None]  # (1, 2, 68, 1)
        lower = torch.zeros(68, 1, dtype=torch.bool, device=self.device)
        lower[list(_LOWER_LIP)] = True
        count = len(motion.pose)
        moved = self._forward(motion, points.expand(count, -1, -1, -1), lower)
        return moved[..., 0].mT - 0.5  # maps have the first pixel's centre at 0.5

    def _seen_at(self, motion: _Motion) -> _Seen:
        """What each pixel of one frame shows."""
        scene, size = self.scene, self.image_size
        upper, lower = self._invert(motion)
        upper, eyes = self._slide_lids(upper, motion)
        on_lower = sample(scene.texture[None, 4:], upper, size)[0, 0] < 0.5
        place = torch.where(on_lower, lower, upper)
        cover = sample(scene.texture[None, 3:4], place, size)[0, 0] > 0.5
        ball = torch.zeros_like(cover)
        for levels, (top, bottom, left, right) in zip(eyes, scene.eyes.boxes, strict=True):
            _, high, low, _, opening, y = levels[:, 0]
            ball[top:bottom, left:right] = (y > high) & (y < low) & (opening > 0.5)
        return _Seen(place, on_lower, cover, ball, self._behind(motion, scene.eyes.depth))

    def _flow(self, seen: _Seen, motion: _Motion) -> Tensor:
        """Where what was seen has moved to, less where it was: (T, 2, H, W)."""
        count = len(motion.pose)
        skin = self._forward(motion, seen.place.expand(count, -1, -1, -1), seen.on_lower)
        turn = self._behind(motion, 0.0) - self._behind(motion, self.scene.eyes.depth)
        ball = self._pose(motion.pose, seen.behind + turn)
        here = pixel_centres(self.image_size, self.device)
        return (torch.where(seen.ball, ball, skin) - here) * seen.cover

    def _expose(self) -> float:
        """Exposure that brings a face's mean near to a camera's usual level, not all the way."""
        picture = self.render(torch.zeros(1, len(CONDITION_AUS), 2)).frames[0]
        quarter = self.image_size // 4
        level = picture[:, quarter:-quarter, quarter:-quarter].square().mean().item()
        return float((0.3 / max(level, 1e-3)) ** 0.6)


def _turn(points: Tensor, angle: Tensor) -> Tensor:
    """Rotate (T, 2, H, W) points clockwise in the image (y is down) by (T,) radians."""
    cos, sin = (v[:, None, None] for v in (angle.cos(), angle.sin()))
    x, y = points.unbind(1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], 1)
