"""The tests of every source that is a tree of frames."""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import openpyxl
import pytest
from PIL import Image

from mersynth.prepare import prepare
from mersynth.sources import get_source
from mersynth.sources.errors import PrepareError, SourceError
from mersynth.sources.table import Row
from mersynth.store import ClipStore, StoreError
from tests.conftest import FakeClip, FakeSource, FakeTree


class TreeCase(FakeSource):
    """The cases that the test of any database of clip folders inherits.

    The subclass says how its tree looks; a database with apexes and AUs inherits
    :class:`SourceCase`.
    """

    has_apex: ClassVar[bool] = True

    def foreign_sheet(self) -> list[list[object]]:
        """The table of another database, which calls its columns in another way."""
        return [["Subject", "Filename", "OnsetF", "OffsetF", "Emotion"], [3, "s3_ne_02", 2, 5, "x"]]

    def rewrite_table(self, tree: FakeTree, clip: int = 0, **changes: object) -> None:
        clips = list(self.clips)
        clips[clip] = dataclasses.replace(clips[clip], **changes)  # type: ignore[arg-type]
        self.write_table(tree.root, clips)

    def prepare(self, tree: FakeTree, skip_bad: bool = False) -> ClipStore:
        out = tree.root.parent / "stores" / "new"
        return prepare(
            self.source, tree.root, out, image_size=16, skip_bad=skip_bad, **self.settings(tree)
        )

    def settings(self, tree: FakeTree) -> dict[str, str]:
        """The fake frames are grey: they show neither a face nor movement."""
        geometry = "crop" if tree.release == "raw" else "resize"
        return {"geometry": geometry, "apex": "annotated", "intensities": "none"}

    def assert_stops(self, tree: FakeTree, file: str, reason: str, lost: Sequence[int]) -> None:
        """``prepare`` names the file and the reason, writes nothing, and can leave the clip out."""
        with pytest.raises(PrepareError, match=r"--skip-bad") as caught:
            self.prepare(tree)
        (problem,) = [p for p in caught.value.problems if p.fatal]
        assert problem.file == file
        assert re.search(reason, problem.reason), problem.reason
        assert str(problem) in str(caught.value)
        assert not (tree.root.parent / "stores").exists()

        store = self.prepare(tree, skip_bad=True)
        kept = [clip for i, clip in enumerate(self.clips) if i not in lost]
        stored = [f"{clip.subject}/{clip.name}" for clip in store.clips]
        assert stored == [self.stored(clip) for clip in kept]
        assert store.meta["header"]["skipped"] == [problem.as_dict()]

    @pytest.fixture
    def tree(self, tmp_path: Path) -> FakeTree:
        return self.write_tree(tmp_path / "data")

    @pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".BMP"])
    @pytest.mark.parametrize("release", ["raw", "cropped"])
    def test_every_clip_is_stored(self, tmp_path: Path, release: str, suffix: str) -> None:
        store = self.prepare(self.write_tree(tmp_path / "data", release, suffix))
        assert store.image_size == 16
        assert len(store) == len(self.clips)
        for item, fake in zip(store, self.clips, strict=True):
            clip = item.clip
            assert clip.id == f"{self.source}/{self.stored(fake)}"
            assert (clip.onset, clip.offset) == (fake.onset, fake.offset)
            assert clip.apex == (fake.apex if self.has_apex else None)
            assert (clip.emotion, clip.aus) == (fake.emotion.lower(), str(fake.aus))
            assert (clip.fps, clip.strength) == (self.fps, "micro")
            assert item.frames.shape == (fake.offset - fake.onset + 1, 16, 16, 3)
            numbers = range(fake.onset, fake.offset + 1)
            wanted = [self.brightness(number) for number in numbers]
            np.testing.assert_allclose(item.frames[:, 8, 8], np.stack([wanted] * 3, 1), atol=3)
            assert np.isnan(item.intensities).all()
            assert np.isnan(item.landmarks).all()
        header = store.meta["header"]
        assert (header["source"], header["release"]) == (self.source, release)
        assert (header["image_size"], header["skipped"], header["warnings"]) == (16, [], [])
        assert header["licence"]
        assert header["citation"]
        assert str(tmp_path) not in (store.path / "store.json").read_text()

    def test_raw_frames_are_cut_and_cropped_ones_kept_whole(self, tmp_path: Path) -> None:
        for release in ("raw", "cropped"):
            (tmp_path / release).mkdir()
            tree = self.write_tree(tmp_path / release / "data", release, ".bmp")
            store = self.prepare(tree)
            white = (store.frames > 200).any()
            margins = release == "cropped" and len(set(self.cropped_size)) > 1
            assert white == margins
            square = store.meta["header"]["geometry"].startswith("largest centred square")
            assert square == (release == "raw")

    def test_missing_frame(self, tree: FakeTree) -> None:
        first, second = tree.frames(0)[1:3]
        first.unlink()
        second.unlink()
        onset = self.clips[0].onset
        reason = f"^frames {onset + 1}, {onset + 2} of {onset}\\.\\.{self.clips[0].offset} missing"
        self.assert_stops(tree, self.folder(self.clips[0]), reason, lost=[0])

    def test_truncated_image(self, tree: FakeTree) -> None:
        frame = tree.frames(1)[-1]
        frame.write_bytes(frame.read_bytes()[:-40])
        file = frame.relative_to(tree.root).as_posix()
        self.assert_stops(tree, file, "truncated or damaged", lost=[1])

    @pytest.mark.parametrize("content", [b"", b"no image"])
    def test_file_that_is_no_image(self, tree: FakeTree, content: bytes) -> None:
        frame = tree.frames(1)[0]
        frame.write_bytes(content)
        file = frame.relative_to(tree.root).as_posix()
        self.assert_stops(tree, file, r"damaged \(no known format\)$", lost=[1])

    def test_frames_of_several_sizes(self, tree: FakeTree) -> None:
        Image.new("RGB", (7, 5)).save(tree.frames(0)[1])
        self.assert_stops(tree, self.folder(self.clips[0]), "several sizes: 7x5, ", lost=[0])

    def test_frame_twice(self, tree: FakeTree) -> None:
        frame = tree.frames(0)[0]
        copy = frame.with_suffix(".bmp")
        copy.write_bytes(frame.read_bytes())
        reason = f"frame {self.clips[0].onset} comes twice, also as {copy.name}"
        self.assert_stops(tree, frame.relative_to(tree.root).as_posix(), reason, lost=[0])

    def test_folder_without_frames(self, tree: FakeTree) -> None:
        for frame in tree.folders[0].iterdir():
            frame.unlink()
        onset, offset = self.clips[0].onset, self.clips[0].offset
        reason = f"^frames {onset}, .*of {onset}\\.\\.{offset} missing"
        self.assert_stops(tree, self.folder(self.clips[0]), reason, lost=[0])

    def test_link_out_of_the_root(self, tree: FakeTree) -> None:
        frame = tree.frames(1)[0]
        outside = tree.root.parent / frame.name
        frame.rename(outside)
        frame.symlink_to(outside)
        file = frame.relative_to(tree.root).as_posix()
        self.assert_stops(tree, file, "symbolic link leads out of the database's folder", lost=[1])

    def test_link_within_the_root(self, tree: FakeTree) -> None:
        frame = tree.frames(1)[0]
        inside = tree.root / f"moved{frame.suffix}"
        frame.rename(inside)
        frame.symlink_to(inside)
        assert len(self.prepare(tree)) == len(self.clips)

    def test_names_outside_of_ascii(self, tmp_path: Path) -> None:
        place = tmp_path / "Müller, 中文"
        place.mkdir()
        store = self.prepare(self.write_tree(place / "данные"))
        assert len(store) == len(self.clips)

    def test_frames_of_16_bits(self, tmp_path: Path) -> None:
        tree = self.write_tree(tmp_path / "data", "cropped", ".bmp")
        for frame in tree.frames(0):
            with Image.open(frame) as image:
                deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
            frame.unlink()
            Image.fromarray(deep).save(frame.with_suffix(".png"))
        onset, offset = self.clips[0].onset, self.clips[0].offset
        middle = self.prepare(tree)[0].frames[:, 8, 8, 0]
        assert middle.tolist() == [self.brightness(n) for n in range(onset, offset + 1)]

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
        self.assert_stops(tree, self.stored(self.clips[2]), "the tree has not", lost=[2])

    def test_folder_without_row(self, tree: FakeTree) -> None:
        self.write_table(tree.root, self.clips[:-1])
        lost = [len(self.clips) - 1]
        self.assert_stops(tree, self.stored(self.clips[-1]), "annotation table has not", lost)

    def test_offset_before_onset(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, offset=self.clips[0].onset - 5)
        self.assert_stops(tree, self.table_name, "lies before onset", lost=[0])

    def test_onset_that_is_no_number(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, onset="early")
        reason = f"{self.onset_column} .early. is no frame number"
        self.assert_stops(tree, self.table_name, reason, lost=[0])

    def test_unknown_emotion(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, emotion="joy")
        self.assert_stops(tree, self.table_name, "'joy' is not one of .*surprise", lost=[0])

    def test_row_twice(self, tree: FakeTree) -> None:
        self.write_table(tree.root, [*self.clips, self.clips[0]])
        self.assert_stops(tree, self.table_name, "stands in row .* already", lost=[])

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

    def test_two_tables(self, tree: FakeTree) -> None:
        copy = tree.root / self.table_name.replace(".xlsx", "-copy.xlsx")
        copy.write_bytes(tree.table.read_bytes())
        with pytest.raises(SourceError, match="several annotation tables"):
            self.prepare(tree)

    @pytest.mark.parametrize("content", [b"", b"no workbook"])
    def test_damaged_table(self, tree: FakeTree, content: bytes) -> None:
        tree.table.write_bytes(content)
        with pytest.raises(SourceError, match=r"is no readable \.xlsx table"):
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
        with pytest.raises(SourceError, match=r"is no readable \.xlsx table"):
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
        Image.new("L", (2, 2)).save(root / "frame.bmp")
        rows, _ = get_source(self.source).read_annotations(table)
        for row in rows:
            assert row.clip is not None
            fake = FakeClip(row.subject, row.name, row.clip.onset, 0, row.clip.offset, "", "")
            folder = root / self.real_folder(row)
            folder.mkdir(parents=True)
            for number in range(row.clip.onset, row.clip.offset + 1):
                name = f"{self.frame(fake, number, 'cropped')}.bmp"
                (folder / name).hardlink_to(root / "frame.bmp")
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

    def test_apex_not_given_is_told_and_kept(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, apex="/")
        store = self.prepare(tree)
        assert len(store) == len(self.clips)
        assert store.clips[0].apex is None
        (warning,) = store.meta["header"]["warnings"]
        assert warning["file"] == self.table_name
        assert warning["row"] == len(self.sheet([])) + 1
        assert "no apex" in warning["reason"]

    def test_unreadable_au_cell_is_told_and_kept(self, tree: FakeTree) -> None:
        self.rewrite_table(tree, clip=1, aus="4+xyz9")
        store = self.prepare(tree)
        assert store.clips[1].aus == "4+xyz9"
        (warning,) = store.meta["header"]["warnings"]
        assert (warning["file"], warning["row"]) == (self.table_name, len(self.sheet([])) + 2)
        assert "'4+xyz9': 'xyz9' cannot be read" in warning["reason"]
