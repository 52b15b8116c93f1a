"""A picture of how far micro- and macro-expressions move, before and after EMR."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_WIDTH, _PANEL, _HEAD, _FOOT, _SIDE = 720, 170, 46, 26, 52  # pixels
_BINS = 30
_INK, _PAPER, _GREY, _RULE = (32, 33, 36), (255, 255, 255), (110, 113, 120), (218, 220, 224)
_COLOURS = {"micro": (31, 119, 180), "macro": (230, 126, 34)}
_SCALE = 2  # drawn larger and shrunk, which smooths edges


def motion_histogram(
    before: Tensor, after: Tensor, macro: Tensor, target: float | None = None
) -> Image.Image:
    """Draw the motion of the apexes before and after EMR, two histograms on one axis.

    The bars of micro- and of macro-expressions each sum to 1; vertical lines mark the medians.

    Args:
        before: (B,) apex motion in pixels, for instance ``EMR.params["before"]``.
        after: (B,) likewise.
        macro: (B,) bool, which samples are macro-expressions.
        target: the wanted motion in pixels, drawn as a dashed line.

    Returns:
        The picture, RGB.

    Raises:
        ValueError: if the three differ in shape, there is no sample, or a motion is not finite.

    Example:
        >>> import torch
        >>> motion = torch.rand(8)
        >>> motion_histogram(motion, 2 * motion, torch.arange(8) < 4).size
        (720, 436)
    """
    values = [_checked(name, v, macro) for name, v in (("before", before), ("after", after))]
    is_macro = macro.cpu().numpy().astype(bool)
    top = _nice(max(target or 0.0, *(float(v.max()) for v in values)) * 1.02)
    edges = np.linspace(0, top, _BINS + 1)
    groups = {"micro": ~is_macro, "macro": is_macro}
    shares = [
        {
            name: np.histogram(v[rows], edges)[0] / max(1, rows.sum())
            for name, rows in groups.items()
        }
        for v in values
    ]
    highest = max(float(s.max()) for panel in shares for s in panel.values())
    height = 2 * (_HEAD + _PANEL) + 4
    image = Image.new("RGB", (_WIDTH * _SCALE, height * _SCALE), _PAPER)
    draw = ImageDraw.Draw(image, "RGBA")
    for row, (title, v, share) in enumerate(zip(("before", "after"), values, shares, strict=True)):
        base = row * (_HEAD + _PANEL) + _HEAD + _PANEL - _FOOT
        panel = _Panel(draw, base, top, highest)
        panel.axis(title)
        for name, rows in groups.items():
            if rows.any():
                panel.bars(share[name], _COLOURS[name])
        for place, (name, rows) in enumerate(groups.items()):
            if rows.any():
                panel.median(float(np.median(v[rows])), int(rows.sum()), name, place)
        if target is not None:
            panel.target(target)
    return image.resize((_WIDTH, height), Image.Resampling.LANCZOS)


class _Panel:
    """One histogram; its base line lies at ``base``, in pixels of the finished picture."""

    def __init__(self, draw: ImageDraw.ImageDraw, base: int, top: float, highest: float) -> None:
        self.draw, self.base, self.top, self.highest = draw, base, top, highest
        self.small, self.large = (ImageFont.load_default(size * _SCALE) for size in (12, 15))
        self.room = _PANEL - _FOOT

    def x(self, motion: float) -> float:
        return (_SIDE + (_WIDTH - 2 * _SIDE) * motion / self.top) * _SCALE

    def y(self, share: float) -> float:
        return (self.base - self.room * 0.94 * share / self.highest) * _SCALE

    def axis(self, title: str) -> None:
        for step in range(6):
            motion = self.top * step / 5
            mark = (self.x(motion), (self.base + 6) * _SCALE)
            unit = " px" if step == 5 else ""
            self.draw.text(mark, f"{motion:.3g}{unit}", _GREY, self.small, anchor="mt")
        ends = [(self.x(0), self.y(0)), (self.x(self.top), self.y(0))]
        self.draw.line(ends, _RULE, 2 * _SCALE)
        place = (_SIDE * _SCALE, (self.base - self.room - _HEAD / 2) * _SCALE)
        self.draw.text(place, title, _INK, self.large, anchor="lm")

    def bars(self, shares: np.ndarray, colour: tuple[int, int, int]) -> None:
        width = self.top / len(shares)
        for i, share in enumerate(shares):
            if share:
                box = (self.x(i * width) + 1, self.y(share), self.x((i + 1) * width) - 1, self.y(0))
                self.draw.rectangle(box, (*colour, 130))

    def median(self, motion: float, count: int, name: str, place: int) -> None:
        colour = _COLOURS[name]
        top = self.base - self.room
        self.draw.line([(self.x(motion), top * _SCALE), (self.x(motion), self.y(0))], colour,
                       2 * _SCALE)  # fmt: skip
        words = f"{name}: median {motion:.2f} px, {count} clips"
        corner = ((_WIDTH - _SIDE) * _SCALE, (top - _HEAD / 2 + 16 * (place - 0.5)) * _SCALE)
        self.draw.text(corner, words, colour, self.small, anchor="rm")

    def target(self, motion: float) -> None:
        for start in range(self.base - self.room, self.base, 8):
            ends = [(self.x(motion), y * _SCALE) for y in (start, start + 4)]
            self.draw.line(ends, _INK, _SCALE)
        place = (self.x(motion), (self.base - self.room - 6) * _SCALE)
        self.draw.text(place, f"target {motion:.3g} px", _INK, self.small, anchor="mb")


def _checked(name: str, motion: Tensor, macro: Tensor) -> np.ndarray:
    if motion.dim() != 1 or not len(motion) or motion.shape != macro.shape:
        raise ValueError(
            f"{name} and macro must both be (B,), with B of 1 or more, got {tuple(motion.shape)} "
            f"and {tuple(macro.shape)}"
        )
    values = motion.detach().double().cpu().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {values[~np.isfinite(values)][0]}")
    return values


def _nice(value: float) -> float:
    """The smallest of 1, 2, 3, 4, 5, 8, 10 times a power of ten that is not below a value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(power * step for step in (1, 2, 3, 4, 5, 8, 10) if power * step >= value))
