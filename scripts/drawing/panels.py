"""Panels with text beneath, and sheets of them."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from drawing.faces import SIZE, Sample, aus_of
from mersynth.augment.mirror import MIDLINE, SUBJECT_RIGHT

GAP, LINE = 6, 18  # pixels between panels, and of a line of text
INK, RULE, MARK = (32, 33, 36), (200, 200, 200), (214, 39, 40)
LEFT, RIGHT, MIDDLE = (255, 150, 30), (70, 160, 255), (255, 255, 255)
DOT = 1.7  # radius of a landmark
Panel = Image.Image


def panel(
    image: Tensor, text: str, landmarks: Tensor | None = None, width: int = 208, mark: bool = False
) -> Panel:
    """An image (3, H, W) in [0, 1] with text beneath, its landmarks (68, 2), and a frame."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    scale = width / SIZE
    side = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    face = Image.fromarray(pixels).resize(side, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(face)
    for i, (x, y) in enumerate([] if landmarks is None else landmarks.tolist()):
        colour = MIDDLE if i in MIDLINE else RIGHT if i in SUBJECT_RIGHT else LEFT
        x, y = (x + 0.5) * scale, (y + 0.5) * scale
        draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), colour)
    if mark:
        draw.rectangle((0, 0, side[0] - 1, side[1] - 1), outline=MARK, width=3)
    lines = text.count("\n") + 1 if text else 0
    whole = Image.new("RGB", (width, side[1] + lines * LINE + (4 if lines else 0)), "white")
    whole.paste(face, ((width - side[0]) // 2, 0))
    font = ImageFont.load_default(13)
    ImageDraw.Draw(whole).multiline_text((1, side[1] + 3), text, INK, font, spacing=3)
    return whole


def difference(image: Tensor, reference: Tensor, gain: float) -> Tensor:
    """(3, H, W): where an image is brighter than a reference in red, where darker in blue."""
    change = (gain * (image - reference).mean(0)).clamp(-1, 1)
    more, less = change.clamp(min=0), -change.clamp(max=0)
    return torch.stack([1 - less, 1 - (more + less), 1 - more])


def sheet(*rows: list[Panel]) -> Image.Image:
    """Rows of panels below each other."""
    width = max(sum(p.width + GAP for p in row) for row in rows) + GAP
    height = sum(max(p.height for p in row) + GAP for row in rows) + GAP
    picture = Image.new("RGB", (width, height), "white")
    y = GAP
    for row in rows:
        x = GAP
        for part in row:
            picture.paste(part, (x, y))
            x += part.width + GAP
        y += max(p.height for p in row) + GAP
    return picture


def apex(sample: Sample, text: str, index: int = 0, marks: bool = False) -> Panel:
    """The panel of a sample's last frame."""
    points = sample["landmarks"][index, -1] if marks else None
    return panel(sample["clip"][index, -1], text, points)


def named(sample: Sample, text: str, index: int = 0, marks: bool = False) -> Panel:
    """:func:`apex` with the sample's AUs beneath the text."""
    return apex(sample, f"{text}\n{aus_of(sample['au_set'][index])}", index, marks)


def timeline(curve: Tensor, marked: tuple[int, int], lanes: dict[str, list[Tensor]]) -> Image.Image:
    """A curve over frames, and under it a lane of bars for each rule: onsets, then apexes."""
    width, left, high, low = 714, 128, 70, 46
    picture = Image.new("RGB", (width, high + low * len(lanes) + 24), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    step = (width - left - 10) / len(curve)

    def x(frame: float) -> float:
        return left + (frame + 0.5) * step

    for frame in marked:
        draw.line((x(frame), 0, x(frame), picture.height - 22), MARK, 1)
    heights = (high - 6 - (high - 14) * curve / curve.max()).tolist()
    draw.line([(x(i), height) for i, height in enumerate(heights)], INK, 2)
    draw.text((0, high / 2), "AU intensity", INK, font, anchor="lm")
    for row, (name, counts) in enumerate(lanes.items()):
        base = high + (row + 1) * low - 6
        draw.text((0, base - low / 2 + 4), name, INK, font, anchor="lm")
        draw.line((x(-0.5), base, x(len(curve) - 0.5), base), RULE, 1)
        for count, colour in zip(counts, (RIGHT, LEFT), strict=True):
            for i in count.nonzero()[:, 0].tolist():
                top = base - (low - 10) * count[i].item() / count.sum().item()
                draw.rectangle((x(i) - step / 3, top, x(i) + step / 3, base), colour)
    for i in range(0, len(curve), 5):
        draw.text((x(i), picture.height - 16), str(i), INK, font, anchor="mt")
    draw.text((0, picture.height - 16), "frame", INK, font, anchor="lt")
    return picture
