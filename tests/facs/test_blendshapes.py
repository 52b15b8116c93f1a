"""The table of blendshapes and AUs."""

from __future__ import annotations

import numpy as np
import pytest

from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS
from mersynth.facs.blendshapes import BLENDSHAPES, aus_of_blendshapes

# Those of Apple's ARFaceAnchor.BlendShapeLocation that MediaPipe's face landmarker gives, too.
ARKIT = [
    "browDown*", "browInnerUp", "browOuterUp*", "cheekPuff", "cheekSquint*", "eyeBlink*",
    "eyeLookDown*", "eyeLookIn*", "eyeLookOut*", "eyeLookUp*", "eyeSquint*", "eyeWide*",
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimple*", "mouthFrown*",
    "mouthFunnel", "mouthLeft", "mouthLowerDown*", "mouthPress*", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmile*",
    "mouthStretch*", "mouthUpperUp*", "noseSneer*",
]  # fmt: skip
NAMES = [n.replace("*", side) for n in ARKIT for side in (("Left", "Right") if "*" in n else ("",))]


def read(**scores: float) -> dict[int, list[float]]:
    """AUs that are read as more than 0, left and right."""
    values = aus_of_blendshapes(dict.fromkeys(NAMES, 0.0) | scores)
    return {
        au: [round(float(v), 3) for v in value]
        for au, value in zip(CONDITION_AUS, values, strict=True)
        if np.nan_to_num(value).any()
    }


def test_the_table_names_blendshapes_that_exist() -> None:
    assert {shape for shapes in BLENDSHAPES.values() for shape in shapes} <= set(ARKIT)
    assert len(NAMES) == 51  # and "_neutral", which MediaPipe puts first
    values = aus_of_blendshapes(dict.fromkeys(NAMES, 0.5))
    assert values.shape == (20, 2)
    assert [au for au, v in zip(CONDITION_AUS, values, strict=True) if np.isnan(v).any()] == [
        11,
        23,
    ]


def test_sides_are_kept() -> None:
    assert read(mouthSmileLeft=0.7, mouthSmileRight=0.2) == {12: [0.7, 0.2]}
    assert read(browInnerUp=0.4) == {1: [0.4, 0.4]}
    assert read(mouthPressLeft=0.3) == {24: [0.3, 0.3]}  # no lip is pressed on one side alone


def test_aus_that_several_blendshapes_show() -> None:
    assert read(jawOpen=0.6) == {25: [0.6, 0.6], 26: [0.6, 0.6]}
    assert read(mouthLowerDownRight=0.3) == {25: [0.3, 0.3]}
    assert read(mouthRollUpper=0.2, mouthRollLower=0.5) == {28: [0.5, 0.5]}


def test_only_aus_with_sides_differ_by_side() -> None:
    rng = np.random.default_rng(0)
    values = aus_of_blendshapes({name: rng.uniform() for name in NAMES})
    for au, (left, right) in zip(CONDITION_AUS, values, strict=True):
        if not ACTION_UNITS[au].lateral:
            assert left == right or np.isnan(left)


def test_a_missing_blendshape() -> None:
    with pytest.raises(KeyError, match="browOuterUpLeft"):
        aus_of_blendshapes({"browInnerUp": 0.5})
