"""Draw the phantom for the documentation: subjects at rest, and one subject showing each AU.

    python scripts/draw_phantom.py [--out docs/images]
    python scripts/draw_phantom.py --sheets
    python scripts/draw_phantom.py --population

Writes ``phantom_subjects.png`` and ``phantom_aus.png``; with ``--sheets`` instead one sheet of 40
people per AU, ``phantom_aus/au01.jpg`` and so on; with ``--population`` 40 people of the wide
population at rest and in posed expressions, ``phantom_population/rest.jpg`` and so on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.optics.sensor import to_bytes
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.phantom.variety import WIDE

SUBJECTS = range(10)
SUBJECT_SIZE = 256
AU_SUBJECT = 45
AU_SIZE = 192
COLUMNS = {"subjects": 5, "aus": 7, "sheets": 8}
SHEET_SUBJECTS = range(40)
SHEET_SIZE = 112
MOST_BYTES = 100_000  # of a sheet
EXPRESSIONS: dict[str, tuple[int, ...]] = {
    "rest": (),
    "happiness": (6, 12),
    "anger": (4, 5, 7, 23),
    "surprise": (1, 2, 5, 26),
    "disgust": (9, 15, 17),
    "fear": (1, 2, 4, 5, 20),
    "sadness": (1, 4, 15),
    "contempt": (14,),  # on the left side of every second person, on the right of the others
}
"""AUs of the expressions that are posed, P. Ekman and W. Friesen, EMFACS; at intensity 1."""


def main() -> None:
    """Write both images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("docs/images"), help="folder of the images"
    )
    parser.add_argument("--sheets", action="store_true", help="40 people showing each AU")
    parser.add_argument("--population", action="store_true", help="40 people as recordings differ")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    if options.sheets:
        (out / "phantom_aus").mkdir(exist_ok=True)
        for au, sheet in zip(CONDITION_AUS, draw_sheets(), strict=True):
            _write(out / "phantom_aus" / f"au{au:02d}.jpg", sheet, COLUMNS["sheets"])
        return
    if options.population:
        (out / "phantom_population").mkdir(exist_ok=True)
        for name, sheet in draw_population().items():
            _write(out / "phantom_population" / f"{name}.jpg", sheet, COLUMNS["sheets"])
        return
    _write(out / "phantom_subjects.png", draw_subjects(), COLUMNS["subjects"])
    _write(out / "phantom_aus.png", draw_aus(), COLUMNS["aus"])


def draw_subjects() -> np.ndarray:
    """Subjects at rest: (N, H, W, 3) uint8."""
    rest = torch.zeros(1, len(CONDITION_AUS), 2)
    renderers = (PhantomRenderer(PhantomSubject.sample(n), SUBJECT_SIZE) for n in SUBJECTS)
    return np.concatenate([to_bytes(renderer.render(rest).frames) for renderer in renderers])


def draw_aus() -> np.ndarray:
    """One subject at rest, then showing each AU at its strongest: (21, H, W, 3) uint8."""
    count = len(CONDITION_AUS)
    aus = torch.cat([torch.zeros(1, count), torch.eye(count)])[:, :, None].expand(-1, -1, 2)
    renderer = PhantomRenderer(PhantomSubject.sample(AU_SUBJECT), AU_SIZE)
    frames = to_bytes(renderer.render(aus).frames)
    for frame, name in zip(frames, ["neutral", *map(str, CONDITION_AUS)], strict=True):
        cv2.putText(
            frame, name, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA
        )
    return frames


def draw_sheets() -> np.ndarray:
    """Every AU at its strongest on many subjects: (20, N, H, W, 3) uint8."""
    aus = torch.eye(len(CONDITION_AUS))[:, :, None].expand(-1, -1, 2)
    people = (PhantomRenderer(PhantomSubject.sample(n), SHEET_SIZE) for n in SHEET_SUBJECTS)
    return np.stack([to_bytes(person.render(aus).frames) for person in people], axis=1)


def draw_population() -> dict[str, np.ndarray]:
    """The wide population at rest and in posed expressions: (N, H, W, 3) uint8 each."""
    aus = torch.zeros(len(EXPRESSIONS), len(CONDITION_AUS), 2)
    for row, numbers in zip(aus, EXPRESSIONS.values(), strict=True):
        row[[CONDITION_AUS.index(au) for au in numbers]] = 1.0
    contempt = list(EXPRESSIONS).index("contempt")
    drawn = []
    for number in SHEET_SUBJECTS:
        subject, shown = WIDE.person(number), aus.clone()
        shown[contempt, :, number % 2] = 0
        noise = torch.Generator().manual_seed(number)
        frames = PhantomRenderer(subject, SHEET_SIZE).render(shown, noise_generator=noise).frames
        drawn.append(to_bytes(frames, subject.look.jpeg))
    return dict(zip(EXPRESSIONS, np.stack(drawn, axis=1), strict=True))


def _write(path: Path, frames: np.ndarray, columns: int) -> None:
    count, height, width, _ = frames.shape
    grid = frames.reshape(count // columns, columns, height, width, 3)
    grid = grid.transpose(0, 2, 1, 3, 4).reshape(count // columns * height, columns * width, 3)
    if path.suffix == ".png":
        grid = grid & 0xFC  # the last bits are noise to the eye, and most of the file
        cv2.imwrite(str(path), grid[..., ::-1].copy(), [cv2.IMWRITE_PNG_COMPRESSION, 9])
        return
    for quality in range(85, 20, -5):
        cv2.imwrite(str(path), grid[..., ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if path.stat().st_size <= MOST_BYTES:
            return
    raise ValueError(f"{path} has more than {MOST_BYTES} bytes at any quality: draw fewer people")


if __name__ == "__main__":
    main()
