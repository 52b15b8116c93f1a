"""Framings: where eyes and mouth lie, and which numbers are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from mersynth.face.align import (
    alignment_from_box,
    alignment_from_landmarks,
    alignment_of,
    what_is_odd,
)
from mersynth.face.detect import find_face
from mersynth.face.template import (
    AUTO,
    FACE_BOX,
    HEAD,
    TEMPLATE,
    TIGHT,
    Framing,
    FramingChoice,
    face_box,
    five_points,
    framing_in,
)
from mersynth.prepare.command import prepare
from mersynth.store.clip_store import StoreError
from tests.tiny_store import tiny_clips, write_tiny_store

OTHER = Framing(eyes=0.3, apart=0.4, aspect=1.1)
# MediaPipe's eyes and mouth corners on the astronaut (tests/face/test_real_faces.py).
ASTRONAUT = np.array([(203, 101), (246, 103), (202, 139), (244, 140)], float)


@pytest.mark.parametrize("framing", [HEAD, TIGHT, OTHER], ids=str)
def test_the_template_lies_as_the_numbers_say(framing: Framing) -> None:
    right, left, _, *corners = five_points(framing.place(TEMPLATE))
    assert left[0] - right[0] == pytest.approx(framing.apart, abs=2e-4)
    assert (right[1] + left[1]) / 2 == pytest.approx(framing.eyes, abs=1e-6)
    assert (right[0] + left[0]) / 2 == pytest.approx(0.5)
    assert np.mean(corners, 0)[1] == pytest.approx(framing.mouth)
    # The face's proportions are the template's, except for the squeezing.
    high = (framing.mouth - framing.eyes) / framing.aspect
    assert high / framing.apart == pytest.approx((HEAD.mouth - HEAD.eyes) / HEAD.apart)


def test_the_named_ones() -> None:
    np.testing.assert_array_equal(HEAD.place(TEMPLATE), TEMPLATE)
    # CASME II's cropped release and published flow images.
    assert (TIGHT.eyes, TIGHT.apart) == (0.26, 0.58)
    assert TIGHT.mouth == pytest.approx(0.77, abs=0.005)
    assert str(TIGHT).startswith("tight (eyes at 0.26 of the height")
    expected = np.array(FACE_BOX, np.float32) * 64 - 0.5
    np.testing.assert_allclose(face_box(64), expected, rtol=1e-6)
    assert face_box(64, TIGHT).tolist() == [0, 0, 63, 63]  # the face goes beyond the frame


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"name": "wide"}, "framing must be one of auto, head, tight, got 'wide'"),
        ({"eyes": 0.9}, r"framing.eyes must lie in 0.1..0.6, got 0.9"),
        ({"apart": -1}, r"framing.apart must lie in 0.1..0.75, got -1"),
        ({"aspect": float("nan")}, r"framing.aspect must lie in 0.5..1.5, got nan"),
        ({"eyes": "low"}, r"framing.eyes must be a number in 0.1..0.6, got 'low'"),
        ({"apart": True}, r"framing.apart must be a number in 0.1..0.75, got True"),
        ({"name": "tight", "eyes": 0.5}, "the mouth at 1.01; both must lie in 0..0.95"),
        ({"eyes": 0.1, "apart": 0.7}, "the brows lie at -0.20 of the height"),
    ],
)
def test_impossible_framings_are_refused(numbers: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FramingChoice(**numbers)  # type: ignore[arg-type]


def test_numbers_take_the_place_of_the_named_one_s() -> None:
    assert AUTO.framing(HEAD) == HEAD
    assert FramingChoice("tight").framing(HEAD) == TIGHT
    assert FramingChoice("tight", eyes=0.3).framing(HEAD) == Framing(0.3, 0.58, 0.84)
    assert FramingChoice(eyes=0.26, apart=0.58).framing(HEAD) == Framing(0.26, 0.58, 1.0)
    assert FramingChoice(eyes=0.3).framing(TIGHT) == Framing(0.3, 0.58, 0.84)


def test_what_a_record_says() -> None:
    assert framing_in({}) == HEAD  # made before framings were recorded
    assert framing_in({"framing": None}) is None
    assert framing_in({"framing": OTHER.as_dict()}) == OTHER


def test_a_store_with_a_damaged_framing_is_reported(tmp_path: Path) -> None:
    for number, framing in enumerate(["tight", {"eyes": 7, "apart": 0.5, "aspect": 1}]):
        header = {"source": "samm", "framing": framing}
        with pytest.raises(StoreError, match=r"framing|eyes"):
            write_tiny_store(tmp_path / str(number), tiny_clips(subjects=1), header=header)


@pytest.mark.parametrize("framing", [TIGHT, OTHER], ids=str)
def test_landmarks_and_boxes_are_aligned_to_a_framing(framing: Framing) -> None:
    turn = 100 * np.array([[0.8, 0.6], [-0.6, 0.8]])
    points = TEMPLATE @ turn + (50, 20)
    expected = framing.landmarks(90, 90)
    for given in (points, five_points(points)):
        alignment = alignment_from_landmarks(given, 90, framing)
        np.testing.assert_allclose(alignment.apply_points(points), expected, atol=1e-3)
        assert alignment.scale == pytest.approx(0.9 * framing.scale.min(), rel=1e-4)
        assert what_is_odd(given, 90, framing) is None
    box = tuple(np.array(FACE_BOX) * 200)
    alignment = alignment_from_box(box, 90, framing=framing)
    np.testing.assert_allclose(alignment.apply_points(TEMPLATE * 200), expected, atol=0.3)


def test_odd_faces_are_reported_in_eye_distances_in_any_framing() -> None:
    points = 200 * five_points(TEMPLATE)
    points[3:, 0] += 0.7 * 200 * HEAD.apart  # a mouth beside the face
    said = [what_is_odd(points, 80, framing) for framing in (HEAD, TIGHT, OTHER)]
    assert said[0] == said[1] == said[2]
    assert said[0] is not None
    assert "eye distances from where an aligned face has it" in said[0]
    turned = 200 * five_points(TEMPLATE)
    turned[:, 0] = 100 + 0.6 * (turned[:, 0] - 100)  # looks sideways: its eyes lie near together
    assert what_is_odd(turned, 80) is None
    assert "eyes or mouth would lie outside the square" in str(what_is_odd(turned, 80, TIGHT))


@pytest.mark.parametrize("framing", [TIGHT, Framing(0.3, 0.4, 1.0)], ids=str)
def test_a_real_face_is_aligned_to_a_framing(framing: Framing) -> None:
    face = find_face(data.astronaut())
    shown = alignment_of(face, 128, framing).apply_points(ASTRONAUT)
    shown = (shown + 0.5) / 128
    assert shown[1, 0] - shown[0, 0] == pytest.approx(framing.apart, abs=0.015)
    assert shown[:2, 1].mean() == pytest.approx(framing.eyes, abs=0.02)
    assert shown[:2, 0].mean() == pytest.approx(0.5, abs=0.015)
    # The mouth is her own, which a smile raises.
    assert -0.12 < shown[2:, 1].mean() - framing.mouth < 0


def test_prepare_frames_a_photo_and_records_it(tmp_path: Path) -> None:
    path = tmp_path / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    stores = {
        name: prepare("folder", out=tmp_path / name, images=[path], framing=FramingChoice(name))
        for name in ("auto", "head", "tight")
    }
    assert [stores[name].framing for name in stores] == [HEAD, HEAD, TIGHT]
    assert stores["auto"].checksum == stores["head"].checksum
    header = stores["tight"].meta["header"]
    assert header["framing"] == {"eyes": 0.26, "apart": 0.58, "aspect": 0.84}
    eyes = five_points((np.array(stores["tight"][0].landmarks[0]) + 0.5) / 128)[:2]
    assert np.ptp(eyes[:, 0]) == pytest.approx(0.58, abs=0.02)
    assert eyes[:, 1].mean() == pytest.approx(0.26, abs=0.01)
    with pytest.raises(ValueError, match="framing=tight: frames that are not aligned"):
        prepare(
            "folder",
            out=tmp_path / "s",
            images=[path],
            geometry="resize",
            framing=FramingChoice("tight"),
        )
    unknown = prepare("folder", out=tmp_path / "u", images=[path], geometry="crop")
    assert unknown.framing is None
