"""Tests of the sources smic, smic-further, smic-vis and smic-nir."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from mersynth.facs.emotions import label
from mersynth.prepare.command import prepare
from mersynth.sources import get_source
from mersynth.sources.errors import PrepareError, SourceError
from mersynth.sources.table import Row
from mersynth.sources.table_source import TableSource
from mersynth.store.clip_store import ClipStore
from tests.conftest import FakeClip, FakeTree, told_by_source
from tests.sources.source_case import TreeCase

TABLE = "SMIC-HS-E_annotation.xlsx"
HEADER = ["Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F",
          "Offset3F", None, "FirstF", "LastF", "TotalVL", "Emotion"]  # fmt: skip
# What MEGC2019 lists and the table does not.
SECOND_OR_THIRD = {"s03_ne_03", "s04_ne_05", "s04_ne_06", "s09_sur_02"}
IN_NO_TABLE = {"s01_ne_02", "s02_sur_05", "s03_ne_20"}


def database(name: str) -> TableSource:
    source = get_source(name)
    assert isinstance(source, TableSource)
    return source


class TestSMIC(TreeCase):
    source = "smic"
    table_name = TABLE
    raw_size = (64, 48)
    cropped_size = (28, 34)
    fps = 100.0
    has_apex = False
    clips = (
        FakeClip("3", "s3_ne_02", 302330, "", 302334, "", "negative"),
        FakeClip("3", "s3_po_11", 99, "", 101, "", "positive"),
        FakeClip("20", "s20_sur_01", 17581039, "", 17581042, "", "surprise"),
    )

    def sheet(self, clips: Sequence[FakeClip]) -> list[list[object]]:
        rows: list[list[object]] = [
            [c.subject, c.name, None, c.onset, c.offset, *[None] * 5, 1, 10**9, 9, c.emotion]
            for c in clips
        ]
        return [list(HEADER), *rows]

    def foreign_sheet(self) -> list[list[object]]:
        return [["Subject", "Filename", "Onset Frame", "Offset Frame", "Estimated Emotion"]]

    def folder(self, clip: FakeClip) -> str:
        return f"HS/s{clip.subject.zfill(2)}/{clip.name}"

    def stored(self, clip: FakeClip) -> str:
        subject = clip.subject.zfill(2)
        return f"s{subject}/s{subject}{clip.name.removeprefix(f's{clip.subject}')}"

    def frame(self, clip: FakeClip, number: int, release: str) -> str:
        return f"image{number}" if release == "raw" else f"reg_image{number}"

    def real_folder(self, row: Row) -> str:
        return f"HS/{row.subject}/{row.name}"

    def test_the_name_decides_where_the_table_disagrees(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, clip=1, emotion="negative")
        store = self.prepare(tree)
        assert [clip.emotion for clip in store.clips] == ["negative", "positive", "surprise"]
        (warning,) = store.meta["header"]["warnings"]
        assert warning["row"] == 3
        assert "is labelled negative, its name says positive" in warning["reason"]

    def test_the_table_may_lie_beside_the_subjects(self, tree: FakeTree) -> None:
        tree.table.rename(tree.root / "HS" / TABLE)
        assert len(self.prepare(tree)) == len(self.clips)

    def test_real_table(self, annotations: Path, tmp_path: Path) -> None:
        store = self.assert_real_table(annotations / TABLE, tmp_path, 157, 16)
        assert all(clip.apex is None and clip.aus == "" for clip in store.clips)
        counts = Counter(label("smic", clip.emotion, "three") for clip in store.clips)
        assert counts == {"negative": 65, "positive": 51, "surprise": 41}
        told = [(warning["row"], warning["reason"]) for warning in store.meta["header"]["warnings"]]
        assert [row for row, _ in told] == [38, 74]
        assert "s18_sur_03 is labelled negative" in told[0][1]
        assert "lies outside of FirstF..LastF 650000..650699" in told[1][1]


def write_frames(folder: Path, numbers: Sequence[int], pattern: str = "reg_image{}.bmp") -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        Image.new("L", (6, 8), 20 + number % 200).save(folder / pattern.format(number))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A tree of SMIC_all_cropped: no table, the folders are the clips."""
    home = tmp_path / "smic" / "HS"
    write_frames(home / "s3" / "micro" / "negative" / "s3_ne_02", range(98, 103))
    write_frames(home / "s3" / "micro" / "surprise" / "s3_sur_01", range(7, 9))
    write_frames(home / "s3" / "non_micro" / "s3_n1", range(3))
    write_frames(home / "s20" / "micro" / "positive" / "s20_po_03", [17598752])
    return tmp_path / "smic"


def stored(root: Path, source: str = "smic", skip_bad: bool = False) -> ClipStore:
    return prepare(
        source, root, root.parent / "store", image_size=4, apex="annotated", skip_bad=skip_bad
    )


