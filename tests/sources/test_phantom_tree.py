"""Trees rendered from annotation tables, and prepared as the real databases are."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pytest

from mersynth.prepare import prepare
from mersynth.sources import SourceError
from mersynth.sources.phantom import tree
from mersynth.sources.phantom.tree import write_tree

SAMM = "SAMM_Micro_FACS_Codes_v2.xlsx"
CASME2 = "CASME2-coding-20140508.xlsx"
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


def _table(folder: Path, name: str) -> Path:
    book = openpyxl.Workbook()
    header, rows = (_SAMM_HEADER, _SAMM_ROWS) if name == SAMM else (_CASME2_HEADER, _CASME2_ROWS)
    for row in (header, *rows):
        book.worksheets[0].append(row)
    book.save(folder / name)
    return folder / name


def test_a_samm_tree(tmp_path: Path) -> None:
    table = _table(tmp_path, SAMM)
    out = write_tree(table, "samm", tmp_path / "samm", image_size=64)
    assert (out / SAMM).read_bytes() == table.read_bytes()
    assert sorted(p.name for p in out.iterdir()) == ["006", "007", SAMM]
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
    assert (out / "sub01" / "EP02_01f" / "img46.jpg").exists()
    assert "casme2/sub04/EP12_01f: no apex is given" in caplog.text
    assert "AU 38 of '38' is not among" in caplog.text
    assert "AU cell '?' names no AU" in caplog.text
    assert len(prepare("casme2", out, tmp_path / "store", image_size=64)) == 3


def test_the_seed_decides_the_tree(tmp_path: Path) -> None:
    table = _table(tmp_path, SAMM)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_tree(table, "samm", tmp_path / name, limit=1, image_size=64, seed=seed)
    a, b, c = ((tmp_path / n / "006/006_1_2/006_05566.jpg").read_bytes() for n in "abc")
    assert a == b != c


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
    with pytest.raises(ValueError, match="smic"):
        write_tree(table, "smic", tmp_path / "t")  # type: ignore[arg-type]
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


@pytest.mark.parametrize(("layout", "name"), [("samm", SAMM), ("casme2", CASME2)])
def test_the_real_tables(layout: str, name: str, annotations: Path, tmp_path: Path) -> None:
    out = write_tree(annotations / name, layout, tmp_path / layout, limit=2, image_size=32)  # type: ignore[arg-type]
    store = prepare(layout, out, tmp_path / "store", image_size=32, skip_bad=True)
    assert len(store) == 2
