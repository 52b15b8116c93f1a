"""``mersynth export``: a store in a layout that other people's code reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mersynth.cli_options import (
    Distinct,
    Resume,
    SamePerson,
    Scheme,
    Seed,
    config_values,
    name_choice,
)

ExportLayout = Literal[
    "casme2", "samm", "imagefolder", "mp4", "webdataset", "parquet", "meb", "npz", "openface"
]


def export(
    store: Annotated[Path, typer.Option(help="Folder of a store, real or synthetic.")],
    out: Annotated[Path, typer.Option(help="New folder; for npz the new file, FILE.npz.")],
    layout: Annotated[
        ExportLayout | None,
        typer.Option(help="How to lay the clips out; openface: AUs alone, without images."),
    ] = None,
    aus: Annotated[
        Literal["csv"] | None,
        typer.Option(help="Also write AU intensities, one CSV file per clip as OpenFace's."),
    ] = None,
    overrides: Annotated[list[str] | None, config_values("skip_bad=true")] = None,
    naming: Annotated[
        Literal["raw", "cropped"] | None,
        typer.Option(help="Release whose file names to use: casme2, samm (default: cropped)."),
    ] = None,
    classes: Annotated[
        Scheme | None, typer.Option(help="Label scheme (default: the store's own).")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Channels of npz, for instance onset,apex (default: u,v,strain)."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the maps of npz and meb in pixels (default: 28).")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Continue without clips that the layout cannot hold.")
    ] = False,
    same_person: SamePerson = False,
    distinct: Distinct = False,
    resume: Resume = False,
    seed: Seed = 0,
) -> None:
    """Write a store in a layout that other people's code reads."""
    from mersynth.export import export as export_store

    export_store(
        store,
        layout,
        out,
        aus=aus,
        naming=naming,
        classes=classes,
        features=features,
        size=size,
        skip_bad=skip_bad,
        names=name_choice(same_person, distinct),
        resume=resume,
        seed=seed,
        overrides=overrides or [],
    )
