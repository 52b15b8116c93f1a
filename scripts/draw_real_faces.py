"""Draw real faces that show AUs, by the AU warp and by the shipped AU-ICGAN, side by side.

    python scripts/draw_real_faces.py [PICTURE ...] [--out docs/images/real_faces.jpg]

The pictures (photos or videos) are prepared as by ``mersynth prepare --source folder``, at 256
pixels; by default scikit-image's astronaut is drawn, a public-domain picture. The columns are the
face at rest and AU sets; the rows of a face are the warp and AU-ICGAN at macro strength, and both
at the strength of a micro-expression.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from drawing.pictures import SIZE, prepare_pictures
from PIL import Image

from mersynth import logs
from mersynth.face.template import HEAD
from mersynth.facs.action_units import condition_vector, parse_au_cell
from mersynth.gan.checkpoint import SHIPPED
from mersynth.store.clip_store import StoredClip
from mersynth.store.dataset import to_uint8
from mersynth.synthesis.generators import ClipGenerator, IcganGenerator
from mersynth.synthesis.warp_generator import WarpGenerator

AU_SETS = ("1+2", "4+7", "6+12", "9+10", "15+17", "L14", "25", "12+25+26")
STRENGTHS = {"macro": 0.9, "micro": 0.3}
MARGIN = 28
INK = (20, 20, 20)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="*", help="photos and films of faces")
    parser.add_argument("--out", type=Path, default=Path("docs/images/real_faces.jpg"))
    arguments = parser.parse_args()
    logs.set_up(debug=False)
    with tempfile.TemporaryDirectory() as folder:
        sheet = draw(arguments.pictures, Path(folder))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(arguments.out, quality=88)


def draw(pictures: list[Path], folder: Path) -> np.ndarray:
    """The sheet of all faces: (H, W, 3) uint8."""
    faces = prepare_pictures(pictures, folder)
    makers: list[ClipGenerator] = [WarpGenerator(), IcganGenerator(SHIPPED)]
    for maker in makers:
        maker.load(SIZE, torch.device("cpu"), faces.framing or HEAD)
    rows = [
        _row(maker, face, f"{name}, {kind}", strength)
        for face in faces
        for kind, strength in STRENGTHS.items()
        for maker, name in zip(makers, ("AU warp", "AU-ICGAN"), strict=True)
    ]
    titles = np.full((MARGIN, rows[0].shape[1], 3), 255, np.uint8)
    for column, title in enumerate(("at rest", *AU_SETS)):
        _write(titles, title, MARGIN + column * SIZE + 6)
    return np.vstack([titles, *rows])


def _row(maker: ClipGenerator, face: StoredClip, title: str, strength: float) -> np.ndarray:
    """A face at rest, and showing the AU sets."""
    peaks = [condition_vector(parse_au_cell(cell), unlettered=strength) for cell in AU_SETS]
    curves = np.stack([np.zeros_like(peaks[0]), *peaks])
    frames = to_uint8(maker.animate([face], curves[None])[0])
    margin = np.full((MARGIN, SIZE, 3), 255, np.uint8)
    _write(margin, title, 6)
    return np.hstack([np.rot90(margin), *frames])


def _write(strip: np.ndarray, text: str, at: int) -> None:
    cv2.putText(strip, text, (at, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)


if __name__ == "__main__":
    main()
