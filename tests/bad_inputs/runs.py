"""Runs: their records, their predictions, and runs that are continued."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from recognizers.report.run import Run
from tests.bad_inputs.case import Act, Case
from tests.bad_inputs.damage import ANY_FILE, GONE, TEXTS, edit, edit_sealed
from tests.bad_inputs.world import QUICK

FOLD_FILE = "folds/0_000.json"
READERS: dict[str, Act] = {
    "doctor": ("recognizers", "doctor", "--run", "run"),
    "open": lambda: Run.open("run"),
    "report": ("recognizers", "report", "run"),
}
CONTINUE: Act = (
    *("recognizers", "loso", "--model", "ststnet_tiny", "--data", "data.npz", *QUICK),
    *("keep_weights=true", "--groups", "2", "--out", "folds"),
)
EXPLAIN: Act = ("recognizers", "explain", "--run", "folds", "--method", "tsne", "--out", "x")


def run_cases() -> Iterator[Case]:
    def case(what: str, spoil: Callable[[], object], said: Any = "run") -> Case:
        reader = next(turns)
        return Case(f"run, {what}: {reader}", ("run",), READERS[reader], said, spoil)

    turns = itertools.cycle(READERS)
    for file, (name, damage) in itertools.product(
        ("results.json", "predictions.csv", "oracle.csv", FOLD_FILE), ANY_FILE.items()
    ):
        if (file, name) in ((FOLD_FILE, "missing"), (FOLD_FILE, "a link to itself")):
            continue
        yield case(f"{file} {name}", partial(damage, Path("run", file)))
    for file, (name, damage) in itertools.product(("results.json", FOLD_FILE), TEXTS.items()):
        yield case(f"{file} {name}", partial(damage, Path("run", file)))
    for place, new in RESULTS:
        shown = repr(new)[:40]
        yield case(f"results {place} = {shown}", partial(edit, "run/results.json", place, new))
    for place, new in FOLD:
        shown = repr(new)[:40]
        spoil = partial(edit_sealed, f"run/{FOLD_FILE}", place, new)
        yield case(f"fold {place} = {shown}", spoil)
    for name, change in TABLE.items():
        yield case(f"predictions {name}", partial(_rewrite, change))
    yield from _continued()


def _continued() -> Iterator[Case]:
    def case(what: str, act: Act, spoil: Callable[[], object], said: Any = "folds") -> Case:
        how = "explain" if act is EXPLAIN else "continue"
        return Case(f"folds, {what}: {how}", ("folds", "data.npz"), act, said, spoil)

    results, fold = Path("folds/results.json"), Path("folds/folds/0_0000.json")
    for name, damage in (ANY_FILE | TEXTS).items():
        yield case(
            f"run.json {name}", CONTINUE, partial(_unfinished, damage, Path("folds/run.json"))
        )
        if name not in ("missing", "a link to itself"):  # then it is made again
            yield case(f"fold {name}", CONTINUE, partial(_unfinished, damage, fold))
        yield case(f"results {name}", EXPLAIN, partial(damage, results))
    for place, new in FOLD:
        shown = repr(new)[:40]
        spoil = partial(_unfinished, partial(edit_sealed, place=place, new=new), fold)
        yield case(f"fold {place} = {shown}", CONTINUE, spoil)
    yield case("folds exchanged", CONTINUE, partial(_unfinished, _exchange, fold))


def _unfinished(damage: Callable[[Path], object], file: Path) -> None:
    Path("folds/results.json").unlink()
    damage(file)


def _exchange(fold: Path) -> None:
    other = fold.with_name("0_0001.json")
    one, two = fold.read_text(), other.read_text()
    fold.write_text(two)
    other.write_text(one)


RESULTS: list[tuple[str, object]] = [
    *[("split", value) for value in (GONE, "x", 5, None)],
    *[("classes", value) for value in (GONE, [], ["a", "a"], "abc", [1, 2])],
    *[("seeds", value) for value in (GONE, [], [-1], ["0"], [0, 0], 5, [7])],
    *[("headline", value) for value in (GONE, "best", "oracle")],
    *[("strict.Full.mean.uf1", value) for value in (GONE, 7.0, -1, "x", None, 0.123)],
    *[("folds", value) for value in (GONE, 5, [5], "x")],
    *[("model", value) for value in (GONE, 5, {})],
    *[("seconds", value) for value in (-1, "x")],
    *[("data", value) for value in (5, [{}])],
    ("model.parameters", -5),
    ("data.0.framing", {"eyes": "x"}),
]
FOLD: list[tuple[str, object]] = [
    *[("fold", value) for value in (GONE, 5, "nobody")],
    *[("seed", value) for value in (GONE, -1, 99, "0")],
    *[("epoch", value) for value in (0, -1, "x", 10**9)],
    *[("clips", value) for value in (GONE, [], "x", [5])],
    ("clips.0", "samm/99/other"),
    *[("probabilities", value) for value in (GONE, [], [[1.0]], "x", [[0.5, 7.0]])],
    *[("probabilities.0", value) for value in ([2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0], "x")],
    *[("curve", value) for value in (GONE, [5], "x")],
    ("seconds", -5),
]


def _rewrite(change: Callable[[list[dict[str, Any]]], object]) -> None:
    file = Path("run/predictions.csv")
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    change(rows)
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]) if rows else ["seed"])
        writer.writeheader()
        writer.writerows(rows)


def _cell(column: str, value: str) -> Callable[[list[dict[str, Any]]], object]:
    return lambda rows: rows[3].update({column: value})


def _not_argmax(rows: list[dict[str, Any]]) -> None:
    row = rows[3]
    names = [name for name in row if name.startswith("p_")]
    row["predicted"] = min(names, key=lambda name: float(row[name])).removeprefix("p_")


TABLE: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "a label that is not the argmax": _not_argmax,
    "no row": list.clear,
    "a row lost": lambda rows: rows.pop(),
    "a row twice": lambda rows: rows.append(dict(rows[0])),
    **{
        f"{column} {value!r}": _cell(column, value)
        for column, value in [
            *[("p_anger", value) for value in ("nan", "", "x", "7", "-1", "inf", "1e999")],
            *[("seed", value) for value in ("x", "", "1.5", "99", "-1", "9" * 40)],
            *[("true", value) for value in ("", "nobody", "Anger")],
            *[("predicted", value) for value in ("", "nobody")],
            *[("subject", value) for value in ("", "a/b")],
            ("clip", ""),
            ("dataset", ""),
        ]
    },
    "a column lost": lambda rows: [row.pop("true") for row in rows],
    "a column renamed": lambda rows: [row.update(x=row.pop("p_anger")) for row in rows],
}
