"""``recognizers list``: the systems, with their sizes from ``systems.json`` beside this file.

Counting each time would import torch and build every system. A test checks the file, and ``record``
rewrites it when a system is new or has changed.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rich.table import Table

from mersynth.checks import listed
from mersynth.disk.files import whole_file

_RECORD = Path(__file__).with_name("systems.json")


def recorded() -> dict[str, dict[str, Any]]:
    """By system, the result of ``measured`` at its default size."""
    return cast(dict[str, dict[str, Any]], json.loads(_RECORD.read_text()))


def measured(name: str) -> dict[str, Any]:
    """A system's ``Description`` for three classes, for JSON.

    Raises:
        ValueError: if there is no such system.
    """
    from recognizers.models import describe

    system = asdict(describe(name))
    del system["name"]
    return cast(dict[str, Any], json.loads(json.dumps(system)))


def record() -> None:
    """Measure every system and rewrite the record."""
    from recognizers.models import list_models

    systems = {name: measured(name) for name in list_models()}
    with whole_file(_RECORD) as partial:
        partial.write_text(json.dumps(systems, indent=1) + "\n")


def table() -> Table:
    """One line per system, within 80 columns: name, paper, inputs, trainable parameters."""
    result = Table(box=None, pad_edge=False)
    for column in ("system", "paper", "reads"):
        result.add_column(column, no_wrap=True)
    result.add_column("parameters", justify="right", no_wrap=True)
    for name, system in recorded().items():
        made_of = [spec["made_of"] for spec in system["inputs"].values()]
        size = _short(system["parameters"])
        result.add_row(name, _cited(system["paper"]), listed(made_of, 2), size)
    return result


def details(name: str) -> Table:
    """All that is recorded of a system: paper, inputs, size, options, published weights.

    Raises:
        ValueError: if there is no such system.
    """
    systems = recorded()
    if name not in systems:
        raise ValueError(f"no system {name!r}; `recognizers list` shows them: {', '.join(systems)}")
    system = systems[name]
    result = Table(box=None, pad_edge=False, show_header=False)
    result.add_column(no_wrap=True)
    result.add_column(overflow="fold")
    reads = [_input(key, spec) for key, spec in system["inputs"].items()]
    options = [f"{option}={json.dumps(value)}" for option, value in system["options"].items()]
    weights = f'recognizers.load_published("{name}", FILE, NUM_CLASSES)'
    for what, lines in {
        "system": [name],
        "paper": [system["paper"]],
        "reads": reads,
        "parameters": [f"{system['parameters']:,}"],
        "multiply-adds": [f"{system['multiply_adds']:,} (one clip, forward)"],
        "published weights": [weights if system["published"] else "no"],
        "model.options": options,
    }.items():
        for line, first in zip(lines, [what, *[""] * len(lines)], strict=False):
            result.add_row(first, line)
    return result


def _input(name: str, spec: dict[str, Any]) -> str:
    frames = [] if spec["num_frames"] is None else [spec["num_frames"]]
    size = " x ".join(map(str, [*frames, len(spec["channels"]), *spec["size"]]))
    values = "no bounds" if spec["range"] is None else "{:g} to {:g}".format(*spec["range"])
    return f"{name}: {spec['made_of']}, {size} ({', '.join(spec['channels'])}), {values}"


def _cited(paper: str) -> str:
    """``Liong et al. 2018`` for a reference that begins with its authors and ends with its year."""
    authors, year = paper.partition(":")[0].split(", "), paper[-4:]
    if len(authors) == 2 and "et al." not in paper:
        return f"{authors[0]}, {authors[1]} {year}"
    return f"{authors[0].removesuffix(' et al.')} et al. {year}"


def _short(count: int) -> str:
    """``11.2 M`` for 11,176,512."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return str(count)
