"""Draw docs/images/face_alignment.png: faces as found, and as aligned.

Above, a photograph with the five points that MTCNN finds, and the face aligned by them. Below, a
turned, shrunk and shifted phantom frame with its true landmarks, and the face aligned by those.
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
from mersynth.face.face import Face
from mersynth.face.template import five_points
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

IMAGE_SIZE = 128
PANEL = 384
SUBJECT = 4
TURN, SHRINK, SHIFT = 20.0, 0.55, (40.0, -25.0)  # degrees, factor, pixels
BOX, POINTS, OUTSIDE = (255, 210, 0), (0, 235, 120), (225, 225, 225)


def main() -> None:
    """Write the image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the image")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    picture = np.vstack([draw_photograph(), draw_phantom()])
    picture = picture & 0xFC  # the last bits are noise to the eye, and most of the file
    path = str(out / "face_alignment.png")
    cv2.imwrite(path, picture[..., ::-1].copy(), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def draw_photograph() -> np.ndarray:
    """The astronaut with its box and points, and aligned: (H, W, 3) uint8."""
    image = astronaut()
    face = find_face(image)
    assert face.points is not None
    alignment = alignment_of(face, IMAGE_SIZE)
    ratio = PANEL / IMAGE_SIZE
    aligned = _enlarged(alignment.apply(image))
    places = (alignment.apply_points(face.points) + 0.5) * ratio - 0.5
    scale = PANEL / image.shape[0]
    found = cv2.resize(image, (PANEL, PANEL), interpolation=cv2.INTER_AREA)
    left, top, right, bottom = (round(side * scale) for side in face.box)
    cv2.rectangle(found, (left, top), (right, bottom), BOX, 2)
    return _row(
        _titled(_dotted(found, (face.points + 0.5) * scale - 0.5), "found: MTCNN"),
        _titled(_dotted(aligned, places), "aligned by eyes and mouth"),
    )


def draw_phantom() -> np.ndarray:
    """A moved phantom frame with its landmarks, and aligned: (H, W, 3) uint8."""
    renderer = PhantomRenderer(PhantomSubject.sample(SUBJECT), PANEL)
    rendered = renderer.render(torch.zeros(1, len(CONDITION_AUS), 2))
    frame = (rendered.frames[0] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    matrix = cv2.getRotationMatrix2D(((PANEL - 1) / 2,) * 2, TURN, SHRINK)
    matrix[:, 2] += SHIFT
    moved = cv2.warpAffine(frame, matrix, (PANEL, PANEL), borderValue=OUTSIDE)
    landmarks = rendered.landmarks[0].numpy() @ matrix[:, :2].T + matrix[:, 2]
    face = Face(
        (*landmarks.min(0), *landmarks.max(0)), landmarks, five_points(landmarks), 1.0, "feat"
    )
    alignment = alignment_of(face, IMAGE_SIZE)
    aligned = _enlarged(alignment.apply(moved))
    ratio = PANEL / IMAGE_SIZE
    places = (alignment.apply_points(landmarks) + 0.5) * ratio - 0.5
    return _row(
        _titled(_dotted(moved, landmarks), "turned, shrunk, shifted"),
        _titled(_dotted(aligned, places), "aligned by 68 landmarks"),
    )


def _enlarged(aligned: np.ndarray) -> np.ndarray:
    return cv2.resize(aligned, (PANEL, PANEL), interpolation=cv2.INTER_NEAREST)


def _dotted(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    image = image.copy()
    for x, y in points:
        cv2.circle(image, (round(float(x)), round(float(y))), 2, POINTS, -1, cv2.LINE_AA)
    return image


def _titled(image: np.ndarray, title: str) -> np.ndarray:
    strip = np.full((28, image.shape[1], 3), 255, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(strip, title, (4, 19), font, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
    return np.vstack([strip, image])


def _row(*panels: np.ndarray) -> np.ndarray:
    gap = np.full((panels[0].shape[0], 8, 3), 255, np.uint8)
    return np.hstack([panels[0], gap, panels[1]])


if __name__ == "__main__":
    main()
