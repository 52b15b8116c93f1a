"""``mersynth generate``: a balanced synthetic store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mersynth.cli_options import (
    Distinct,
    EstimateOption,
    Out,
    Resume,
    SamePerson,
    Scheme,
    Seed,
    ShardOption,
    Source,
    Store,
    config_values,
    name_choice,
)
from mersynth.commands.options import one_store
from mersynth.shards import Shard


def generate(
    per_class: Annotated[int, typer.Option(min=1, help="Number of clips of each class.")],
    overrides: Annotated[list[str] | None, config_values("num_frames=24")] = None,
    source: Source = None,
    store: Store = None,
    classes: Annotated[Scheme, typer.Option(help="Label scheme.")] = "five",
    generator: Annotated[
        Literal["icgan", "warp"],
        typer.Option(help="The trained AU-ICGAN, or the AU warp, which needs no training."),
    ] = "icgan",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained generator; shipped: the one in this package."),
    ] = None,
    faces: Annotated[
        Path | None,
        typer.Option(
            help="Store or folder of photos to take the faces from, instead of the real store. "
            "Without a real store, the clips follow the phantom's AU curves."
        ),
    ] = None,
    tested: Annotated[
        list[Path] | None,
        typer.Option(
            help="Store of further people whom recognizers will be tested on, as in `recognizers "
            "cross`: clips record that the generator never saw them, unless it did. Repeatable."
        ),
    ] = None,
    out: Out = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan only.")] = False,
    estimate: EstimateOption = False,
    resume: Resume = False,
    shard: ShardOption = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Make so many parts at once, in as many processes.")
    ] = 1,
    same_person: SamePerson = False,
    distinct: Distinct = False,
    seed: Seed = 0,
) -> None:
    """Make a synthetic store in which every class has the same number of clips.

    On several machines: each makes a part (--shard 1/8 to --shard 8/8); then the same command with
    --resume and without --shard joins them to the bytes that one process writes.
    """
    if faces is None or source or store:
        one_store(source, store)

    from mersynth.synthesis.generate import generate as generate_store

    generate_store(
        source=source,
        store=store,
        per_class=per_class,
        classes=classes,
        generator=generator,
        checkpoint=checkpoint,
        faces=faces,
        tested=tested or [],
        out=out,
        dry_run=dry_run,
        estimate=estimate,
        resume=resume,
        shard=Shard.parse(shard) if shard is not None else None,
        workers=workers,
        names=name_choice(same_person, distinct),
        seed=seed,
        overrides=overrides or [],
    )
