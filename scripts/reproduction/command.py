"""The command line of the scripts that reproduce a paper's tables."""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mersynth import __version__, logs
from reproduction.stores import Stores, databases, read_pairs
from reproduction.tables import Table

if TYPE_CHECKING:
    from reproduction.runs import Filled, Plan

logger = logging.getLogger("recognizers.scripts.reproduction")

RUNS = Path("runs/reproduce")


def main(text: str, tables: Mapping[str, Table], arguments: Sequence[str] | None = None) -> None:
    """Run a table, print it and write it.

    Args:
        text: of the script, its first line for the help.
        tables: of the paper, by their numbers.
        arguments: of the command line.
    """
    parser = make_parser(text, tables)
    options = parser.parse_args(arguments)
    logs.set_up()
    table = tables[options.table]

    from reproduction.runs import fill, lacking

    with errors_shown(parser):
        rows = _rows(table, options.row)
        with plan_of(options, table.paper, databases([table]), _pretrained(table)) as plan:
            if not options.partial:
                require(lacking(table, rows, plan.stores), f"table {table.number}")
            give(fill(table, rows, plan), plan, options)


def make_parser(text: str, tables: Mapping[str, Table]) -> argparse.ArgumentParser:
    """The options of a script."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    first = next(iter(tables))
    parser.add_argument(
        "--table",
        choices=tuple(tables),
        default=first if len(tables) == 1 else None,
        required=len(tables) > 1,
    )
    parser.add_argument(
        "--row", action="append", default=[], metavar="LABEL", help="run this row only; repeatable"
    )
    add_run_options(parser, databases(tables.values()), any(map(_pretrained, tables.values())))
    parser.add_argument(
        "--partial", action="store_true", help="leave out what needs a store that is not given"
    )
    return parser


def add_run_options(
    parser: argparse.ArgumentParser, names: Sequence[str], pretrained: bool
) -> None:
    """Options of stores, seeds and files."""
    parser.add_argument(
        "--store",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help=f"store of a database, one of {', '.join(names)}; repeatable",
    )
    if pretrained:
        parser.add_argument(
            "--pretrain",
            action="append",
            default=[],
            metavar="[NAME=]DIR",
            help="synthetic store to pretrain on, of one database or of all; repeatable",
        )
    parser.add_argument("--quick", action="store_true", help="phantom clips and tiny models")
    parser.add_argument("--seeds", type=int, default=1, help="repeat every run with so many seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=Path, help=f"folder of the runs [{RUNS}/PAPER]")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="[in the folder of the runs]")
    parser.add_argument(
        "overrides",
        nargs="*",
        help="config values to change in every run, for instance executor.workers=4",
    )


@contextmanager
def plan_of(
    options: argparse.Namespace, paper: str, names: Sequence[str], pretrained: bool
) -> Iterator[Plan]:
    """How the runs are made; with ``--quick`` in a folder that is removed afterwards."""
    from reproduction.quick import phantom_stores
    from reproduction.runs import Plan

    given = [*options.store, *getattr(options, "pretrain", [])]
    if options.out is not None and options.out.suffix != ".md":
        raise argparse.ArgumentTypeError(f"--out must be a FILE.md, got {options.out}")
    if options.quick and given:
        raise argparse.ArgumentTypeError(f"--quick renders its stores, and takes none: {given}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.runs or (Path(temporary) / "runs" if options.quick else RUNS / paper)
        if options.quick:
            stores = phantom_stores(Path(temporary) / "stores", names, pretrained)
        else:
            real = read_pairs("--store", options.store, names, bare=False)
            chosen = getattr(options, "pretrain", [])
            pretrain = read_pairs("--pretrain", chosen, names, bare=True)
            stores = Stores(real, pretrain, folder / "stores")
        yield Plan(
            stores=stores,
            folder=folder,
            seeds=options.seeds,
            seed=options.seed,
            overrides=options.overrides,
            quick=options.quick,
        )


@contextmanager
def errors_shown(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Errors that are meant for the user end the script with one message."""
    try:
        yield
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    except Exception as error:
        if not isinstance(error, _messages()):
            raise
        raise SystemExit(f"error: {error}") from error


def require(missing: Sequence[str], what: str) -> None:
    """Refuse to begin without stores.

    Args:
        missing: a text for each, which says how to make it.
        what: needs them.
    """
    if missing:
        lines = "\n  ".join(missing)
        raise argparse.ArgumentTypeError(
            f"{what} needs stores that were not given (--quick shows it on phantom clips):\n"
            f"  {lines}"
        )


def give(filled: Filled, plan: Plan, options: argparse.Namespace) -> None:
    """Print a table, and write it into the folder of the runs or where it was asked for."""
    from reproduction.showing import show, write

    show(filled, plan.quick)
    out = options.out
    if out is None and not (plan.quick and options.runs is None):
        out = plan.folder / f"table_{filled.table.number}.md"
    if out is None:  # the folder of a quick run is removed at once
        return
    facts = {
        "stores": {name: str(path) for name, path in plan.stores.real.items()},
        "pretrain": {name: str(path) for name, path in plan.stores.pretrain.items()},
        "seeds": list(range(plan.seed, plan.seed + plan.seeds)),
        "overrides": list(plan.overrides),
        "mersynth": __version__,
    }
    write(filled, plan.quick, out, facts)
    logger.info("stored in %s", out)


def _messages() -> tuple[type[Exception], ...]:
    """Errors whose text tells the user what to do."""
    from mersynth.config import ConfigError
    from mersynth.features.cache import FeatureError
    from mersynth.store.clip_store import StoreError
    from recognizers.executors import ExecutorError
    from recognizers.folds.guard import LeakageError
    from recognizers.training.trainer import TrainingError

    ours = (ConfigError, ExecutorError, FeatureError, LeakageError, StoreError, TrainingError)
    return (*ours, OSError, ValueError)


def _pretrained(table: Table) -> bool:
    return any(row.pretrained for row in table.rows)


def _rows(table: Table, labels: Sequence[str]) -> list[int]:
    """Numbers of the rows to run."""
    runnable = [i for i, row in enumerate(table.rows) if row.config]
    known = list(dict.fromkeys(table.rows[i].label for i in runnable))
    if unknown := [label for label in labels if label not in known]:
        raise argparse.ArgumentTypeError(
            f"--row {', '.join(unknown)}: table {table.number} can run {'; '.join(known)}"
        )
    return [i for i in runnable if not labels or table.rows[i].label in labels]
