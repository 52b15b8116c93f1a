"""Pictures of a synthetic store: contact sheet and GIFs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.marks import Mark, mark_of, picture_options
from mersynth.pages.pictures import DIFFERENCE_GAIN, difference
from mersynth.store.clip_store import ClipStore, StoredClip
from mersynth.synthesis.generators import ClipGenerator

_TILE = 160
_GAP = 6
_MARGIN = 132
_HEAD = 34
_INK, _PAPER, _GREY = (32, 33, 36), (255, 255, 255), (110, 113, 120)
_COLUMNS = ("onset", "apex", f"difference x{DIFFERENCE_GAIN}", "mask")


def draw_pictures(
    store: ClipStore, generator: ClipGenerator, faces: Mapping[str, StoredClip]
) -> None:
    """Write pictures of the strongest clips into a synthetic store's folder.

    ``contact_sheet.png``; ``classes.gif``, one clip per class side by side; and ``gifs/``, three
    clips of each class.

    Args:
        store: a synthetic store.
        generator: a generator that made clips in it; its masks are shown.
        faces: for each clip that it made, by id, the clip whose first frame it moved.
    """
    emotions = list(dict.fromkeys(clip.emotion for clip in store.clips))
    own = store.filter(lambda clip: clip.id in faces)
    shown = [_strongest(own, emotion, count=3) for emotion in emotions]
    firsts = [items[0] for items in shown]
    mark = mark_of(item.clip for item in firsts)
    sheet = contact_sheet(firsts, generator, faces)
    sheet.save(store.path / "contact_sheet.png", **picture_options(".png", mark))
    save_gif(class_strip(firsts), store.path / "classes.gif", mark)
    gifs = store.path / "gifs"
    gifs.mkdir(exist_ok=True)
    for items in shown:
        for item in items:
            pictures = [_enlarge(frame) for frame in item.frames]
            save_gif(pictures, gifs / f"{_file_name(item)}.gif", mark_of([item.clip]))


def contact_sheet(
    items: Sequence[StoredClip], generator: ClipGenerator, faces: Mapping[str, StoredClip]
) -> Image.Image:
    """One row per clip: onset, apex, their magnified difference, the mask at the apex."""
    width = _MARGIN + len(_COLUMNS) * (_TILE + _GAP)
    sheet = Image.new("RGB", (width, _HEAD + len(items) * (_TILE + _GAP)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(17), ImageFont.load_default(14)
    for column, name in enumerate(_COLUMNS):
        x = _MARGIN + column * (_TILE + _GAP)
        draw.text((x + _TILE / 2, _HEAD / 2), name, _GREY, small, anchor="mm")
    for row, item in enumerate(items):
        y = _HEAD + row * (_TILE + _GAP)
        draw.text((12, y + _TILE / 2 - 10), item.clip.emotion, _INK, title, anchor="lm")
        draw.text((12, y + _TILE / 2 + 12), f"AU {item.clip.aus}", _GREY, small, anchor="lm")
        for column, tile in enumerate(_tiles(item, generator, faces[item.clip.id])):
            sheet.paste(_enlarge(tile), (_MARGIN + column * (_TILE + _GAP), y))
    return sheet


def class_strip(items: Sequence[StoredClip]) -> list[Image.Image]:
    """The clips side by side with their classes below, one picture per frame."""
    label = ImageFont.load_default(15)
    pictures = []
    for frame in range(min(len(item.frames) for item in items)):
        strip = Image.new("RGB", (len(items) * (_TILE + _GAP) - _GAP, _TILE + _HEAD), _PAPER)
        draw = ImageDraw.Draw(strip)
        for column, item in enumerate(items):
            x = column * (_TILE + _GAP)
            strip.paste(_enlarge(item.frames[frame]), (x, 0))
            draw.text((x + _TILE / 2, _TILE + _HEAD / 2), item.clip.emotion, _INK, label, "mm")
        pictures.append(strip)
    return pictures


def save_gif(
    pictures: Sequence[Image.Image], path: Path, mark: Mark | None, milliseconds: int = 70
) -> None:
    """Save pictures as a looping GIF, slowed down, with a pause at the end, and marked."""
    # One palette for all frames: separate palettes would flicker more than the face moves.
    palette = pictures[len(pictures) // 2].quantize(256, dither=Image.Dither.NONE)
    indexed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in pictures]
    pauses = [milliseconds] * (len(indexed) - 1) + [6 * milliseconds]
    marked = picture_options(".gif", mark)
    indexed[0].save(
        path, save_all=True, append_images=indexed[1:], duration=pauses, loop=0, **marked
    )


def _enlarge(frame: np.ndarray) -> Image.Image:
    return Image.fromarray(frame).resize((_TILE, _TILE), Image.Resampling.LANCZOS)


def _strongest(store: ClipStore, emotion: str, count: int) -> list[StoredClip]:
    """The clips of a class that move most, of different subjects; closing lids count little."""
    others = [i for i, au in enumerate(CONDITION_AUS) if au != 43]
    lids = CONDITION_AUS.index(43)
    chosen: dict[str, tuple[float, int]] = {}
    for i, clip in enumerate(store.clips):
        if clip.emotion == emotion:
            curve = store[i].intensities.mean(2)  # a one-sided AU counts half
            moved = (curve[:, others] - curve[0, others]).sum(axis=1).max()
            strength = float(moved - curve[:, lids].max())
            chosen[clip.subject_id] = max(chosen.get(clip.subject_id, (-2.0, i)), (strength, i))
    return [store[i] for _, i in sorted(chosen.values(), reverse=True)[:count]]


def _tiles(item: StoredClip, generator: ClipGenerator, face: StoredClip) -> list[np.ndarray]:
    apex = item.clip.apex_index or 0
    onset_frame, apex_frame = item.frames[0], item.frames[apex]
    mask = generator.show(face, np.array(item.intensities), apex).mask.cpu().numpy()
    grey = np.repeat((255 * mask).astype(np.uint8)[..., None], 3, axis=-1)
    change = difference(onset_frame, apex_frame)
    return [np.array(onset_frame), np.array(apex_frame), change, grey]


def _file_name(item: StoredClip) -> str:
    return f"{item.clip.emotion}_{item.clip.subject}_{item.clip.name}"
