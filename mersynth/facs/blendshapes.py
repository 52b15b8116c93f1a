"""MediaPipe's blendshapes as AUs.

Its 52 blendshapes have the names and meanings of Apple's ARKit, whose documentation says in words
what each moves (``ARFaceAnchor.BlendShapeLocation``). Which AU that is follows M. Ozel's "ARKit to
FACS" cheat sheet (melindaozel.com/arkit-to-facs-cheat-sheet), as does py-feat's map of regions
(``feat.utils.region_maps``). Three AUs are not read one to one:

- 25: no blendshape parts the lips by itself. ``mouthLowerDown`` is AU 16, which is scored with 25
  where it parts them (FACS manual), and so is the open jaw;
- 28: a lip sucked in alone, above or below, is an AU 28 too (T28, B28);
- 43: ``eyeBlink`` is a lid that closes, for whatever time; AU 45 differs from 43 only by it.

AU 11 and AU 23 have no blendshape, and are not measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS, SIDES

BLENDSHAPES: Mapping[int, tuple[str, ...]] = {
    1: ("browInnerUp",),
    2: ("browOuterUp*",),
    4: ("browDown*",),
    5: ("eyeWide*",),
    6: ("cheekSquint*",),
    7: ("eyeSquint*",),
    9: ("noseSneer*",),
    10: ("mouthUpperUp*",),
    12: ("mouthSmile*",),
    14: ("mouthDimple*",),
    15: ("mouthFrown*",),
    17: ("mouthShrugLower",),
    20: ("mouthStretch*",),
    24: ("mouthPress*",),
    25: ("mouthLowerDown*", "jawOpen"),
    26: ("jawOpen",),
    28: ("mouthRollLower", "mouthRollUpper"),
    43: ("eyeBlink*",),
}
"""Blendshapes that show an AU; ``*`` stands for ``Left`` or ``Right``, the subject's own sides."""


def aus_of_blendshapes(scores: Mapping[str, float]) -> np.ndarray:
    """AU intensities of a face's blendshapes: of each AU the strongest of its blendshapes.

    Args:
        scores: in [0, 1], by the names of ARKit and MediaPipe.

    Returns:
        (20, 2) float32 in [0, 1], rows as ``CONDITION_AUS``, then ``SIDES``; NaN for AUs without a
        blendshape. Both sides are equal where AU or blendshape has none.

    Raises:
        KeyError: if a blendshape of :data:`BLENDSHAPES` is missing.

    Example:
        >>> smile = dict.fromkeys(_all_names(), 0.0) | {"mouthSmileLeft": 0.5}
        >>> aus_of_blendshapes(smile)[CONDITION_AUS.index(12)].tolist()
        [0.5, 0.0]
    """
    values = np.full((len(CONDITION_AUS), len(SIDES)), np.nan, np.float32)
    for au, shapes in BLENDSHAPES.items():
        sides = [
            max(scores[shape.replace("*", side.capitalize())] for shape in shapes) for side in SIDES
        ]
        values[CONDITION_AUS.index(au)] = sides if ACTION_UNITS[au].lateral else max(sides)
    return values


def _all_names() -> list[str]:
    """The names of the blendshapes that are read."""
    shapes = [shape for shapes in BLENDSHAPES.values() for shape in shapes]
    return [shape.replace("*", side) for shape in shapes for side in ("Left", "Right")]
