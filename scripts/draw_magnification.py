"""Draw a phantom's weak smile and frown, magnified, for the documentation.

    python scripts/draw_magnification.py [--out docs/images/magnification.png]

One row per expression: onset, apex, the rendered truth at alpha times the motion, and the results
of linear Eulerian magnification and MagNet. The shipped weights never saw the subject.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring.magnification import magnifiers

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.motion.magnify.checkpoint import load_magnet
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

SUBJECTS = (6003, 6010)
SIZE = 128  # pixels, as measure_magnification renders by default
SHOWN = 192  # side of a face in the picture, in pixels
STRIP = 24  # height of the headings' strip
EXPRESSIONS = ((6, 12), (1, 4, 15))
ALPHA = 6.0
HEADINGS = ("onset", "apex", f"truth x {ALPHA:g}", f"Eulerian x {ALPHA:g}", f"MagNet x {ALPHA:g}")


@torch.inference_mode()
def draw() -> np.ndarray:
    """The picture: (H, W, 3) uint8."""
    methods = magnifiers(load_magnet())
    rows = []
    for number, aus in zip(SUBJECTS, EXPRESSIONS, strict=True):
        peak = torch.zeros(len(CONDITION_AUS), 2)
        peak[[CONDITION_AUS.index(au) for au in aus]] = 0.9
        renderer = PhantomRenderer(PhantomSubject.sample(number), SIZE)
        share = torch.tensor([0, 1 / ALPHA, 1])[:, None, None]
        seen = renderer.render(share * peak, noise_generator=torch.Generator().manual_seed(0))
        onset, apex = seen.frames[:1], seen.frames[1:2]
        truth = renderer.render(share * peak).frames[2:]
        made = [methods[name](onset, apex, ALPHA) for name in ("eulerian", "magnet")]
        rows.append(torch.cat([onset, apex, truth, *made], 3)[0])
    picture = (torch.cat(rows, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    factor = SHOWN / SIZE
    faces = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    strip = np.full((STRIP, faces.shape[1], 3), 255, np.uint8)
    for column, heading in enumerate(HEADINGS):
        place = (column * SHOWN + 6, STRIP - 8)
        cv2.putText(
            strip, heading, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1, cv2.LINE_AA
        )
    return np.concatenate([strip, faces])


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/magnification.png"))
    out: Path = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    pixels = draw() & 0xFC  # the last bits are noise to the eye, and most of the file
    cv2.imwrite(str(out), pixels[..., ::-1].copy(), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