def test_folders_are_the_clips_where_there_is_no_table(folders: Path) -> None:
    store = stored(folders)
    found = [(c.id, c.onset, c.offset, c.emotion, c.apex) for c in store.clips]
    assert found == [
        ("smic/s20/s20_po_03", 17598752, 17598752, "positive", None),
        ("smic/s03/s03_ne_02", 98, 102, "negative", None),
        ("smic/s03/s03_sur_01", 7, 8, "surprise", None),
    ]
    assert store[1].frames[:, 0, 0, 0].tolist() == [118, 119, 120, 121, 122]
    header = store.meta["header"]
    assert (header["release"], header["skipped"], told_by_source(store)) == ("cropped", [], [])


def test_a_table_beside_such_folders_is_not_read(folders: Path) -> None:
    (folders / TABLE).write_bytes(b"no workbook")
    assert len(stored(folders)) == 3
    assert get_source("smic").find_annotations(folders) == folders / "HS"


def test_a_gap_in_a_folder_is_found(folders: Path) -> None:
    (folders / "HS/s3/micro/negative/s3_ne_02/reg_image100.bmp").unlink()
    with pytest.raises(PrepareError, match=r"s3_ne_02: frame 100 of 98\.\.102 missing"):
        stored(folders)
    assert len(stored(folders, skip_bad=True)) == 2


def test_an_empty_folder_is_found(folders: Path) -> None:
    (folders / "HS/s3/micro/negative/s3_ne_05").mkdir()
    with pytest.raises(PrepareError, match="s3_ne_05: the folder holds no frame"):
        stored(folders)


def test_a_folder_of_another_emotion(folders: Path) -> None:
    place = folders / "HS/s3/micro"
    (place / "surprise/s3_sur_01").rename(place / "negative/s3_sur_01")
    (place / "surprise").rename(place / "joy")
    write_frames(place / "joy" / "s3_po_01", [5])
    with pytest.raises(PrepareError, match="problems: 1;") as caught:
        stored(folders)
    assert "s3_po_01: emotion 'joy' is not one of negative, positive, surprise" in str(caught.value)
    store = stored(folders, skip_bad=True)
    (clip,) = (clip for clip in store.clips if clip.name == "s03_sur_01")
    assert clip.emotion == "surprise"
    (warning,) = told_by_source(store)
    assert "s03_sur_01 is labelled negative, its name says surprise" in warning["reason"]


def test_both_trees_in_one_root(folders: Path) -> None:
    write_frames(folders / "HS" / "s04" / "s4_ne_01", [1])
    with pytest.raises(SourceError, match=r"mixes two releases .*/micro and s04/s4_ne_01"):
        stored(folders)


def test_a_subject_in_two_folders(folders: Path) -> None:
    write_frames(folders / "HS" / "s03" / "micro" / "negative" / "s3_ne_02", [1])
    with pytest.raises(SourceError, match="are the same clip"):
        stored(folders)


