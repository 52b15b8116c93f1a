"""Who may import whom: no circles, and no room imports a later one."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

# From the bottom up, one layer per line: a module imports its own room and those before it. A name
# stands for a module and all below it; where two names fit, the longer one counts.
ROOMS = [
    "mersynth.card mersynth.checks mersynth.config mersynth.devices mersynth.disk "
    "mersynth.estimate mersynth.hub mersynth.logs mersynth.paths mersynth.ranges mersynth.shards "
    "mersynth.threads mersynth.tracking",
    "mersynth.facs",
    "mersynth.clips mersynth.face.template mersynth.marks",
    "mersynth.store",
    "mersynth.curves",
    "mersynth.phantom.look mersynth.phantom.subject",
    "mersynth.phantom.optics",
    "mersynth.phantom.head",
    "mersynth.phantom",
    "mersynth.sources",
    "mersynth.phantom.layouts mersynth.phantom.tree",
    "mersynth.face",
    "mersynth.motion",
    "mersynth.features",
    "mersynth.prepare",
    "mersynth.augment",
    "mersynth.pages",
    "mersynth.gan",
    "mersynth.synthesis",
    "mersynth.export",
    "mersynth.quality",
    "mersynth.transfer",
    "mersynth.studio",
    "mersynth.doctor mersynth.wholeness mersynth.cli_options mersynth.commands mersynth.cli "
    "mersynth.__main__",
    "recognizers.models",
    "recognizers.data",
    "recognizers.folds",
    "recognizers.evaluation",
    "recognizers.runs",
    "recognizers.training",
    "recognizers.executors",
    "recognizers.report",
    "recognizers.runs.folder recognizers.runs.results recognizers.trained recognizers.experiment",
    "recognizers.explain",
    "recognizers.studio_tab",
    "recognizers.listing recognizers.cli",
]
# The packages also offer names of their submodules, which they import on first use.
FACES = {"mersynth", "recognizers"}
# Files are formatted by ruff; a syntax tree of each would take seconds.
IMPORT = re.compile(
    r"^ *(?:from ((?:mersynth|recognizers)[\w.]*) import (\([^)]*\)|.+)"
    r"|import ((?:mersynth|recognizers)[\w.]*))",
    re.MULTILINE,
)


def _modules() -> dict[str, Path]:
    files = [
        path for package in sorted(FACES) for path in sorted((REPOSITORY / package).rglob("*.py"))
    ]
    names = (".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in files)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, files, strict=True)}


def _imported(path: Path, modules: dict[str, Path]) -> set[str]:
    """Also within functions, and for types alone."""
    found = set()
    for module, names, whole in IMPORT.findall(path.read_text(encoding="utf-8")):
        named = {f"{module}.{name}" for name in re.findall(r"(\w+)(?: as \w+)?", names)}
        found |= named if named <= set(modules) else {*named, module}
        found.add(whole)
    return found & set(modules)


@pytest.fixture(scope="module", name="imports")
def _imports() -> dict[str, set[str]]:
    modules = _modules()
    return {
        name: _imported(path, modules) - {name}
        for name, path in modules.items()
        if name not in FACES
    }


def _circle(imports: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _floor(module: str) -> int:
    names = {name: floor for floor, line in enumerate(ROOMS) for name in line.split()}
    room = module
    while room not in names:
        room = room.rpartition(".")[0]
        assert room, f"{module} is in no room; give it one in ROOMS"
    return names[room]


def _upward(imports: dict[str, set[str]]) -> list[str]:
    return [
        f"{name} imports {other}"
        for name, others in imports.items()
        for other in sorted(others - FACES)
        if _floor(other) > _floor(name)
    ]


def test_no_modules_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    assert _circle(imports) == []


def test_no_room_imports_one_above_it(imports: dict[str, set[str]]) -> None:
    assert _upward(imports) == []


def test_circles_and_upward_imports_are_seen() -> None:
    imports = _imported(REPOSITORY / "mersynth/commands/train.py", _modules())
    assert {"mersynth.paths", "mersynth.cli_options", "mersynth.gan.train"} <= imports
    circle = _circle({"mersynth.facs": {"mersynth.clips"}, "mersynth.clips": {"mersynth.facs"}})
    assert set(circle) == {"mersynth.facs", "mersynth.clips"}
    assert _upward(
        {"mersynth.store.clip_store": {"mersynth.face.detect", "mersynth.face.template"}}
    ) == ["mersynth.store.clip_store imports mersynth.face.detect"]
    assert _upward({"mersynth.gan.train": {"recognizers.evaluation.metrics"}}) != []


def test_the_map_shows_every_room() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    rooms = {
        path.parent.name
        for package in FACES
        for path in (REPOSITORY / package).glob("*/__init__.py")
    }
    assert shown == rooms
    for file in re.findall(r"`(\w+/\w+\.py)`", text):
        assert any((REPOSITORY / place / file).exists() for place in (*FACES, ".")), file
