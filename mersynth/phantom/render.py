"""Frames of a phantom subject, with their true landmarks and flow.

The subject is rasterised once (:mod:`scene`). For each pixel of a frame, the renderer finds the
place on the neutral face that it shows, by inverting the motion with a fixed-point iteration; looks
up the colour there; and lights it with the moved normals.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mersynth.face.template import HEAD, Framing
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.head.mesh import LANDMARK_VERTICES
from mersynth.phantom.optics.camera import sample
from mersynth.phantom.optics.sensor import Sensor
from mersynth.phantom.response import Response
from mersynth.phantom.scene import Scene, build_scene
from mersynth.phantom.subject import PhantomSubject
from mersynth.phantom.warp import Motion

_BELOW = (*range(5, 12), *range(55, 60), *range(65, 68))  # the lips' line: lower lip and jaw
_TEETH_DEPTH = 4.6  # cm
_AU25 = CONDITION_AUS.index(25)
_CLOSING = [CONDITION_AUS.index(au) for au in (17, 23, 24, 28)]  # they bring parted lips together
_NOTHING = 1e-5  # a share that is not seen
_BATCH_PIXELS = 1 << 19  # pixels rendered at once: enough to be fast, little enough for the cache


@dataclass(frozen=True, slots=True)
class Rendered:
    """Frames and their truth.

    Attributes:
        frames: (T, 3, H, W) RGB in [0, 1].
        landmarks: (T, 68, 2) x, y in pixels, iBUG's points; the first pixel's centre at 0.
        flow: (T, 2, H, W) x, y in pixels: how far the place that frame 0 shows at a pixel has moved
            in frame t. None unless asked for.
    """

    frames: Tensor
    landmarks: Tensor
    flow: Tensor | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the pixels of one frame show."""

    place: Tensor  # (1, 2, S, S) places on the neutral face
    on_lower: Tensor  # (S, S) bool: on the lower lip's side
    cover: Tensor  # (S, S) bool: the head, not the room
    ball: Tensor  # (S, S) bool: an eyeball
    behind: Tensor  # (1, 2, S, S) places in the neutral image, for the eyeballs
    overlay: Tensor | None  # (S, S) bool: glasses or a fringe
    before: Tensor | None  # (1, 2, S, S) places in the neutral image, for those


