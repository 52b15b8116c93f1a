"""``mersynth train``: a generator learns from a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mersynth import config, paths
from mersynth.cli_options import (
    Distinct,
    EstimateOption,
    Out,
    Resume,
    SamePerson,
    Seed,
    Source,
    Store,
    config_values,
    name_choice,
)
from mersynth.commands.options import one_store


def train(
    overrides: Annotated[list[str] | None, config_values("gan.image_size=256")] = None,
    source: Source = None,
    store: Store = None,
    out: Out = None,
    macro_store: Annotated[
        Path | None, typer.Option(help="Store of macro-expressions to train on as well.")
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(help="Generator to start from: a checkpoint, a GANimation file, or shipped."),
    ] = None,
    subject_groups: Annotated[
        int, typer.Option(min=1, help="Train this many generators, each without one group.")
    ] = 1,
    group: Annotated[
        int | None, typer.Option(min=0, help="Train only this group's, beside other commands.")
    ] = None,
    estimate: EstimateOption = False,
    resume: Resume = False,
    same_person: SamePerson = False,
    distinct: Distinct = False,
    seed: Seed = 0,
) -> None:
    """Train the generator (AU-ICGAN) on a store."""
    store = one_store(source, store)
    given = {"macro_store": macro_store, "gan.init_from": init_from}
    places = [config.literal(key, path) for key, path in given.items() if path is not None]

    from mersynth.gan.train import train as train_generator

    train_generator(
        store_path=store,
        out=paths.checkpoint_path(store.name, out),
        subject_groups=subject_groups,
        group=group,
        resume=resume,
        estimate=estimate,
        names=name_choice(same_person, distinct),
        seed=seed,
        overrides=[*(overrides or []), *places],
    )
