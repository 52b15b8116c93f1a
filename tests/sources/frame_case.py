"""The tests of a source that are about its frames."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from mersynth.prepare.command import prepare
from mersynth.sources import get_source
from mersynth.sources.errors import PrepareError
from mersynth.store.clip_store import ClipStore
from tests.conftest import FakeSource, FakeTree, told_by_source

HEIC_TOLD = (
    r"the image is truncated or damaged"
    if importlib.util.find_spec("pillow_heif")
    else r"a HEIC image, which needs another package \(pip install 'mersynth\[heic\]'\)"
)
"""What is told of a HEIC file that is no image."""


class FrameCase(FakeSource):
    """The cases of a clip's frames, and what all cases need to prepare a tree."""

    has_apex: ClassVar[bool] = True

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

    def assert_told(self, tree: FakeTree, file: str, fatal: bool) -> str:
        """The reason of the one problem of a file."""
        problems = get_source(self.source).scan(tree.root).problems
        (problem,) = [p for p in problems if (p.file, p.fatal) == (file, fatal)]
        return problem.reason

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
        assert (header["image_size"], header["skipped"], told_by_source(store)) == (16, [], [])
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

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "^the file is empty$"),
            (b"no image", r"damaged \(no known format\)$"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", HEIC_TOLD),
        ],
    )
    def test_file_that_is_not_an_image(self, tree: FakeTree, content: bytes, reason: str) -> None:
        frame = tree.frames(1)[0]
        frame.write_bytes(content)
        file = frame.relative_to(tree.root).as_posix()
        self.assert_stops(tree, file, reason, lost=[1])

    def test_frame_under_the_name_of_no_image(self, tree: FakeTree) -> None:
        frame = tree.frames(0)[0]
        frame.write_text("no image")
        frame.rename(frame.with_suffix(".dat"))
        frame.with_name("Thumbs.db").write_text("no image")
        frame.with_name(f"._{frame.name}").write_text("no image")
        assert "missing" in self.assert_told(tree, self.folder(self.clips[0]), fatal=True)
        left_out = f"left out, not images: {frame.stem}.dat"
        assert left_out in self.assert_told(tree, self.folder(self.clips[0]), fatal=False)

    @pytest.mark.parametrize("suffix", [".webp", ".TIF", ".gif", ".jp2", ""])
    def test_frames_are_whatever_pillow_opens(self, tree: FakeTree, suffix: str) -> None:
        for path in tree.frames(0):
            with Image.open(path) as image:
                form = Image.registered_extensions().get(suffix.lower(), "PNG")
                image.convert("RGB").save(path.with_name("new"), form)
            path.unlink()
            path.with_name("new").rename(path.with_suffix(suffix))
        store = self.prepare(tree)
        wanted = [self.brightness(n) for n in range(self.clips[0].onset, self.clips[0].offset + 1)]
        np.testing.assert_allclose(store[0].frames[:, 8, 8, 0], wanted, atol=4)

    def test_frames_of_several_sizes(self, tree: FakeTree) -> None:
        Image.new("RGB", (7, 5)).save(tree.frames(0)[1])
        self.assert_stops(tree, self.folder(self.clips[0]), "several sizes: 7x5, ", lost=[0])

    def test_frame_twice(self, tree: FakeTree) -> None:
        frame = tree.frames(0)[0]
        copy = frame.with_suffix(".bmp")
        copy.write_bytes(frame.read_bytes())
        reason = f"frame {self.clips[0].onset} occurs twice, also as {copy.name}"
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
