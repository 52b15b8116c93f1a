"""Trees rendered from annotation tables, and prepared as the real databases are."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openpyxl
import pytest

from mersynth.phantom import tree
from mersynth.phantom.capture import LAB, STILL, Capture
from mersynth.phantom.layouts import LAYOUTS
from mersynth.phantom.tree import RECORD, write_tree
from mersynth.phantom.variety import PLAIN, WIDE, Population
from mersynth.prepare.command import prepare
from mersynth.sources import SourceError

SAMM = "SAMM_Micro_FACS_Codes_v2.xlsx"
CASME2 = "CASME2-coding-20140508.xlsx"
SMIC = "SMIC-HS-E_annotation.xlsx"
_SAMM_HEADER = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame",
                "Action Units", "Estimated Emotion")  # fmt: skip
_SAMM_ROWS = (
    ("006", "006_1_2", 5562, 5566, 5570, "4+7C", "Anger"),
    ("007", "007_3_1", 120, 123, 126, "L14", "Contempt"),
    ("006", "006_1_3", 20, 24, 30, "12E", "Happiness"),
)
_CASME2_HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame",
                  "Action Units", "Estimated Emotion")  # fmt: skip
_CASME2_ROWS = (
    ("01", "EP02_01f", 46, 50, 55, "12", "happiness"),
    ("04", "EP12_01f", 3, "/", 9, "38", "disgust"),
    ("04", "EP13_02f", 10, 12, 15, "?", "others"),
)


STEADY: dict[str, Any] = {"population": PLAIN, "capture": STILL}


def _table(folder: Path, name: str) -> Path:
    book = openpyxl.Workbook()
    header, rows = (_SAMM_HEADER, _SAMM_ROWS) if name == SAMM else (_CASME2_HEADER, _CASME2_ROWS)
    for row in (header, *rows):
        book.worksheets[0].append(row)
    book.save(folder / name)
    return folder / name


def test_a_samm_tree(tmp_path: Path) -> None:
    table = _table(tmp_path, SAMM)
    out = write_tree(table, "samm", tmp_path / "samm", image_size=64, **STEADY)
    assert (out / SAMM).read_bytes() == table.read_bytes()
    assert sorted(p.name for p in out.iterdir()) == ["006", "007", SAMM, RECORD]
    names = sorted(p.name for p in (out / "006" / "006_1_2").iterdir())
    assert names == [f"006_0{n}.jpg" for n in range(5562, 5571)]
    assert cv2.imread(str(out / "006" / "006_1_2" / names[0])).shape == (64, 64, 3)

    store = prepare("samm", out, tmp_path / "store", image_size=64)
    assert [clip.id for clip in store.clips] == [
        "samm/006/006_1_2", "samm/007/007_3_1", "samm/006/006_1_3"
    ]  # fmt: skip
    anger, _, happy = store
    same = np.abs(anger.frames[0].astype(int) - happy.frames[0]).mean()
    other = np.abs(anger.frames[0].astype(int) - store[1].frames[0]).mean()
    assert same < 0.5 * other, "a subject of the table is one phantom subject"
    mouth = (slice(None), slice(34, 54), slice(16, 48))

    def movement(item: object) -> float:
        frames = item.frames[mouth].astype(int)  # type: ignore[attr-defined]
        return float(np.abs(frames[4] - frames[0]).mean())

    assert movement(happy) > 1.3 * movement(anger)


def test_a_casme2_tree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = _table(tmp_path, CASME2)
    with caplog.at_level(logging.WARNING):
        out = write_tree(table, "casme2", tmp_path / "casme2", image_size=64)
    assert len(list((out / "sub01" / "EP02_01f").iterdir())) == 10
    assert (out / "sub01" / "EP02_01f" / "reg_img46.jpg").exists()
    assert "casme2/sub04/EP12_01f: no apex is given" in caplog.text
    assert "AU 38 of '38' is not among" in caplog.text
    assert "AU cell '?' names no AU" in caplog.text
    store = prepare("casme2", out, tmp_path / "store", image_size=64)
    assert len(store) == 3
    assert store.meta["header"]["release"] == "cropped"


_SMIC_HEADER = ("Subject", "Filename", "OnsetF", "OffsetF", "Emotion")
_SMIC_ROWS = (
    (3, "s3_ne_02", 302330, 302341, "negative"),
    (3, "s3_po_01", 7, 15, "positive"),
    (20, "s20_sur_01", 20, 28, "surprise"),
)


def test_a_smic_tree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = openpyxl.Workbook()
    for row in (_SMIC_HEADER, *_SMIC_ROWS):
        book.worksheets[0].append(row)
    book.save(tmp_path / SMIC)
    with caplog.at_level(logging.WARNING):
        # Only the expression, before a steady camera.
        out = write_tree(tmp_path / SMIC, "smic", tmp_path / "smic", image_size=64, **STEADY)
    assert sorted(p.name for p in out.iterdir()) == ["HS", SMIC, RECORD]
    names = sorted(p.name for p in (out / "HS" / "s03" / "s3_ne_02").iterdir())
    assert names == [f"image{n}.jpg" for n in range(302330, 302342)]
    assert caplog.text.count("has no AUs and no apex") == 1
    assert "no apex is given" not in caplog.text
    store = prepare("smic", out, tmp_path / "store", image_size=64)
    assert [(c.id, c.emotion) for c in store.clips] == [
        ("smic/s03/s03_ne_02", "negative"),
        ("smic/s03/s03_po_01", "positive"),
        ("smic/s20/s20_sur_01", "surprise"),
    ]
    assert store.meta["header"]["release"] == "cropped"
    # Its emotion's AUs move the face, most of all in the middle of the clip.
    smile = store[1].frames[:, 34:54, 16:48].astype(int)
    change = np.abs(smile - smile[0]).mean(axis=(1, 2, 3))
    assert change[4] > 1.3 * change[8]
    again = write_tree(tmp_path / SMIC, "smic", tmp_path / "again", image_size=64, **STEADY)
    other = write_tree(tmp_path / SMIC, "smic", tmp_path / "other", image_size=64, seed=1, **STEADY)
    bytes_of = [(t / "HS/s03/s3_po_01/image11.jpg").read_bytes() for t in (out, again, other)]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_a_tree_of_the_challenge_s_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "combined_3_class_gt.csv"
    rows = ["data,subject,clip,label", "casme2,sub01,EP02_01f,1", "smic,s03,s03_ne_02,0"]
    listed.write_text("\n".join([*rows, "smic,s20,s20_sur_01,2"]))
    with caplog.at_level(logging.WARNING):
        out = write_tree(listed, "smic", tmp_path / "smic", image_size=32)
    assert "every clip has 34 frames" in caplog.text
    assert "[ WARN" not in capfd.readouterr().err, "OpenCV complains of each frame"
    folder = out / "HS/s3/micro/negative/s3_ne_02"
    assert sorted(p.name for p in folder.iterdir()) == [
        f"reg_image{n:05d}.bmp" for n in range(1, 35)
    ]
    assert sorted(p.name for p in out.iterdir()) == ["HS", RECORD]
    store = prepare("smic", out, tmp_path / "store", image_size=32)
    assert {clip.id: clip.emotion for clip in store.clips} == {
        "smic/s03/s03_ne_02": "negative",
        "smic/s20/s20_sur_01": "surprise",
    }
    listed.write_text("subject,clip\ns03,s03_ne_02")
    with pytest.raises(SourceError, match="no row with the columns data, subject, clip, label"):
        write_tree(listed, "smic", tmp_path / "t", image_size=32)
    listed.write_text("\n".join([*rows, "smic,s20,s20_sur_01,7"]))
    with pytest.raises(SourceError, match=r"cell C4: clip 's20_sur_01' of label '7'"):
        write_tree(listed, "smic", tmp_path / "t", image_size=32)
    with pytest.raises(SourceError, match=r"cannot be read: No such file"):
        write_tree(tmp_path / "none.csv", "smic", tmp_path / "t", image_size=32)
    listed.write_text("\n".join(rows[:2]))
    with pytest.raises(SourceError, match="no clip that can be rendered"):
        write_tree(listed, "smic", tmp_path / "t", image_size=32)


def test_the_seed_decides_the_tree(tmp_path: Path) -> None:
    table = _table(tmp_path, SAMM)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_tree(table, "samm", tmp_path / name, limit=1, image_size=64, seed=seed)
    a, b, c = ((tmp_path / n / "006/006_1_2/006_05566.jpg").read_bytes() for n in "abc")
    assert a == b != c


def test_a_tree_records_how_it_was_rendered(tmp_path: Path) -> None:
    table = _table(tmp_path, SAMM)
    wide = write_tree(table, "samm", tmp_path / "wide", limit=1, image_size=32)
    plain = write_tree(table, "samm", tmp_path / "plain", limit=1, image_size=32, **STEADY)
    records = [json.loads((out / RECORD).read_text()) for out in (wide, plain)]
    assert Population.of(records[0]["population"]) == WIDE
    assert Capture.of(records[0]["capture"]) == LAB
    assert Population.of(records[1]["population"]) == PLAIN
    assert (records[1]["layout"], records[1]["seed"], records[1]["image_size"]) == ("samm", 0, 32)
    frames = [(out / "006/006_1_2/006_05562.jpg").read_bytes() for out in (wide, plain)]
    assert frames[0] != frames[1]


def test_a_limit_leaves_the_rest_out(tmp_path: Path) -> None:
    out = write_tree(_table(tmp_path, SAMM), "samm", tmp_path / "t", limit=2, image_size=64)
    assert len(list(out.glob("*/*/"))) == 2
    assert len(prepare("samm", out, tmp_path / "store", image_size=64, skip_bad=True)) == 2


def test_nothing_is_left_of_a_tree_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail_later(*args: object) -> bool:
        calls.append(args)
        return len(calls) < 5

    table = _table(tmp_path, SAMM)
    monkeypatch.setattr(tree.cv2, "imwrite", fail_later)
    with pytest.raises(OSError, match="could not be written"):
        write_tree(table, "samm", tmp_path / "samm", image_size=64)
    assert list(tmp_path.iterdir()) == [table]


def test_what_cannot_become_a_tree_is_refused(tmp_path: Path) -> None:
    table = _table(tmp_path, SAMM)
    with pytest.raises(ValueError, match="casme2, samm, smic, got 'mmew'"):
        write_tree(table, "mmew", tmp_path / "t")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"is not the name of a table of smic .*SMIC.*xlsx or \*\.csv"
    ):
        write_tree(table, "smic", tmp_path / "t")
    with pytest.raises(ValueError, match="got 0"):
        write_tree(table, "samm", tmp_path / "t", limit=0)
    with pytest.raises(ValueError, match="got 'all'"):
        write_tree(table, "samm", tmp_path / "t", limit="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="even number of pixels, 32 or more, got 33"):
        write_tree(table, "samm", tmp_path / "t", image_size=33)
    with pytest.raises(ValueError, match="official name"):
        write_tree(table, "casme2", tmp_path / "t")
    with pytest.raises(SourceError):
        write_tree(tmp_path / "SAMM_Micro_FACS_Codes_none.xlsx", "samm", tmp_path / "t")
    (tmp_path / "t").mkdir()
    with pytest.raises(FileExistsError, match="exists already"):
        write_tree(table, "samm", tmp_path / "t")


@pytest.mark.parametrize(("layout", "name"), [("samm", SAMM), ("casme2", CASME2), ("smic", SMIC)])
def test_the_real_tables(layout: str, name: str, annotations: Path, tmp_path: Path) -> None:
    out = write_tree(annotations / name, layout, tmp_path / layout, limit=2, image_size=32)  # type: ignore[arg-type]
    store = prepare(layout, out, tmp_path / "store", image_size=32, skip_bad=True)
    assert len(store) == 2


def test_the_real_list_of_the_challenge(annotations: Path, tmp_path: Path) -> None:
    listed = annotations / "combined_3_class_gt.csv"
    (layout,) = (layout for layout in LAYOUTS["smic"] if layout.patterns == ("*.csv",))
    assert len(layout.clips(listed)) == 164
    out = write_tree(listed, "smic", tmp_path / "smic", limit=2, image_size=32)
    store = prepare("smic", out, tmp_path / "store", image_size=32)
    assert [clip.id for clip in store.clips] == ["smic/s01/s01_ne_01", "smic/s01/s01_ne_02"]
