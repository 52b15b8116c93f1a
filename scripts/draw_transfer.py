"""Draw clips and the faces that follow them: onset, apex, and their magnified difference.

    python scripts/draw_transfer.py [--out docs/images/transfer.jpg]

Three clips of phantom subjects, of 256 pixels. Their AU curves are read from motion alone; another
phantom subject and scikit-image's astronaut, a public-domain picture, follow them.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from drawing.faces import SIZE as PANEL
from drawing.panels import Panel, panel, sheet
from PIL import Image
from skimage.data import astronaut

from mersynth import logs
from mersynth.clips import Clip, Strength
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.pages.pictures import DIFFERENCE_GAIN, difference
from mersynth.phantom.population import ClipSpec, clip_specs, render_clip, write_store
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_float
from mersynth.store.writer import StoreWriter
from mersynth.transfer import transfer

SIZE = 256
WIDTH = 170  # of a panel, pixels
CLIPS: dict[str, Strength] = {"1+2": "micro", "R12": "micro", "4+6+7+9": "macro"}
FIRST_SUBJECT, FACE = 5100, 6001
TELL = 0.08  # a smaller intensity is not written


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/transfer.jpg"))
    arguments = parser.parse_args()
    logs.set_up(debug=False)
    with tempfile.TemporaryDirectory() as folder:
        picture = draw(Path(folder))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(arguments.out, quality=90)


def draw(folder: Path) -> Image.Image:
    """The sheet: a column of three panels for each clip; driving, phantom and photo below."""
    photo = folder / "astronaut.png"
    Image.fromarray(astronaut()).save(photo)
    faces = write_store(
        folder / "face", image_size=SIZE, subjects=1, counts={"other": 1}, first_subject=FACE
    ).path
    rows: list[list[Panel]] = [[], [], []]
    for number, (cell, strength) in enumerate(CLIPS.items()):
        driving = _driving(folder / f"driving_{number}", cell, strength, FIRST_SUBJECT + number)
        rows[0] += _panels(driving, f"driving: {cell}, {strength}")
        for row, face in ((1, faces), (2, photo)):
            made = transfer(
                driving.clip.id,
                face,
                store=folder / f"driving_{number}",
                out=folder / f"made_{number}_{row}",
                overrides=["curve=motion"],
            )
            rows[row] += _panels(made[0], f"read: {_said(made[0])}")
    return sheet(*rows)


def _driving(path: Path, cell: str, strength: Strength, subject: int) -> StoredClip:
    spec = clip_specs(
        subjects=1, counts={"other": 1}, strength=strength, first_subject=subject, fps=50.0
    )[0]
    clip: Clip = replace(spec.clip, aus=cell)
    arrays = render_clip(ClipSpec(clip, spec.subject, spec.seed), SIZE)
    with StoreWriter(path, [clip], SIZE, {"source": "phantom", "licence": "rendered"}) as writer:
        writer.add(*arrays)
        return writer.finish()[0]


def _panels(item: StoredClip, said: str) -> list[Panel]:
    """Onset with what there is to say, apex, difference."""
    onset, apex = np.array(item.frames[0]), np.array(item.frames[item.clip.apex_index or 0])
    texts = (said, "apex", f"difference x{DIFFERENCE_GAIN}")
    return [
        panel(
            to_float(cv2.resize(image, (PANEL, PANEL), interpolation=cv2.INTER_AREA)),
            text,
            width=WIDTH,
        )
        for image, text in zip((onset, apex, difference(onset, apex)), texts, strict=True)
    ]


def _said(item: StoredClip) -> str:
    """The AUs of the apex, with sides where they differ."""
    parts = []
    for number, (left, right) in zip(
        CONDITION_AUS, item.intensities[item.clip.apex_index or 0], strict=True
    ):
        side = "" if abs(left - right) < 0.5 * max(left, right) else "L" if left > right else "R"
        if max(left, right) >= TELL:
            parts.append(f"{side}{number} {max(left, right):.2f}")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
