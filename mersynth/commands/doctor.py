"""``mersynth doctor``: what is installed and found, and whether what was written is whole."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

logger = logging.getLogger(__name__)


def doctor(
    store: Annotated[
        list[Path] | None, typer.Option(help="Instead: whether a store is whole; repeatable.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Instead: whether a checkpoint is; repeatable.")
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="Instead: whether a recognizer's run is; repeatable.")
    ] = None,
) -> None:
    """Show which packages, device, data sets and weights are found, and how to get the others.

    With --store, --checkpoint or --run, read these whole and compare their checksums.
    """
    from rich.console import Console

    from mersynth.doctor import examine, is_obstacle, report
    from mersynth.wholeness import check_checkpoint, check_store

    if store or checkpoint or run:
        for path in store or ():
            logger.info(check_store(path))
        for path in checkpoint or ():
            logger.info(check_checkpoint(path))
        for path in run or ():
            logger.info(_check_run()(path))
        return
    findings = list(examine())
    console = Console()
    for line in report(findings, console.width if console.is_terminal else None):
        console.print(line, soft_wrap=True)
    obstacles = [finding.name for finding in findings if is_obstacle(finding)]
    if obstacles:
        logger.error("`mersynth generate` cannot run without: %s", ", ".join(obstacles))
        raise typer.Exit(1)
    logger.info("ready: mersynth generate --source phantom --per-class 300")


def _check_run() -> Callable[[Path], str]:
    """What examines runs; they are the recognizers', which mersynth does not import."""
    (found,) = metadata.entry_points(group="mersynth.doctor", name="run")
    check: Callable[[Path], str] = found.load()
    return check
