"""``mersynth quality``: a synthetic store is measured against a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mersynth.cli_options import Distinct, SamePerson, Seed, config_values, name_choice


def quality(
    real: Annotated[Path, typer.Option(help="Store of real clips.")],
    synthetic: Annotated[Path, typer.Option(help="Store to measure against it.")],
    overrides: Annotated[list[str] | None, config_values("max_clips=100")] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder (default: ./quality/<synthetic store>).")
    ] = None,
    same_person: SamePerson = False,
    distinct: Distinct = False,
    seed: Seed = 0,
) -> None:
    """Measure how good a synthetic store is: figures in quality.json, a page in quality.html."""
    from mersynth.quality import measure_quality

    measure_quality(
        real=real,
        synthetic=synthetic,
        out=out,
        names=name_choice(same_person, distinct),
        seed=seed,
        overrides=overrides or [],
    )
