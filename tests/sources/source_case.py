"""The tests of every source that is a tree of frames."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import zipfile
from pathlib import Path

import openpyxl
import openpyxl.utils
import pytest
from PIL import Image

from mersynth.prepare.command import prepare
from mersynth.sources import get_source
from mersynth.sources.errors import PrepareError, SourceError
from mersynth.sources.table import Row
from mersynth.store.clip_store import ClipStore, StoreError
from tests.conftest import FakeClip, FakeTree, told_by_source
from tests.sources.frame_case import FrameCase
from tests.sources.one_image import decoded_once


def _as_typed(cell: object, header: bool) -> object:
    """A cell with the damage that spreadsheets, web pages and people do."""
    if header:
        return f"\xa0{str(cell).upper()}\n" if cell is not None else None
    if isinstance(cell, int):
        return f"{cell}.0\u200b"
    return cell if cell is None else f" {cell}\xa0".replace("+", "\uff0b")


class TreeCase(FrameCase):
    """The cases that the test of any database of clip folders inherits.

    The subclass says how its tree looks; a database with apexes and AUs inherits
    :class:`SourceCase`.
    """

    def foreign_sheet(self) -> list[list[object]]:
        """The table of another database, which calls its columns in another way."""
        return [["Subject", "Filename", "OnsetF", "OffsetF", "Emotion"], [3, "s3_ne_02", 2, 5, "x"]]

    def test_table_of_another_database(self, tree: FakeTree) -> None:
        self.write_sheet(tree.root, self.foreign_sheet())
        with pytest.raises(SourceError, match=r"no row with the columns .* another database"):
            self.prepare(tree)

    def test_table_of_other_clips(self, tree: FakeTree) -> None:
        others = [dataclasses.replace(clip, name=f"x{clip.name}") for clip in self.clips]
        self.write_table(tree.root, others)
        with pytest.raises(SourceError, match=r"no clip of the annotation table .* another datab"):
            self.prepare(tree)

    def test_row_without_folder(self, tree: FakeTree) -> None:
        tree.folders[2].rename(tree.root.parent / "elsewhere")
        self.assert_stops(tree, self.stored(self.clips[2]), "but not in the tree", lost=[2])

    def test_folder_without_row(self, tree: FakeTree) -> None:
        self.write_table(tree.root, self.clips[:-1])
        lost = [len(self.clips) - 1]
        self.assert_stops(
            tree, self.stored(self.clips[-1]), "but not in the annotation table", lost
        )

    def test_offset_before_onset(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, offset=self.clips[0].onset - 5)
        self.assert_stops(tree, self.table_name, "lies before onset", lost=[0])

    def test_onset_that_is_not_a_number(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, onset="early")
        self.assert_stops(tree, self.table_name, "onset 'early' is not a frame number", lost=[0])

    @pytest.mark.parametrize(("cell", "reason"), [(None, "is empty"), ("=40+6", "never computed")])
    def test_onset_without_a_value(self, tree: FakeTree, cell: str | None, reason: str) -> None:
        self.rewrite_table(tree, onset=cell)
        self.assert_stops(tree, self.table_name, f"^onset .*{reason}", lost=[0])

    def test_unknown_emotion(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, emotion="joy")
        self.assert_stops(tree, self.table_name, "'joy' is not one of .*surprise", lost=[0])

    def test_what_is_wrong_is_named_by_its_cell(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, onset="early")
        with pytest.raises(PrepareError) as caught:
            self.prepare(tree)
        rows = self.sheet(self.clips)
        header = len(self.sheet([]))
        column = next(i for i, cell in enumerate(rows[header]) if cell == self.clips[0].onset)
        cell = f"{openpyxl.utils.get_column_letter(column + 1)}{header + 1}"
        told = f"{self.table_name}, sheet Sheet, cell {cell}: onset 'early' is not a frame number"
        assert told in str(caught.value)

    @pytest.mark.parametrize("kind", ["xlsx", "csv"])
    def test_a_table_that_went_through_many_hands(self, tree: FakeTree, kind: str) -> None:
        whole = self.prepare(tree).clips
        header = len(self.sheet([])) - 1
        rows: list[list[object]] = [["A title over all"]]
        for number, cells in enumerate(self.sheet(self.clips)):
            rows.append([_as_typed(cell, header=number <= header) for cell in cells])
            rows.append([None, "  "])
        if kind == "xlsx":
            self.write_sheet(tree.root, rows)
        else:
            tree.table.unlink()
            with tree.table.with_suffix(".CSV").open("w", newline="", encoding="utf-16") as file:
                csv.writer(file, delimiter=";").writerows(rows)
        store = prepare(
            self.source, tree.root, tree.root.parent / "s", image_size=4, **self.settings(tree)
        )
        assert list(store.clips) == list(whole)
        assert told_by_source(store) == []

    def test_row_twice(self, tree: FakeTree) -> None:
        self.write_table(tree.root, [*self.clips, self.clips[0]])
        self.assert_stops(tree, self.table_name, "is already in row", lost=[])

    def test_row_without_name(self, tree: FakeTree) -> None:
        self.write_table(tree.root, [*self.clips, dataclasses.replace(self.clips[0], name="")])
        self.assert_stops(tree, self.table_name, "no file name", lost=[])

    def test_all_problems_come_in_one_list(self, tree: FakeTree) -> None:
        tree.frames(0)[0].unlink()
        tree.frames(1)[0].write_bytes(b"")
        tree.folders[2].rename(tree.root.parent / "elsewhere")
        with pytest.raises(PrepareError, match="problems: 3; nothing was written") as caught:
            self.prepare(tree)
        assert len(caught.value.problems) == 3

    def test_nothing_left(self, tree: FakeTree) -> None:
        self.write_table(tree.root, [dataclasses.replace(c, emotion="joy") for c in self.clips])
        with pytest.raises(StoreError, match="no clip is left"):
            self.prepare(tree, skip_bad=True)

    def test_missing_root_names_every_place(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError) as caught:
            prepare(self.source, tmp_path / "nowhere", tmp_path / "store")
        for part in (str(tmp_path / "nowhere"), "--root", f"MERSYNTH_DATA/{self.source}"):
            assert part in str(caught.value)
        assert f"./data/{self.source}" in str(caught.value)

    def test_missing_table_says_where_to_put_it(self, tree: FakeTree) -> None:
        tree.table.unlink()
        with pytest.raises(SourceError, match=re.escape(str(tree.root))) as caught:
            self.prepare(tree)
        assert self.table_name in str(caught.value)

    def test_a_table_of_another_kind_is_named(self, tree: FakeTree) -> None:
        old = tree.table.rename(tree.table.with_suffix(".xls"))
        with pytest.raises(
            SourceError, match=r"\.xls is not one: save it as \.xlsx or \.csv"
        ) as caught:
            self.prepare(tree)
        assert old.name in str(caught.value)

    def test_two_tables(self, tree: FakeTree) -> None:
        copy = tree.root / self.table_name.replace(".xlsx", "-copy.xlsx")
        copy.write_bytes(tree.table.read_bytes())
        with pytest.raises(SourceError, match="several annotation tables"):
            self.prepare(tree)

    @pytest.mark.parametrize("content", [b"", b"no workbook"])
    def test_damaged_table(self, tree: FakeTree, content: bytes) -> None:
        tree.table.write_bytes(content)
        with pytest.raises(SourceError, match=r"is not a readable \.xlsx table"):
            self.prepare(tree)

    @pytest.mark.parametrize("damage", ["cut sheet", "spoilt bytes"])
    def test_damage_within_the_table(self, tree: FakeTree, damage: str) -> None:
        whole = tree.table.read_bytes()
        if damage == "cut sheet":
            with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(tree.table, "w") as new:
                for name in old.namelist():
                    part = old.read(name)
                    new.writestr(name, part[:-200] if name.endswith("sheet1.xml") else part)
        else:
            middle = len(whole) // 2
            spoilt = bytes(255 - byte for byte in whole[100:middle])
            tree.table.write_bytes(whole[:100] + spoilt + whole[middle:])
        with pytest.raises(SourceError, match=r"is not a readable \.xlsx table"):
            self.prepare(tree)

    def test_table_without_the_columns(self, tree: FakeTree) -> None:
        openpyxl.Workbook().save(tree.table)
        with pytest.raises(SourceError, match="no row with the columns subject, filename"):
            self.prepare(tree)

    def test_root_without_subjects(self, tree: FakeTree) -> None:
        tree.root.rename(tree.root.parent / "wrapped")
        tree.root.mkdir()
        self.write_table(tree.root, self.clips)
        with pytest.raises(SourceError, match=r"holds no .*folder") as caught:
            self.prepare(tree)
        assert self.folder(self.clips[0]).split("/")[0] in str(caught.value)

    def test_existing_store_is_left_alone(self, tree: FakeTree) -> None:
        store = self.prepare(tree)
        with pytest.raises(StoreError, match="exists already"):
            self.prepare(tree)
        ClipStore.open(store.path, verify=True)

    def test_default_places(self, tree: FakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MERSYNTH_DATA", str(tree.root.parent))
        tree.root.rename(tree.root.parent / self.source)
        monkeypatch.chdir(tree.root.parent)
        store = prepare(self.source, image_size=8, **self.settings(tree))
        assert store.path.resolve() == tree.root.parent.resolve() / "stores" / self.source
        assert len(store) == len(self.clips)

    def real_folder(self, row: Row) -> str:
        """Folder of a clip of the real table, relative to the root."""
        return f"{row.subject}/{row.name}"

    def assert_real_table(
        self, table: Path, tmp_path: Path, clips: int, subjects: int
    ) -> ClipStore:
        """A tree laid out from the real table is prepared whole; all its frames are one image."""
        root = tmp_path / self.source
        root.mkdir()
        (root / table.name).write_bytes(table.read_bytes())
        # In RGB: a BMP with a palette takes 30 times as long to open, and there are 18,000 of them.
        Image.new("RGB", (2, 2)).save(root / "frame.bmp")
        rows, _ = get_source(self.source).read_annotations(table)
        for row in rows:
            assert row.clip is not None
            fake = FakeClip(row.subject, row.name, row.clip.onset, 0, row.clip.offset, "", "")
            folder = root / self.real_folder(row)
            folder.mkdir(parents=True)
            for number in range(row.clip.onset, row.clip.offset + 1):
                name = f"{self.frame(fake, number, 'cropped')}.bmp"
                (folder / name).hardlink_to(root / "frame.bmp")
        with decoded_once():
            store = prepare(self.source, root, tmp_path / "store", image_size=1, apex="annotated")
        assert len(store) == clips
        assert len(store.subjects) == subjects
        return store


class SourceCase(TreeCase):
    """The cases of a database whose table gives apexes and AUs."""

    @pytest.mark.parametrize("beside", [-1, 1])
    def test_apex_outside(self, tree: FakeTree, beside: int) -> None:
        clip = self.clips[0]
        apex = clip.onset - 1 if beside < 0 else clip.offset + 1
        self.rewrite_table(tree, apex=apex)
        self.assert_stops(tree, self.table_name, f"apex {apex} lies outside", lost=[0])

    def test_apex_not_given_is_reported_and_kept(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, apex="/")
        store = self.prepare(tree)
        assert len(store) == len(self.clips)
        assert store.clips[0].apex is None
        (warning,) = told_by_source(store)
        assert warning["file"] == self.table_name
        assert warning["row"] == len(self.sheet([])) + 1
        assert "no apex" in warning["reason"]

    def test_unreadable_au_cell_is_reported_and_kept(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, clip=1, aus="4+xyz9")
        store = self.prepare(tree)
        assert store.clips[1].aus == "4+xyz9"
        (warning,) = told_by_source(store)
        assert (warning["file"], warning["row"]) == (self.table_name, len(self.sheet([])) + 2)
        assert "'4+xyz9': 'xyz9' cannot be read" in warning["reason"]
