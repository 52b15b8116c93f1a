"""Draw docs/images/framing.png: faces in the named framings.

Above, phantom subjects and a photograph framed as head, below framed as tight.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage.data import astronaut

from mersynth.face.align import alignment_of
from mersynth.face.detect import find_face
from mersynth.face.template import FRAMINGS, Framing
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

SIZE = 192
SUBJECTS = (701, 703, 704, 707)


def main() -> None:
    """Write the image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the image")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        np.hstack([*(rendered(number, framing) for number in SUBJECTS), photographed(framing)])
        for framing in FRAMINGS.values()
    ]
    picture = np.vstack(rows) & 0xFC  # the last bits are noise to the eye, and most of the file
    path = str(out / "framing.png")
    cv2.imwrite(path, picture[..., ::-1].copy(), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def rendered(number: int, framing: Framing) -> np.ndarray:
    """A phantom subject at rest: (S, S, 3) uint8."""
    renderer = PhantomRenderer(PhantomSubject.sample(number), SIZE, framing=framing)
    frame = renderer.render(torch.zeros(1, len(CONDITION_AUS), 2)).frames[0]
    return (frame * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def photographed(framing: Framing) -> np.ndarray:
    """The astronaut, aligned: (S, S, 3) uint8."""
    image = astronaut()
    return alignment_of(find_face(image), SIZE, framing).apply(image)


if __name__ == "__main__":
    main()
