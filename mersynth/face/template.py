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

CASCADE_BOX = (0.121, 0.045, 0.879, 0.802)
"""Where the box of the LBP cascade lies on the aligned face: left, top, right, bottom as shares.

The mean over the same 30 subjects; it spans the forehead to the lower lip."""

FACE_BOX = (0.119, 0.06, 0.881, 0.941)
"""Where the box of RetinaFace lies on the aligned face: jaw to jaw, hairline to chin.

So WIDER FACE, on which it was trained, boxes faces; this was not measured, as CASCADE_BOX was."""


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
