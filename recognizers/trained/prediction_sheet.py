"""What was predicted, as a picture: a row a clip, with its probabilities as bars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mersynth.pages.pictures import DIFFERENCE_GAIN, difference
from mersynth.store.clip_store import ClipStore, StoredClip
from recognizers.trained.recognizer import Prediction

MOST = 24
"""Clips on a sheet."""

_TILE, _GAP, _MARGIN, _HEAD, _LINE = 128, 6, 12, 44, 20
_NAME, _BAR, _VALUE = 250, 150, 48  # widths of the columns of text and bars
_INK, _PAPER, _GREY = (32, 33, 36), (255, 255, 255), (110, 113, 120)
_CHOSEN, _OTHER, _RAIL = (26, 115, 232), (168, 176, 188), (238, 240, 243)


def draw_sheet(prediction: Prediction, store: ClipStore | None) -> Image.Image:
    """Onset, apex, their difference magnified, and the probability of each class, clip by clip.

    Args:
        prediction: of more than 24 clips 24 are shown, evenly spread over them.
        store: that of the clips; None: there are no frames, and the bars stand alone.
    """
    count = len(prediction.clips)
    shown = np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int))
    frames = {} if store is None else {item.clip.id: item for item in store}
    tiles = 3 if frames else 0
    label = 2 * _MARGIN + int(max(_font(14).getlength(name) for name in prediction.classes))
    width = _NAME + tiles * (_TILE + _GAP) + label + _BAR + _VALUE + _MARGIN
    height = _row_height(prediction, tiles)
    sheet = Image.new("RGB", (width, _HEAD + len(shown) * height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    of = f"{len(shown)} of {count} clips" if len(shown) < count else f"clips: {count}"
    draw.text((_MARGIN, _HEAD / 2), of, _GREY, _font(14), anchor="lm")
    for column, name in enumerate(("onset", "apex", f"difference x{DIFFERENCE_GAIN}")[:tiles]):
        x = _NAME + column * (_TILE + _GAP) + _TILE / 2
        draw.text((x, _HEAD / 2), name, _GREY, _font(14), anchor="mm")
    for place, row in enumerate(shown.tolist()):
        top = _HEAD + place * height
        middle = top + (height - _GAP) / 2
        _name(draw, prediction, row, middle)
        if frames:
            _paste(sheet, frames, prediction.clips[row].id, top + (height - _GAP - _TILE) // 2)
        left = _NAME + tiles * (_TILE + _GAP) + label
        _bars(draw, prediction, row, left, middle)
    return sheet


def _row_height(prediction: Prediction, tiles: int) -> int:
    bars = _LINE * len(prediction.classes) + _LINE // 2
    return _GAP + max(bars, _TILE if tiles else 3 * _LINE)


def _name(draw: ImageDraw.ImageDraw, prediction: Prediction, row: int, middle: float) -> None:
    clip = prediction.clips[row]
    best = prediction.probabilities[row].max()
    lines = (
        (f"{prediction.predicted[row]}  {best:.2f}", 17, _INK),
        (clip.subject_id, 13, _GREY),
        (clip.name, 13, _GREY),
    )
    for number, (text, size, colour) in enumerate(lines):
        y = middle + (number - 1) * _LINE
        draw.text(
            (_MARGIN, y), _fitting(text, size, _NAME - 2 * _MARGIN), colour, _font(size), "lm"
        )


def _paste(sheet: Image.Image, frames: Mapping[str, StoredClip], clip_id: str, top: int) -> None:
    item = frames[clip_id]
    place = item.clip.apex_index
    apex = item.frames[len(item.frames) // 2 if place is None else place]
    for column, tile in enumerate((item.frames[0], apex, difference(item.frames[0], apex))):
        picture = Image.fromarray(np.array(tile))
        picture = picture.resize((_TILE, _TILE), Image.Resampling.LANCZOS)
        sheet.paste(picture, (_NAME + column * (_TILE + _GAP), top))
    if place is None:
        draw = ImageDraw.Draw(sheet)
        x = _NAME + _TILE + _GAP
        draw.rectangle((x, top, x + _TILE, top + _LINE), _PAPER)
        draw.text((x + 2, top + _LINE / 2), "no apex: the middle", _INK, _font(13), "lm")


def _bars(
    draw: ImageDraw.ImageDraw, prediction: Prediction, row: int, left: int, middle: float
) -> None:
    probabilities = prediction.probabilities[row]
    best = int(probabilities.argmax())
    for number, (name, p) in enumerate(zip(prediction.classes, probabilities, strict=True)):
        y = middle + (number - (len(prediction.classes) - 1) / 2) * _LINE
        chosen = number == best
        draw.text((left - 8, y), name, _INK if chosen else _GREY, _font(14), anchor="rm")
        draw.rectangle((left, y - 6, left + _BAR, y + 6), _RAIL)
        draw.rectangle((left, y - 6, left + _BAR * float(p), y + 6), _CHOSEN if chosen else _OTHER)
        draw.text((left + _BAR + 8, y), f"{p:.2f}", _INK if chosen else _GREY, _font(14), "lm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fitting(text: str, size: int, width: int) -> str:
    """A text cut in its middle to a width in pixels."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    kept = len(text)
    while kept > 2 and font.getlength(f"{text[: kept // 2]}...{text[-(kept // 2) :]}") > width:
        kept -= 1
    return f"{text[: kept // 2]}...{text[-(kept // 2) :]}"