class PhantomRenderer:
    """Renders one subject at one image size.

    Args:
        subject: whose head.
        image_size: side of the square frames, in pixels; even, at least 32.
        device: where the maps are kept and frames are computed.
        framing: which part of the head the frames show.

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
        framing: Framing = HEAD,
    ) -> None:
        if image_size < 32 or image_size % 2:
            raise ValueError(
                f"image_size must be an even number of pixels, 32 or more, got {image_size}"
            )
        self.subject = subject
        self.image_size = image_size
        self.device = torch.device(device)
        self.scene: Scene = build_scene(subject, image_size, self.device, framing)
        camera, window = self.scene.camera, self.scene.window
        self._lip_rows = _rows_of_the_lip_line(self.scene)
        self._room = sample(self.scene.room[None], window.centres(self.device)[None], camera.size)
        k, overlay = camera.pixels_per_cm, self.scene.overlay
        self._sensor = Sensor(subject, k * sum(window.scale) / 2)
        if overlay is not None:
            centres = window.centres(self.device)[None]
            self._layer_depth = sample(overlay.depth[None, None], centres, camera.size)[0, 0]
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
            pose: (T, 5) shift right and down in 20 cm, the width of a picture framed as ``HEAD``;
                then roll (clockwise), yaw (nose to the image's right) and pitch (nose up) in
                radians.
            blink: (T,) closing of the lids in [0, 1], in addition to AU 43.
            light: (T,) factor on all light, about 1.
            noise_generator: a generator on this renderer's device; adds the subject's camera noise.
            flow: whether to compute the flow too.

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
        response = self.scene.responses.of(aus)
        onset = None
        if flow:
            first = Motion.of(self.scene, response, aus[:1], pose[:1], blink[:1])
            onset = self._seen_at(first)
        frames, landmarks, flows = [], [], []
        for rows in torch.arange(count, device=self.device).split(frames_each):
            motion = Motion.of(self.scene, response, aus[rows], pose[rows], blink[rows])
            shaded = self._shade(response, aus[rows])
            frames.append(self._draw(shaded, motion, light[rows], noise_generator))
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
        aus = aus.to(self.device, torch.float32)
        parted = self.subject.look.parted
        if not parted:
            return aus
        # Lips apart at rest: intensities are counted from there.
        aus = aus.clone()
        closed = aus[:, _CLOSING].amax(1)
        aus[:, _AU25] += parted * (1 - aus[:, _AU25]) * (1 - closed)
        return aus

    def _draw(
        self, shaded: Tensor, motion: Motion, light: Tensor, noise: torch.Generator | None
    ) -> Tensor:
        scene, size = self.scene, self.scene.camera.size
        upper, eyes = motion.close_lids(motion.origin(motion.upper))
        top = self._first_row(upper)
        lower = motion.origin(motion.lower, top)
        end = top + self._last_row(upper[:, :, top:], lower)  # above it, or below: one side alone

        def look_up(place: Tensor) -> tuple[Tensor, Tensor]:
            texture = sample(scene.texture, place, size)
            lit = sample(shaded, place, size)
            cover = texture[:, 3:4]
            colour = texture[:, :3] * lit[:, :3] + lit[:, 3:] * cover
            return torch.cat([colour, cover], 1), texture[:, 4:]

        over, above = look_up(upper[:, :, :end])
        under, above_low = look_up(lower)
        picture = torch.cat([over[:, :, :top], under], 2)
        band, both = slice(top, end), slice(0, end - top)
        mix = above[:, :, band]
        share = sample(scene.mouth_share[None, None], lower[:, :, both], size)
        gap = (share * 12).clamp(max=1.0) * above_low[:, :, both] * (1 - mix)
        teeth = motion.behind(_TEETH_DEPTH, (band, slice(None)))
        inside = sample(scene.inside[None], teeth, size) * (0.35 + 0.65 * share.sqrt())
        under[:, :3, both] = torch.lerp(under[:, :3, both], inside, gap)
        picture[:, :, band] = torch.lerp(under[:, :, both], over[:, :, band], mix)
        colour, cover = picture[:, :3], picture[:, 3:]
        self._draw_eyes(colour, eyes, motion)
        picture = colour + (1 - cover) * self._room
        if scene.overlay is not None:
            top, bottom, left, right = scene.window.rows_and_columns(scene.overlay.box)
            box = slice(top, bottom), slice(left, right)
            layer = sample(scene.overlay.colour[None], motion.behind(self._layer_depth, box), size)
            here = (..., *box)
            picture[here] = picture[here] * (1 - layer[:, 3:]) + layer[:, :3]
        return self._sensor.expose(picture, light * self._exposure, noise)

    def _first_row(self, upper: Tensor) -> int:
        """The first row that may show something on the lower lip's side."""
        reached = upper[:, 1].amax((0, 2)) >= self._lip_rows[0]
        return int(reached.int().argmax()) if reached.any() else len(reached) - 1

    def _last_row(self, *places: Tensor) -> int:
        """Rows, one or more, down to the last that may show something above the lips' line."""
        lowest = torch.minimum(*(place[:, 1].amin((0, 2)) for place in places))
        reached = (lowest <= self._lip_rows[1]).nonzero()
        return int(reached[-1]) + 1 if len(reached) else 1

    def _shade(self, response: Response, aus: Tensor) -> Tensor:
        """Diffuse light (3) and highlights (1) on the neutral face's maps: (T, 4, S, S)."""
        scene = self.scene
        normal = response.by(aus, response.normal)
        normal += scene.normal
        normal *= normal.square().sum(1, keepdim=True).clamp_(min=1e-8).rsqrt_()
        diffuse, shine = scene.lights.shade(normal, scene.shadow)
        folds = response.by(aus, response.fold_shade)
        diffuse *= torch.exp(-folds) * scene.openness
        return torch.cat([diffuse, shine * scene.gloss], 1)

    def _draw_eyes(self, colour: Tensor, eyes: list[Tensor], motion: Motion) -> None:
        scene, k = self.scene, self.scene.camera.pixels_per_cm
        edge = max(1.0, 0.1 * k)
        lash = max(0.55, 0.085 * k)
        for levels, area in zip(eyes, scene.eyes.boxes, strict=True):
            top, bottom, left, right = scene.window.rows_and_columns(area)
            _, upper, lower, _, opening, y = levels
            place = motion.behind(scene.eyes.depth, (slice(top, bottom), slice(left, right)))
            box = (..., slice(top, bottom), slice(left, right))
            ball = sample(scene.eyes.ball[None], place, scene.camera.size)
            under = ((y - upper) / (0.28 * k)).clamp(0, 1)
            ball = ball * (0.45 + 0.55 * under)[:, None]
            present = (opening / edge).clamp(0, 1)
            seen = ((y - upper) / edge + 0.5).clamp(0, 1) * ((lower - y) / edge + 0.5).clamp(0, 1)
            skin = torch.lerp(colour[box], ball, (seen * present)[:, None])
            dark = 0.85 * torch.exp(-(((y - upper + 0.3 * lash) / lash) ** 2))
            dark = dark + 0.35 * torch.exp(-(((y - lower) / (0.8 * lash)) ** 2))
            colour[box] = skin * (1 - (dark * present.sqrt()).clamp(max=0.9))[:, None]

    def _landmarks(self, motion: Motion) -> Tensor:
        chosen = list(LANDMARK_VERTICES)
        points = self.scene.vertices[chosen].T[None, :, :, None]  # (1, 2, 68, 1)
        lower = torch.zeros(68, 1, dtype=torch.bool, device=self.device)
        lower[list(_BELOW)] = True
        count = len(motion.pose)
        moved = motion.forward(points.expand(count, -1, -1, -1), lower)
        return self.scene.window.place(moved[..., 0].mT) - 0.5

    def _seen_at(self, motion: Motion) -> _Seen:
        """What each pixel of one frame shows."""
        scene, size = self.scene, self.scene.camera.size
        upper, eyes = motion.close_lids(motion.origin(motion.upper))
        on_lower = sample(scene.texture[None, 4:], upper, size)[0, 0] < 0.5
        place = torch.where(on_lower, motion.origin(motion.lower), upper)
        cover = sample(scene.texture[None, 3:4], place, size)[0, 0] > 0.5
        ball = torch.zeros_like(cover)
        for levels, area in zip(eyes, scene.eyes.boxes, strict=True):
            top, bottom, left, right = scene.window.rows_and_columns(area)
            _, high, low, _, opening, y = levels[:, 0]
            ball[top:bottom, left:right] = (y > high) & (y < low) & (opening > 0.5)
        overlay, before = None, None
        if scene.overlay is not None:
            before = motion.behind(self._layer_depth)
            overlay = sample(scene.overlay.colour[None, 3:], before, size)[0, 0] > 0.5
        return _Seen(place, on_lower, cover, ball, motion.behind(scene.eyes.depth), overlay, before)

    def _flow(self, seen: _Seen, motion: Motion) -> Tensor:
        """Displacement of what each pixel showed: (T, 2, H, W)."""
        count = len(motion.pose)
        skin = motion.forward(seen.place.expand(count, -1, -1, -1), seen.on_lower)
        ball = motion.follow(seen.behind, self.scene.eyes.depth)
        window = self.scene.window
        scale = torch.tensor(window.scale, device=self.device)[:, None, None]
        moved, shown = torch.where(seen.ball, ball, skin), seen.cover
        if seen.overlay is not None and seen.before is not None:
            moved = torch.where(seen.overlay, motion.follow(seen.before, self._layer_depth), moved)
            shown = shown | seen.overlay
        return (moved - window.centres(self.device)) * scale * shown

    def _expose(self) -> float:
        """Exposure that brings a face's mean close to a camera's usual level."""
        picture = self.render(torch.zeros(1, len(CONDITION_AUS), 2)).frames[0]
        (right, down), k = self.scene.camera.axis, 5.0 * self.scene.camera.pixels_per_cm
        area = (down - k, down + k, right - k, right + k)
        top, bottom, left, right = self.scene.window.rows_and_columns(area)
        level = picture[:, top:bottom, left:right].square().mean().item()
        return float((0.3 / max(level, 1e-3)) ** self.subject.look.metering)


def _rows_of_the_lip_line(scene: Scene) -> tuple[float, float]:
    """The first and last row of the neutral image that has both sides of the lips' line."""
    above = scene.texture[4]
    below_one, above_zero = (
        side.any(1).nonzero() for side in (above < 1 - _NOTHING, above > _NOTHING)
    )
    cell = scene.camera.size / len(above)
    return (int(below_one[0]) - 1) * cell, (int(above_zero[-1]) + 2) * cell
