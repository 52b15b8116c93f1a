"""Draw real faces that show AUs, by the AU warp and by the shipped AU-ICGAN, side by side.

    python scripts/draw_real_faces.py [PICTURE ...] [--out docs/images/real_faces.png]

The pictures (photos or films) are prepared as ``mersynth prepare --source folder`` does; without
any, scikit-image's astronaut is drawn, who is in the public domain. For each face the upper row is
the warp and the lower AU-ICGAN: the face at rest, then each of eight AU sets at macro strength.
Eyes and mouth of the template are marked in the first column.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.data import astronaut

from mersynth import logs
from mersynth.dataset import to_uint8
from mersynth.face.template import TEMPLATE, five_points
from mersynth.facs.action_units import condition_vector, parse_au_cell
from mersynth.gan.checkpoint import SHIPPED
from mersynth.prepare import prepare
from mersynth.sources.media import kind_of
from mersynth.store import ClipStore
from mersynth.synthesis.generators import ClipGenerator, IcganGenerator
from mersynth.synthesis.warp_generator import WarpGenerator

AU_SETS = ("1+2", "4+7", "6+12", "9+10", "15+17", "25", "26", "12+25+26")
STRENGTH = 0.9
WARP_SIZE = 128
PANEL = 128
MARK = (0, 235, 120)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="*", help="photos and films of faces")
    parser.add_argument("--out", type=Path, default=Path("docs/images/real_faces.png"))
    arguments = parser.parse_args()
    logs.set_up(debug=False)
    with tempfile.TemporaryDirectory() as folder:
        sheet = draw(arguments.pictures, Path(folder))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), sheet[..., ::-1].copy(), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def draw(pictures: list[Path], folder: Path) -> np.ndarray:
    """The sheet of all faces: (H, W, 3) uint8."""
    if not pictures:
        pictures = [folder / "astronaut.png"]
        Image.fromarray(astronaut()).save(pictures[0])
    makers: list[ClipGenerator] = [WarpGenerator(), IcganGenerator(SHIPPED)]
    rows = [_moved(maker, _prepared(pictures, folder, maker)) for maker in makers]
    titles = np.full((28, PANEL * (1 + len(AU_SETS)), 3), 255, np.uint8)
    for column, title in enumerate(("at rest", *AU_SETS)):
        where = (column * PANEL + 6, 19)
        cv2.putText(titles, title, where, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20,) * 3, 1, cv2.LINE_AA)
    by_face = [row for pair in zip(*rows, strict=True) for row in pair]
    return np.vstack([titles, *by_face])


def _prepared(pictures: list[Path], folder: Path, maker: ClipGenerator) -> ClipStore:
    size = maker.image_size or WARP_SIZE
    maker.load(size, torch.device("cpu"))
    films = [path for path in pictures if kind_of(path) == "video"]
    photos = [path for path in pictures if path not in films]
    return prepare("folder", out=folder / maker.name, images=photos, videos=films, image_size=size)


def _moved(maker: ClipGenerator, faces: ClipStore) -> list[np.ndarray]:
    """For each face a row: at rest, and showing the AU sets."""
    peaks = [condition_vector(parse_au_cell(cell), unlettered=STRENGTH) for cell in AU_SETS]
    curves = np.stack([np.zeros_like(peaks[0]), *peaks])
    rows = []
    for face in faces:
        # AU-ICGAN's frames are counted from the face's own intensities, which a photo has not.
        frames = to_uint8(maker.animate([face], curves[None])[0])
        panels = [cv2.resize(f, (PANEL, PANEL), interpolation=cv2.INTER_CUBIC) for f in frames]
        for x, y in five_points(TEMPLATE)[[0, 1, 3, 4]] * PANEL:
            cv2.circle(panels[0], (round(float(x)), round(float(y))), 2, MARK, -1, cv2.LINE_AA)
        rows.append(np.hstack(panels))
    return rows


if __name__ == "__main__":
    main()
