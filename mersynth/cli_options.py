"""Options, and the display of errors, that ``mersynth`` and ``recognizers`` commands share."""

from __future__ import annotations

import itertools
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from mersynth import __version__, logs

if TYPE_CHECKING:
    from mersynth.store.names import NameChoice

Scheme = Literal["three", "four", "five", "seven", "eight", "native"]
Source = Annotated[
    str | None,
    typer.Option(
        help="Database: a name that `mersynth doctor` lists, composite, or the built-in phantom.",
        show_default=False,
    ),
]
Store = Annotated[
    Path | None, typer.Option(help="Folder of a prepared store, instead of --source.")
]
Out = Annotated[Path | None, typer.Option(help="Where to put the result (has a default).")]
Strength = Annotated[
    Literal["micro", "macro"] | None,
    typer.Option(help="Strength of the movements. Micro by default."),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
SamePerson = Annotated[
    bool,
    typer.Option(
        "--same-person", help="Names that look alike, such as 006 and 6, are one person or clip."
    ),
]
Distinct = Annotated[
    bool, typer.Option("--distinct", help="Names that look alike are two people or clips.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted command.")]
EstimateOption = Annotated[
    bool,
    typer.Option(
        "--estimate", help="Only measure a few steps; show time, memory and disk of the whole."
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Do only the I-th of N shares of the work."),
]


def config_values(example: str) -> Any:
    """The argument that takes Hydra overrides.

    Args:
        example: an override that the command's config accepts.
    """
    return typer.Argument(help=f"Config values to change, for instance {example}.")


def name_choice(same_person: bool, distinct: bool) -> NameChoice | None:
    """The choice that the two flags make for names that look alike."""
    if same_person and distinct:
        raise typer.BadParameter("give only one of --same-person and --distinct")
    return "same" if same_person else "distinct" if distinct else None


class Commands(TyperGroup):
    """Shows errors meant for the user as one message, and only bugs as tracebacks."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse options whose value is empty: an empty path would be the current folder."""
        for option, value in itertools.pairwise([*args, "-"]):
            name, equals, given = option.partition("=")
            if name.startswith("--") and (given if equals else value) == "":
                raise typer.BadParameter(
                    "it is empty; give a value, or leave it out", ctx, param_hint=name
                )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params["debug"] or not logs.is_message(error) or _unread(error):
                raise
            logs.console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
            raise typer.Exit(logs.exit_code(error)) from error


def _unread(error: Exception) -> bool:
    """Whether nobody reads standard output any more, as of ``mersynth generate --help | head``.

    Such a command ends without a word.
    """
    if not isinstance(error, BrokenPipeError) or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sys.__stdout__, 0)  # type: ignore[arg-type]
    return any(event & select.POLLERR for _, event in poll.poll(0))


def new_app(text: str) -> typer.Typer:
    """A command line with ``--debug`` and ``--version``, whose commands log to standard error.

    Args:
        text: what the command is for.
    """
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.callback(help=text)
    def main(
        debug: Annotated[
            bool, typer.Option("--debug", help="Show debug lines and the traceback of every error.")
        ] = False,
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
        ] = False,
    ) -> None:
        logs.set_up(debug)

    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mersynth {__version__}")
        raise typer.Exit