def write_table(path: Path, sheets: dict[str, list[list[object]]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)


def further_row(
    name: str, onset: int, second: Sequence[object] = (), third: Sequence[object] = ()
) -> list[object]:
    spans = [*(second or (None, None)), *(third or (None, None))]
    subject, kind, _ = name[1:].split("_")
    emotion = {"ne": "negative", "po": "positive", "sur": "surprise"}[kind]
    return [int(subject), name, None, onset, onset + 2, *spans, None, 0, 99, 100, emotion]


def test_further_micro_expressions(tmp_path: Path) -> None:
    root = tmp_path / "smic"
    for name, last in (("s4_ne_04", 60), ("s4_ne_07", 30), ("s4_ne_08", 30)):
        write_frames(root / "HS" / "s04" / name, range(last), "image{}.jpg")
    rows = [
        further_row("s4_ne_04", 5, (20, 24), (40, 41)),
        further_row("s4_ne_07", 5, (20, 21), (20, 21)),
        further_row("s4_ne_08", 5, (-500, 3), ("x", 9)),
    ]
    write_table(root / TABLE, {"HS": [list(HEADER), *rows]})
    store = stored(root, "smic-further")
    found = [(clip.id, clip.onset, clip.offset) for clip in store.clips]
    assert found == [
        ("smic/s04/s04_ne_04", 5, 7),
        ("smic/s04/s04_ne_05", 20, 24),
        ("smic/s04/s04_ne_06", 40, 41),
        ("smic/s04/s04_ne_07", 5, 7),
        ("smic/s04/s04_ne_07_2", 20, 21),
        ("smic/s04/s04_ne_08", 5, 7),
    ]
    np.testing.assert_allclose(store[1].frames[:, 0, 0, 0], [40, 41, 42, 43, 44], atol=2)
    told = [(w["row"], w["reason"]) for w in store.meta["header"]["warnings"]]
    assert [row for row, _ in told] == [3, 4, 4]
    assert "3 of s04_ne_07 is left out: 20..21 is already in the row" in told[0][1]
    assert "2 of s04_ne_08 is left out" in told[1][1]
    assert len(prepare("smic", root, tmp_path / "first", image_size=4, apex="annotated")) == 3


def test_the_table_and_the_challenge_differ_by_seven_clips(annotations: Path) -> None:
    with (annotations / "combined_3_class_gt.csv").open(newline="") as file:
        listed = {
            (row["subject"], row["clip"]): int(row["label"])
            for row in csv.DictReader(file)
            if row["data"] == "smic"
        }
    classes = ("negative", "positive", "surprise")
    first, _ = database("smic").read_annotations(annotations / TABLE)
    more, problems = database("smic-further").read_annotations(annotations / TABLE)
    ours = {(row.subject, row.name): row.clip.emotion for row in more if row.clip}
    in_list = {key: emotion for key, emotion in ours.items() if not key[1].endswith("_2")}
    assert {key: classes[index] for key, index in listed.items() if key in in_list} == {
        key: emotion for key, emotion in in_list.items() if key in listed
    }
    names = {row.name for row in first}
    assert {name for _, name in listed} - names == SECOND_OR_THIRD | IN_NO_TABLE
    assert names <= {name for _, name in listed}
    assert {name for _, name in ours} - names == SECOND_OR_THIRD | {
        "s20_ne_06_2", "s20_ne_09_2", "s20_sur_02_2", "s18_ne_01_2", "s18_sur_03_2",
    }  # fmt: skip
    assert sum("is left out" in problem.reason for problem in problems) == 6


def test_vis_reads_its_sheet_of_the_shared_table(tmp_path: Path) -> None:
    root = tmp_path / "smic"
    row = [11, "s11_ne_01", None, 8160, 8162, None, None, None, 8000, 6, None, 300, "negative"]
    vis = ["Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", None, "FirstF",
           "TotalMF1", "TotalMF2", "TotalVL", "Emotion"]  # fmt: skip
    write_table(
        root.parent / TABLE,
        {"HS": [list(HEADER), further_row("s11_ne_01", 5)], "VIS": [list(vis), row]},
    )
    write_frames(root / "VIS" / "s11" / "s11_ne_01", range(8155, 8165), "VIS {}.jpg")
    (root.parent / TABLE).rename(root / TABLE)
    (clip,) = stored(root, "smic-vis").clips
    assert (clip.id, clip.onset, clip.offset) == ("smic/s11/s11_ne_01_vis", 8160, 8162)
    assert (clip.subject_id, clip.fps) == ("smic/s11", 25.0)
    (root / TABLE).rename(root / "SMIC-VIS-E_annotation.xlsx")
    assert get_source("smic-vis").find_annotations(root).name == "SMIC-VIS-E_annotation.xlsx"
    (root / "SMIC-VIS-E_annotation.xlsx").unlink()
    with pytest.raises(SourceError, match=r"no annotation table SMIC\*VIS"):
        get_source("smic-vis").find_annotations(root)
    with pytest.raises(SourceError, match="holds no folder NIR"):
        get_source("smic-nir").find_annotations(root)


def test_vis_of_the_real_table(annotations: Path) -> None:
    rows, problems = database("smic-vis").read_annotations(annotations / TABLE)
    assert len(rows) == 71
    assert len({row.subject for row in rows}) == 8
    assert [problem.row for problem in problems] == [38]
    assert all(row.clip and row.clip.fps == 25.0 for row in rows)


def test_nir(tmp_path: Path) -> None:
    root = tmp_path / "smic"
    write_frames(root / "NIR" / "s11" / "s11_ne_01", range(8155, 8165), "{:05d}.bmp")
    header = ["Subject", "Filename", "OnsetF", "OffsetF", "OnsetF NIR", "OffsetF NIR", "Emotion"]
    row = [11, "s11_ne_01", 1, 2, 8156, 8157, "negative"]
    write_table(root / "SMIC-NIR-E_annotation.xlsx", {"Sheet1": [list(header), row]})
    (clip,) = stored(root, "smic-nir").clips
    assert (clip.id, clip.onset, clip.offset) == ("smic/s11/s11_ne_01_nir", 8156, 8157)
    write_frames(root.parent / "all/NIR/s11/micro/negative/s11_ne_01", [8156, 8157], "{:05d}.bmp")
    (clip,) = prepare(
        "smic-nir", root.parent / "all", tmp_path / "s", image_size=4, apex="annotated"
    ).clips
    assert (clip.id, clip.onset, clip.offset) == ("smic/s11/s11_ne_01_nir", 8156, 8157)


def test_the_subsets_share_a_root() -> None:
    for name in ("smic", "smic-further", "smic-vis", "smic-nir"):
        source = get_source(name)
        assert source.home == "smic"
        assert "smic/\n" in source.tree
    assert "NIR/\n" in get_source("smic-nir").tree
