"""How well a reader of AUs follows the phantom's, whose intensities are known.

    mersynth prepare --source phantom
    mersynth prepare --source phantom --strength macro --out stores/phantom_macro
    python scripts/measure_au_reader.py stores/phantom stores/phantom_macro \
        --intensities blendshapes=face_landmarker.task --out docs/au_reader.md

For each AU: the correlation of read and true change since the onset, over all frames and both
sides; how much is read of what is shown, the slope of the line through 0 that fits best; and the
correlation of the differences between left and right, where clips of one side show it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from measuring.documents import command, document, paragraph, table

from mersynth import logs
from mersynth.face.au_reader import AUReader, choose_reader
from mersynth.face.framing import FramedClip
from mersynth.face.template import face_box
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.sources.base import ClipFiles
from mersynth.sources.cut import Cut
from mersynth.store.clip_store import ClipStore

LEAST = 0.1  # an AU that no frame shows so strongly is left out
APART = 0.2  # least difference between the sides of an AU that a clip shows more on one


def main() -> None:
    """Read the stores, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", type=Path, nargs="+", help="stores of rendered clips")
    parser.add_argument("--intensities", required=True, help="as of mersynth prepare: v2, v1 or "
                        "blendshapes=FILE.task")  # fmt: skip
    parser.add_argument("--clips", type=int, default=60, help="of each store, evenly spread")
    parser.add_argument("--out", type=Path, default=Path("docs/au_reader.md"))
    options = parser.parse_args()
    logs.set_up(debug=False)
    if options.intensities.partition("=")[0] in ("none", "openface", "libreface"):
        parser.error("--intensities must name what reads frames: v2, v1 or blendshapes=FILE.task")
    reader = choose_reader(options.intensities, 0.0)
    if reader is None:
        parser.error(f"--intensities {options.intensities} finds no reader on this machine")
    parts = [
        "# How well a reader follows AUs that are known",
        "Made by",
        command(),
        paragraph(
            f"{reader.facts['tool']}, on up to {options.clips} clips of each store. Change since "
            "the onset: correlation of read and true, over frames and both sides; how much is read "
            f"of what is shown; of the clips whose sides differ by {APART} or more, in how many "
            "the reader says which is stronger, in the frame in which they differ most. AUs of "
            f"which a frame shows {LEAST} or more; empty: the reader does not give them."
        ),
    ]
    for path in options.stores:
        store = ClipStore.open(path)
        true, read = measured(reader, store, options.clips)
        frames = sum(map(len, read))
        lost = sum(int(np.isnan(clip).all((1, 2)).sum()) for clip in read)
        strength = "/".join(sorted({clip.strength for clip in store.clips}))
        parts.append(f"## {path.name}: {strength}-expressions, {store.image_size} pixels")
        parts.append(f"{len(read)} clips, {frames} frames, {lost} without a face for the reader.")
        head = ("AU", "strongest shown", "correlation", "read of it", "the right side")
        parts.append(table(head, rows(true, read)))
    options.out.write_text(document(parts))


def measured(
    reader: AUReader, store: ClipStore, clips: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """True and read change since the onset, (T, 20, 2), of some clips of a store."""
    chosen = np.unique(np.linspace(0, len(store) - 1, clips).astype(int))
    box = None if store.framing is None else face_box(store.image_size, store.framing)
    side, true, read = store.image_size, [], []
    with logs.progress(f"reading {store.path.name}", len(chosen), "clips") as advance:
        for i in chosen.tolist():
            item = store[i]
            framed = FramedClip(
                item.clip, ClipFiles(item.clip, ()), Cut.whole(side, side, side), None
            )
            found = reader.read(framed, item.frames, box).intensities
            found = found if found.ndim == 3 else np.stack([found, found], axis=-1)
            true.append(item.intensities - item.intensities[:1])
            read.append(found - found[:1])
            advance(1)
    return true, read


def rows(true: Sequence[np.ndarray], read: Sequence[np.ndarray]) -> list[list[str]]:
    """A row of the table for each AU that is shown; empty where the reader does not give it."""
    found = []
    for i, au in enumerate(CONDITION_AUS):
        shown = np.concatenate([clip[:, i] for clip in true])
        seen = np.concatenate([clip[:, i] for clip in read])
        if np.nanmax(shown) < LEAST:
            continue
        known = np.isfinite(seen).all(1)
        cells = [str(au), f"{np.nanmax(shown):.2f}", "", "", ""]
        if known.any():
            x, y = shown[known].ravel(), seen[known].ravel()
            pairs = zip(true, read, strict=True)
            cells[2:] = [correlation(x, y), f"{x @ y / (x @ x):.2f}", sides(i, pairs)]
        found.append(cells)
    return found


def sides(column: int, clips: Iterable[tuple[np.ndarray, np.ndarray]]) -> str:
    """In how many clips of one side, of how many, an AU is read more on that side; as text."""
    right = total = 0
    for true, read in clips:
        apart = true[:, column, 0] - true[:, column, 1]
        frame = int(np.abs(apart).argmax())
        if abs(apart[frame]) >= APART:
            total += 1
            right += apart[frame] * (read[frame, column, 0] - read[frame, column, 1]) > 0
    return f"{right} of {total}" if total else ""


def correlation(x: np.ndarray, y: np.ndarray) -> str:
    """Pearson's, as text; a dash where one of them never changes."""
    return "-" if np.ptp(x) == 0 or np.ptp(y) == 0 else f"{np.corrcoef(x, y)[0, 1]:.2f}"


if __name__ == "__main__":
    main()
