"""How far AUs move real faces: the shipped AU-ICGAN beside the AU warp.

    python scripts/measure_photographs.py PICTURE ... --frames build/photographs
    build/reader/bin/python scripts/read_blendshapes.py build/photographs/icgan.npz \
        --model face_landmarker.task --out build/photographs/icgan.json
    build/reader/bin/python scripts/read_blendshapes.py build/photographs/warp.npz \
        --model face_landmarker.task --out build/photographs/warp.json
    python scripts/measure_photographs.py --readings build/photographs --out docs/photographs.md

The first command prepares photos and films as ``mersynth prepare --source folder`` does, at 256
pixels, and lets both generators show each AU at intensity 1 on every face. The reader, MediaPipe's
face landmarker in a separate environment, says where brows, lids, nose and lips then are
(``scripts/read_blendshapes.py``). The last one writes the table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawing.pictures import prepare_pictures
from measuring.documents import document, paragraph, table

from mersynth import logs
from mersynth.face.template import HEAD
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import SHIPPED
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import to_uint8
from mersynth.synthesis.generators import ClipGenerator, IcganGenerator
from mersynth.synthesis.warp_generator import WarpGenerator

NAMES = {"warp": "AU warp", "icgan": "AU-ICGAN"}
# Where each AU is to be seen: a place of read_blendshapes.PLACES, and one beside it for some.
SHOWN_AT = {
    1: "inner brow", 2: "outer brow", 4: "inner brow", 5: "upper lid", 6: "lower lid",
    7: "lower lid", 9: "nose wing", 10: "upper lip", 11: "nose wing", 12: "lip corner",
    14: "lip corner", 15: "lip corner", 17: "lower lip", 20: "lip corner", 23: "lip corner",
    24: "lower lip", 25: "lower lip", 26: "lower lip", 28: "lower lip", 43: "upper lid",
}  # fmt: skip


def main() -> None:
    """Write the frames, or the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="*", help="photos and films of faces")
    parser.add_argument("--frames", type=Path, help="folder to write the moved faces to")
    parser.add_argument("--readings", type=Path, help="folder with the reader's readings of them")
    parser.add_argument("--out", type=Path, default=Path("docs/photographs.md"))
    options = parser.parse_args()
    logs.set_up(debug=False)
    if (options.frames is None) == (options.readings is None):
        parser.error("give --frames, with pictures, or --readings")
    if options.frames is not None:
        with tempfile.TemporaryDirectory() as folder:
            faces = prepare_pictures(options.pictures, Path(folder))
            options.frames.mkdir(parents=True, exist_ok=True)
            write_frames(faces, options.frames)
        return
    missing = [n for n in NAMES if not (options.readings / f"{n}.json").is_file()]
    if missing:
        parser.error(f"{options.readings} lacks {missing[0]}.json: read {missing[0]}.npz first")
    readings = {n: json.loads((options.readings / f"{n}.json").read_text()) for n in NAMES}
    options.out.write_text(describe(readings), encoding="utf-8")


def write_frames(faces: ClipStore, folder: Path) -> None:
    """Each face at rest and showing each AU, by both generators."""
    curve = np.zeros((1 + len(CONDITION_AUS), len(CONDITION_AUS), 2), np.float32)
    for row in range(len(CONDITION_AUS)):
        curve[row + 1, row] = 1
    makers: dict[str, ClipGenerator] = {"warp": WarpGenerator(), "icgan": IcganGenerator(SHIPPED)}
    for name, maker in makers.items():
        maker.load(faces.image_size, torch.device("cpu"), faces.framing or HEAD)
        made = [to_uint8(maker.animate([face], curve[None])[0]) for face in faces]
        np.savez(folder / f"{name}.npz", x=np.stack(made), shown=[str(au) for au in CONDITION_AUS])


def describe(readings: dict[str, Any]) -> str:
    """The document."""
    people = readings["icgan"]["people"]
    rows = []
    for au in CONDITION_AUS:
        place = SHOWN_AT[au]
        cells = [str(au), place]
        for name in NAMES:
            right, down = readings[name]["moves"][str(au)][place]
            cells += [f"{np.hypot(right, down):.1f}", f"{right:+.1f}", f"{-down:+.1f}"]
        rows.append(cells)
    head = ["AU", "place"]
    for name in NAMES.values():
        head += [name, "outwards", "up"]
    text = f"""
        {people} faces of photographs and films not made for this purpose, moved by each AU at
        intensity 1, at 256 pixels. MediaPipe's landmarks say how far the AU's typical place moves,
        in percent of the distance between the eyes' centres, as the mean of both sides
        and of all faces, after the faces were aligned by eye corners and the bridge of
        the nose. *Outwards* is away from the middle of the face. Made by the commands in the script
        `scripts/measure_photographs.py`.
        """
    return document(
        ["# How far AUs move real faces", paragraph(text), table(head, rows, words=(0, 1))]
    )


if __name__ == "__main__":
    main()
