"""Draw the phantom for the documentation: subjects at rest, and one subject showing each AU.

    python scripts/draw_phantom.py [--out docs/images]
    python scripts/draw_phantom.py --sheets

Writes ``phantom_subjects.png`` and ``phantom_aus.png``; with ``--sheets`` instead a sheet of 40
people for each AU, ``phantom_aus/au01.jpg`` and so on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.sources.phantom.render import PhantomRenderer
from mersynth.sources.phantom.subject import PhantomSubject

SUBJECTS = range(10)
SUBJECT_SIZE = 256
AU_SUBJECT = 45
AU_SIZE = 192
COLUMNS = {"subjects": 5, "aus": 7, "sheets": 8}
SHEET_SUBJECTS = range(40)
SHEET_SIZE = 112


def main() -> None:
    """Write both images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("docs/images"), help="folder of the images"
    )
    parser.add_argument("--sheets", action="store_true", help="40 people showing each AU")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    if options.sheets:
        (out / "phantom_aus").mkdir(exist_ok=True)
        for au, sheet in zip(CONDITION_AUS, draw_sheets(), strict=True):
            _write(out / "phantom_aus" / f"au{au:02d}.jpg", sheet, COLUMNS["sheets"])
        return
    _write(out / "phantom_subjects.png", draw_subjects(), COLUMNS["subjects"])
    _write(out / "phantom_aus.png", draw_aus(), COLUMNS["aus"])


def draw_subjects() -> np.ndarray:
    """Subjects at rest: (N, H, W, 3) uint8."""
    rest = torch.zeros(1, len(CONDITION_AUS), 2)
    renderers = (PhantomRenderer(PhantomSubject.sample(n), SUBJECT_SIZE) for n in SUBJECTS)
    return np.concatenate([_bytes(renderer.render(rest).frames) for renderer in renderers])


def draw_aus() -> np.ndarray:
    """One subject at rest, then showing each AU at its strongest: (21, H, W, 3) uint8."""
    count = len(CONDITION_AUS)
    aus = torch.cat([torch.zeros(1, count), torch.eye(count)])[:, :, None].expand(-1, -1, 2)
    renderer = PhantomRenderer(PhantomSubject.sample(AU_SUBJECT), AU_SIZE)
    frames = _bytes(renderer.render(aus).frames)
    for frame, name in zip(frames, ["neutral", *map(str, CONDITION_AUS)], strict=True):
        cv2.putText(
            frame, name, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA
        )
    return frames


def draw_sheets() -> np.ndarray:
    """Every AU at its strongest on many subjects: (20, N, H, W, 3) uint8."""
    aus = torch.eye(len(CONDITION_AUS))[:, :, None].expand(-1, -1, 2)
    people = (PhantomRenderer(PhantomSubject.sample(n), SHEET_SIZE) for n in SHEET_SUBJECTS)
    return np.stack([_bytes(person.render(aus).frames) for person in people], axis=1)


def _bytes(frames: torch.Tensor) -> np.ndarray:
    return (frames * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def _write(path: Path, frames: np.ndarray, columns: int) -> None:
    count, height, width, _ = frames.shape
    grid = frames.reshape(count // columns, columns, height, width, 3)
    grid = grid.transpose(0, 2, 1, 3, 4).reshape(count // columns * height, columns * width, 3)
    options = [cv2.IMWRITE_JPEG_QUALITY, 85]
    if path.suffix == ".png":
        grid = grid & 0xFC  # the last bits are noise to the eye, and most of the file
        options = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    cv2.imwrite(str(path), grid[..., ::-1].copy(), options)


if __name__ == "__main__":
    main()
