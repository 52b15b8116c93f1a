"""The systems in a table."""

from __future__ import annotations

from rich.table import Table

from mersynth.logs import progress
from recognizers.models import describe, list_models
from recognizers.models.base import InputSpec


def table() -> Table:
    """A row a system, at its default size: what it reads, how large it is, its paper.

    ``weights`` says whether its authors' published ones can be loaded.
    """
    result = Table(title="Recognition systems", show_lines=True)
    result.add_column("system", no_wrap=True)
    result.add_column("reads", overflow="fold")
    for column in ("parameters", "multiply-adds"):
        result.add_column(column, justify="right", no_wrap=True)
    result.add_column("weights")
    result.add_column("paper", overflow="fold")
    names = list_models()
    with progress("measuring", total=len(names), unit="systems") as advance:
        for name in names:
            system = describe(name)
            result.add_row(
                name,
                "\n".join(_reads(key, spec) for key, spec in system.inputs.items()),
                _short(system.parameters),
                _short(system.multiply_adds),
                "yes" if system.published else "no",
                system.paper,
            )
            advance(1)
    return result


def _reads(name: str, spec: InputSpec) -> str:
    size = " x ".join(map(str, spec.shape))
    return f"{name}: {size} ({spec.made_of})" if name != spec.made_of else f"{name}: {size}"


def _short(count: int) -> str:
    """``11.2 M`` for 11,176,512."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return str(count)
