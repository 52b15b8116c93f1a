"""The ``recognizers`` command. Each command is a few lines around one function of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from mersynth import __version__, logs
from mersynth.cli_options import Commands, Out, Overrides, Scheme, Seed

app = typer.Typer(
    cls=Commands,
    help="Micro-expression recognizers under an honest protocol, pretrained on synthetic clips.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Model = Annotated[
    str, typer.Option(help="A system of `recognizers list`, or a config of configs/model.")
]
Stores = Annotated[
    list[Path] | None, typer.Option("--store", help="Store of real clips; repeatable.")
]
Data = Annotated[
    list[Path] | None, typer.Option("--data", help="FILE.npz of features; repeatable.")
]
Pretrain = Annotated[
    list[Path] | None,
    typer.Option("--pretrain", help="Store to pretrain on, synthetic or of other people."),
]
PretrainData = Annotated[
    list[Path] | None, typer.Option("--pretrain-data", help="FILE.npz to pretrain on.")
]
Mix = Annotated[
    list[Path] | None,
    typer.Option("--mix", help="Store or FILE.npz to learn from beside the training clips."),
]
Groups = Annotated[
    int | None, typer.Option(help="Test K groups of people in the place of single ones.")
]
Classes = Annotated[
    Scheme | None,
    typer.Option(help="Label scheme of the stores. [five; cde: three]", show_default=False),
]
Protocol = Annotated[
    Literal["strict", "paper"],
    typer.Option(help="paper: as published code does, and every figure is marked."),
]
Seeds = Annotated[int, typer.Option(min=1, help="Repeat with so many seeds.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mersynth {__version__}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show debug lines and the traceback of every error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Micro-expression recognizers under an honest protocol, pretrained on synthetic clips."""
    logs.set_up(debug)


@app.command("list")
def list_command() -> None:
    """The systems: paper, inputs, parameters, multiply-adds, published weights."""
    from rich.console import Console

    from recognizers.listing import table

    Console().print(table())


@app.command()
def loso(
    model: Model,
    overrides: Overrides = None,
    store: Stores = None,
    data: Data = None,
    pretrain: Pretrain = None,
    pretrain_data: PretrainData = None,
    mix: Mix = None,
    groups: Groups = None,
    classes: Classes = None,
    protocol: Protocol = "strict",
    seeds: Seeds = 1,
    out: Out = None,
    seed: Seed = 0,
) -> None:
    """Leave one subject out: a fold a person."""
    _evaluate("loso", out, **_common(locals()), groups=groups)


@app.command()
def lovo(
    model: Model,
    overrides: Overrides = None,
    store: Stores = None,
    data: Data = None,
    pretrain: Pretrain = None,
    pretrain_data: PretrainData = None,
    mix: Mix = None,
    classes: Classes = None,
    protocol: Protocol = "strict",
    seeds: Seeds = 1,
    out: Out = None,
    seed: Seed = 0,
) -> None:
    """Leave one video out: a fold a clip."""
    _evaluate("lovo", out, **_common(locals()))


@app.command()
def cde(
    model: Model,
    overrides: Overrides = None,
    store: Stores = None,
    data: Data = None,
    pretrain: Pretrain = None,
    pretrain_data: PretrainData = None,
    mix: Mix = None,
    groups: Groups = None,
    classes: Classes = None,
    protocol: Protocol = "strict",
    seeds: Seeds = 1,
    out: Out = None,
    seed: Seed = 0,
) -> None:
    """Composite database evaluation: one subject of several databases left out."""
    _evaluate("cde", out, **_common(locals()), groups=groups)


@app.command()
def cross(
    model: Model,
    train: Annotated[list[Path], typer.Option(help="Store or FILE.npz to learn from.")],
    test: Annotated[list[Path], typer.Option(help="Store or FILE.npz to test on.")],
    overrides: Overrides = None,
    pretrain: Pretrain = None,
    pretrain_data: PretrainData = None,
    mix: Mix = None,
    classes: Classes = None,
    protocol: Protocol = "strict",
    seeds: Seeds = 1,
    out: Out = None,
    seed: Seed = 0,
) -> None:
    """Learn from one database, test on another."""
    _evaluate("cross", out, **{**_common(locals()), "data": train}, test=test)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[
        Path | None, typer.Option(help="A page that compares several runs, FILE.html.")
    ] = None,
) -> None:
    """Write the report of a run anew, or compare several with the first."""
    from rich.console import Console

    from recognizers.report import compare_runs, write_report

    if len(runs) == 1 and out is None:
        write_report(runs[0])
    Console().print(compare_runs(runs, out))


def _common(given: dict[str, Any]) -> dict[str, Any]:
    """What all protocols take, as :class:`recognizers.request.Request` names it."""

    def together(*names: str) -> list[Path]:
        return [path for name in names for path in given.get(name) or ()]

    return {
        "model": given["model"],
        "data": together("store", "data"),
        "pretrain": together("pretrain", "pretrain_data"),
        "mix": together("mix"),
        "classes": given["classes"],
        "habit": given["protocol"],
        "seeds": given["seeds"],
        "seed": given["seed"],
        "overrides": given["overrides"] or [],
    }


def _evaluate(protocol: str, out: Path | None, **options: Any) -> None:
    from rich.console import Console

    from recognizers.experiment import evaluate
    from recognizers.report import compare_runs
    from recognizers.request import ProtocolName, Request

    request = Request(protocol=cast(ProtocolName, protocol), **options)
    Console().print(compare_runs([evaluate(request, out)], None))
