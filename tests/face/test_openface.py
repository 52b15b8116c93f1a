"""AU intensities from the files of OpenFace."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.sources.errors import PrepareError
from tests.face.au_file_samples import PLACE_12, film, openface_file, smiles, stored
from tests.face.test_real_faces import feat_file


def test_openface_s_own_file(tmp_path: Path) -> None:
    original = feat_file("OpenFace_Test.csv")
    film(tmp_path / "films", 100)
    (tmp_path / "aus").mkdir()
    (tmp_path / "aus" / "ada.csv").write_bytes(original.read_bytes())
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    with original.open(newline="") as file:
        rows = [{k.strip(): float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    got = np.array(store[0].intensities)
    assert got.shape == (100, 20, 2)
    for au in (1, 2, 4, 5, 7, 9, 12, 17, 23, 26, 45):
        wanted = np.array([row[f"AU{au:02d}_r"] for row in rows]) / 5
        column = got[:, CONDITION_AUS.index(43 if au == 45 else au)]
        np.testing.assert_allclose(column, np.stack([wanted, wanted], 1), atol=1e-7)
    unknown = [CONDITION_AUS.index(au) for au in (11, 24, 28)]
    assert np.isnan(got[:, unknown]).all()
    assert np.isfinite(np.delete(got, unknown, axis=1)).all()
    header = store.meta["header"]
    assert header["intensities"] == "openface"
    facts = header["au_reader"]
    assert (facts["without"], facts["frames"], facts["files"]) == (
        [11, 24, 28],
        {"measured": 100},
        1,
    )
    assert header["without_intensities"] == {}
    assert str(tmp_path) not in json.dumps(header)


@pytest.mark.parametrize("blank", ["", " "])
def test_failed_and_doubtful_frames_are_missing(tmp_path: Path, blank: str) -> None:
    rows = smiles([1, 2, 3, 4, 5])
    rows[1] |= {"success": 0, "confidence": 0.02}
    rows[3] |= {"confidence": 0.7}
    rows[4] |= {"AU12_r": "nan", "AU06_r": 2.5}
    openface_file(tmp_path / "aus" / "ada.csv", rows, blank)
    film(tmp_path / "films", 5)
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    smile = store[0].intensities[:, PLACE_12, 0]
    np.testing.assert_allclose(smile, [0.2, np.nan, 0.6, np.nan, np.nan])
    assert store[0].intensities[4, CONDITION_AUS.index(6)].tolist() == [0.5, 0.5]
    header = store.meta["header"]
    assert header["au_reader"]["frames"] == {
        "confidence under 0.8": 1, "measured": 3, "success 0": 1
    }  # fmt: skip
    assert header["without_intensities"] == {
        "folder/ada/ada": {"frames": 2, "of": 5, "which": "frames 1, 3"}
    }


def test_the_least_confidence_can_be_chosen(tmp_path: Path) -> None:
    openface_file(tmp_path / "aus" / "ada.csv", smiles([1, 2], confidence=0.7))
    film(tmp_path / "films", 2)
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}", min_confidence=0.6)
    np.testing.assert_allclose(store[0].intensities[:, PLACE_12, 1], [0.2, 0.4])


def test_a_film_in_which_no_frame_succeeded_is_told(tmp_path: Path) -> None:
    openface_file(tmp_path / "aus" / "ada.csv", smiles([0, 0], success=0))
    film(tmp_path / "films", 2)
    store = stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    assert np.isnan(store.intensities).all()
    (warning,) = store.meta["header"]["warnings"]
    assert warning["reason"] == "ada.csv: no frame is measured (success 0: 2)"


HEADER = "frame, face_id, timestamp, confidence, success, AU12_r"


ROW = "{}, 0, 0.03, 0.98, 1, 2.5"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        (HEADER, "it holds no row"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "it is not a text file"),
        (f"{HEADER}\n{ROW.format(1)}\n2, 0, 0.0", "line 3 has 3 values, the header 6"),
        (f"{HEADER}\n{ROW.format(1)}\n{ROW.format(2)}", r"holds frames 1-2, but the clip has 3"),
        (
            "\n".join([HEADER, *map(ROW.format, (1, 2, 3, 4))]),
            r"holds frames 1-4, but the clip has",
        ),
        ("\n".join([HEADER, *map(ROW.format, (1, 3, 3))]), "frame 3 occurs twice with one face"),
        ("\n".join([HEADER, *map(ROW.format, (1, 2, 2, 3))]), "frame 2 occurs twice with one face"),
        (
            "\n".join([HEADER, *map(ROW.format, (1, 2.5, 3))]),
            "line 3: frame must be a whole number",
        ),
        (HEADER + "\n1, 0, 0, 0.98, 1, much", "line 2: AU12_r is 'much', not a number"),
        (
            HEADER + "\n1, 0, 0, 0.98, 1, 7.5",
            r"line 2: AU12_r is 7.5, outside the tool's scale of 0",
        ),
        ("frame, AU12_c\n1, 1", "no column such as AU01_r; AU intensities need its option -aus"),
        ("AU12_r\n1", "neither a column frame nor a column face"),
        ("frame_idx,au_12_intensity\n0,1.0", "no column such as AU01_r"),
    ],
)
def test_a_wrong_half_or_damaged_file_is_refused(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    film(tmp_path / "films", 3)
    (tmp_path / "aus").mkdir()
    text = content.encode() if isinstance(content, str) else content
    (tmp_path / "aus" / "ada.csv").write_bytes(text)
    with pytest.raises(PrepareError, match=f"folder/ada/ada: ada.csv.*{said}") as caught:
        stored(tmp_path / "films", f"openface={tmp_path / 'aus'}")
    assert len(caught.value.problems) == 1
    assert not (tmp_path / "store").exists()
