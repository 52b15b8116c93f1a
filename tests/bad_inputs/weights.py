"""Trained generators and recognizers: cards and weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import recognizers
from mersynth.gan.checkpoint import load_generator
from tests.bad_inputs.case import Act, Case
from tests.bad_inputs.damage import (
    ANY_FILE,
    GONE,
    TEXTS,
    edit_sealed,
    edit_weights,
)

GENERATORS: dict[str, Act] = {
    "doctor": ("mersynth", "doctor", "--checkpoint", "generator"),
    "load": lambda: load_generator(Path("generator")),
    "generate": (
        *("mersynth", "generate", "--store", "store", "--checkpoint", "generator"),
        *("--per-class", "1", "--out", "g", "num_frames=2"),
    ),
}
RECOGNIZERS: dict[str, Act] = {
    "doctor": ("recognizers", "doctor", "--model", "model"),
    "load": lambda: recognizers.load("model"),
    "predict": ("recognizers", "predict", "--model", "model", "--store", "store", "--out", "p"),
}


def weight_cases() -> Iterator[Case]:
    yield from _of("generator", "generator.json", GENERATORS, CARD)
    yield from _of("model", "recognizer.json", RECOGNIZERS, MODEL_CARD)


def _of(
    folder: str, card: str, readers: Mapping[str, Act], values: list[tuple[str, object]]
) -> Iterator[Case]:
    def case(what: str, reader: str, spoil: Callable[[], object], said: Any = folder) -> Case:
        needs = (folder, "store") if reader in ("generate", "predict") else (folder,)
        return Case(f"{folder}, {what}: {reader}", needs, readers[reader], said, spoil)

    file = Path(folder, card)
    turns = itertools.cycle(readers)
    for (name, damage), reader in itertools.product((ANY_FILE | TEXTS).items(), readers):
        yield case(f"card {name}", reader, partial(damage, file))
    for (name, damage), reader in itertools.product(ANY_FILE.items(), ("doctor", "load")):
        yield case(f"weights {name}", reader, partial(_weights_damaged, folder, damage))
    for place, new in values:
        spoil = partial(edit_sealed, file, place, new, without=("weights", "sha256"))
        shown = repr(new)[:60]
        yield case(f"card {place} = {shown}", next(turns), spoil)
    for (name, change), sealed, reader in itertools.product(
        CHANGES.items(), (True, False), ("doctor", "load")
    ):
        spoil = partial(edit_weights, str(file), change, sealed)
        yield case(f"weights {name}{', sealed' * sealed}", reader, spoil)


def _weights_damaged(folder: str, damage: Callable[[Path], object]) -> None:
    damage(next(Path(folder).glob("*.safetensors")))


def _fill(tensors: dict[str, Any], value: float) -> None:
    name = sorted(tensors)[0]
    tensors[name] = np.full_like(tensors[name], value)


def _first_name(tensors: dict[str, Any], name: str) -> None:
    tensors[name] = tensors.pop(sorted(tensors)[0])


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "NaN": lambda tensors: _fill(tensors, np.nan),
    "infinite": lambda tensors: _fill(tensors, np.inf),
    "one lost": lambda tensors: tensors.pop(sorted(tensors)[0]),
    "one renamed": lambda tensors: _first_name(tensors, "other"),
    "one more": lambda tensors: tensors.update(other=np.zeros(3, np.float32)),
    "one of another shape": lambda tensors: tensors.update(
        {sorted(tensors)[0]: np.zeros((2, 2), np.float32)}
    ),
    "none": lambda tensors: tensors.clear(),
}
CARD: list[tuple[str, object]] = [
    *[("image_size", value) for value in (GONE, "96", 0, -8, 10**9, 2.5, None, [96], True)],
    *[("aus", value) for value in (GONE, "1,2", [], [1, 1, 2], [99], None, {"a": 1})],
    *[("generator", value) for value in (GONE, [], "x", None, {}, {"form": "other"})],
    *[("generator.blocks", value) for value in (10**7, -1, "3", 0.5, None, [1], 10**30)],
    *[("generator.channels", value) for value in (10**7, 0, "32", None)],
    *[("generator.num_aus", value) for value in (10**9, 0, "20")],
    *[("generator.motion", value) for value in (float("nan"), -1, "x", 1e300)],
    ("generator.unknown", 1),
    *[("groups", value) for value in (0, -1, "1", 10**9, GONE)],
    *[("step", value) for value in (-1, "1", GONE)],
    *[("seed", value) for value in (-1, "x", GONE)],
    *[("config", value) for value in (GONE, "x", None, [], {"steps": "many"})],
    *[("framing", value) for value in ("x", {"eyes": 1}, {"eyes": "a", "apart": 1, "aspect": 1})],
    *[("gains", value) for value in ("x", [1.0], [float("nan")] * 20, [-1.0] * 20, [1e300] * 20)],
    *[("training_subjects", value) for value in (GONE, "phantom/p1", [5], None, [""])],
    *[("unseen_subjects", value) for value in (GONE, 5, [None])],
    *[("phantom", value) for value in ("three", -1, [1], 1e300)],
    *[("weights", value) for value in (GONE, 5, "", "../generator", "/dev/null", "a\0b", ".")],
    *[("sha256", value) for value in (GONE, 5, "", None)],
]
MODEL_CARD: list[tuple[str, object]] = [
    *[("model", value) for value in (GONE, "nosuch", 5, "", "../x")],
    *[("options", value) for value in ([], None, {"unknown": 1}, {"dropout": "x"})],
    *[("classes", value) for value in (GONE, [], ["one"], ["a", "a", "b", "c", "d"], "five", [5])],
    *[("classes", value) for value in ([""] * 5, ["a"] * 10**5)],
    *[("inputs", value) for value in (GONE, {}, [], {"x": 5})],
    *[("inputs.flow_strain.size", value) for value in ([10**9, 10**9], [0, 0], "x", [28], [-1, 5])],
    *[("inputs.flow_strain.channels", value) for value in ([], ["u"], "u")],
    *[("statistics", value) for value in ([], {"other": [[0.0], [1.0]]}, {"flow_strain": 5})],
    ("statistics", {"flow_strain": [[0.0], [0.0]]}),
    ("statistics", {"flow_strain": [[0.0, 0.0, 0.0], [0.0, -1.0, 1.0]]}),
    ("statistics", {"flow_strain": [[0.0, 0.0], [1.0, 1.0]]}),
    *[("epoch", value) for value in (-1, 0, "x", GONE, 10**30)],
    *[("seed", value) for value in (-1, "x")],
    *[("split", value) for value in ("other", None, GONE)],
    *[("scheme", value) for value in ("seventeen", 5)],
    *[("features", value) for value in ([], {"nosuch": {}}, {"flow": 5})],
    *[("data", value) for value in ([], None, [5], "x")],
    *[("learned", value) for value in (None, {}, 5)],
    *[("format", value) for value in (99, "2", None, GONE)],
    ("unknown_key", 1),
    ("data.0.image_size", -4),
    ("data.0.framing", {"eyes": "x"}),
]
