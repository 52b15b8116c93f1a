"""What every test may use: the real annotation tables, and fake trees of the databases."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import openpyxl
import pytest
from hypothesis import HealthCheck, Phase, settings
from PIL import Image

from mersynth.store.clip_store import ClipStore

# The cases that every source inherits are not a test module; pytest must rewrite their asserts.
pytest.register_assert_rewrite("tests.sources.frame_case", "tests.sources.source_case")

# Tests of properties draw the same examples at every run, and may be slow on a busy machine.
settings.register_profile(
    "quick",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "thorough", settings.get_profile("quick"), derandomize=False, max_examples=1000
)
# Of a mutant it is enough to know that some example kills it.
settings.register_profile(
    "mutants", settings.get_profile("quick"), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

RENDERER = "mersynth.phantom.render"
ANNOTATIONS = Path(__file__).resolve().parents[2] / "shared" / "annotations"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Share the phantom's people, half a second each, in all tests but those of the phantom."""
    if (renderer := sys.modules.get(RENDERER)) is not None:
        build = _build_scene_once if not item.path.name.startswith("test_phantom") else _build_scene
        renderer.build_scene = build  # type: ignore[attr-defined]


def _build_scene(*arguments: Any) -> Any:
    return importlib.import_module("mersynth.phantom.scene").build_scene(*arguments)


_build_scene_once = functools.lru_cache(maxsize=32)(_build_scene)


@pytest.fixture(name="elsewhere", params=["pretended", pytest.param("cuda", marks=pytest.mark.gpu)])
def _elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A device that is not the CPU: a pretended one, and a GPU where there is one."""
    import torch

    from tests.pretend_device import DEVICE, pretend_device

    if request.param == "cuda":
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # float32 as on the CPU
        yield torch.device("cuda", 0)
    else:
        with pretend_device():
            yield DEVICE


@pytest.fixture(scope="session", name="annotations")
def _annotations() -> Path:
    """Folder of the databases' real annotation tables, which are licensed and not shipped."""
    if not ANNOTATIONS.is_dir():
        pytest.skip(f"the real annotation tables are not at {ANNOTATIONS}")
    return ANNOTATIONS


def told_by_source(store: ClipStore) -> list[dict[str, Any]]:
    """The warnings of a store's header, except about apexes: fake frames hardly move."""
    warnings = store.meta["header"]["warnings"]
    return [w for w in warnings if not w["reason"].startswith("apex in doubt")]


@dataclass(frozen=True)
class FakeClip:
    """A row of a fake annotation table, and the folder that belongs to it."""

    subject: str
    name: str
    onset: int
    apex: int | str
    offset: int
    aus: str | int
    emotion: str


@dataclass
class FakeTree:
    """A database's tree under test; a test spoils it, then prepares it."""

    root: Path
    table: Path
    release: str = "raw"
    folders: list[Path] = field(default_factory=list)

    def frames(self, clip: int) -> list[Path]:
        """Frame files of a clip from onset to offset."""
        return sorted(path for path in self.folders[clip].iterdir() if path.stat().st_size)


class FakeSource(ABC):
    """Writes small trees laid out as a database publishes them; a subclass says how these look.

    Frame ``n`` is grey of brightness ``brightness(n)``, with white margins beside the centred
    square, so that a stored frame tells which one it is and what was cut off.
    """

    source: ClassVar[str]
    table_name: ClassVar[str]
    clips: ClassVar[Sequence[FakeClip]]
    raw_size: ClassVar[tuple[int, int]]
    cropped_size: ClassVar[tuple[int, int]]
    grey: ClassVar[bool] = False
    fps: ClassVar[float] = 200.0

    @abstractmethod
    def sheet(self, clips: Sequence[FakeClip]) -> list[list[object]]:
        """The cells of the annotation table, laid out as published."""

    @abstractmethod
    def folder(self, clip: FakeClip) -> str:
        """The clip's folder, relative to the root."""

    def stored(self, clip: FakeClip) -> str:
        """Subject and name that the stored clip has, ``subject/name``."""
        return self.folder(clip)

    @abstractmethod
    def frame(self, clip: FakeClip, number: int, release: str) -> str:
        """A frame's file name without its ending."""

    @staticmethod
    def brightness(number: int) -> int:
        return 20 + number % 100

    def image(self, number: int, release: str) -> Image.Image:
        width, height = self.raw_size if release == "raw" else self.cropped_size
        side = min(width, height)
        pixels = np.full((height, width, 3), 255, np.uint8)
        top, left = (height - side) // 2, (width - side) // 2
        pixels[top : top + side, left : left + side] = self.brightness(number)
        image = Image.fromarray(pixels)
        return image.convert("L") if self.grey else image

    def write_table(self, root: Path, clips: Sequence[FakeClip]) -> Path:
        return self.write_sheet(root, self.sheet(clips))

    def write_sheet(self, root: Path, rows: Sequence[Sequence[object]]) -> Path:
        book = openpyxl.Workbook()
        for row in rows:
            book.worksheets[0].append(row)
        book.create_sheet("Sheet2")
        book.save(root / self.table_name)
        return root / self.table_name

    def write_tree(self, root: Path, release: str = "raw", suffix: str = ".jpg") -> FakeTree:
        root.mkdir()
        tree = FakeTree(root, self.write_table(root, self.clips), release)
        for clip in self.clips:
            folder = root / self.folder(clip)
            folder.mkdir(parents=True)
            tree.folders.append(folder)
            for number in range(clip.onset, clip.offset + 1):
                name = self.frame(clip, number, release) + suffix
                self.image(number, release).save(folder / name)
            # Frames around the expression are there too, and need not even be readable.
            for number in (clip.onset - 1, clip.offset + 1):
                (folder / (self.frame(clip, number, release) + suffix)).touch()
        return tree
