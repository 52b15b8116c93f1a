"""``mersynth prepare``: a database on disk becomes a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mersynth import config
from mersynth.cli_options import Out, Resume, Seed, Source, config_values
from mersynth.commands.options import config_options, one_store


def prepare(
    overrides: Annotated[list[str] | None, config_values("geometry=resize")] = None,
    source: Source = None,
    store: Annotated[
        Path | None, typer.Option(help="An existing store, to add --features to.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the database's files.")] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="A photo of a face, for --source folder; repeatable.")
    ] = None,
    video: Annotated[
        list[Path] | None, typer.Option(help="A video of a face, for --source folder; repeatable.")
    ] = None,
    out: Out = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the stored frames in pixels. [128]")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="Features to compute, for instance flow,strain,tim.")
    ] = None,
    intensities: Annotated[
        str | None,
        typer.Option(
            help="What gives AU intensities (also of stills): auto, none; v2 or v1 of py-feat; "
            "openface=DIR or libreface=DIR, the CSV files of these tools; or "
            "blendshapes=FILE.task, MediaPipe's face landmarker."
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Continue without the clips that cannot be read.")
    ] = False,
    strength: Annotated[
        Literal["micro", "macro"] | None,
        typer.Option(help="Strength rendered into the tree, if not the database's own."),
    ] = None,
    resume: Resume = False,
    seed: Seed = 0,
) -> None:
    """Check a database on disk and turn it into a store of clips, with features if wanted.

    Faces of raw releases are found by detector=auto|mtcnn|feat|lbp (auto: the first one installed)
    and aligned. geometry=align|crop|resize decides what is stored; framing=tight|head, or numbers
    such as framing.eyes=0.26 framing.apart=0.58, decide which part of an aligned face. With
    face=all, each face on a photo of --source folder is a person.
    """
    flags = {
        "image_size": image_size,
        "features": f"[{features}]" if features is not None else None,
        "skip_bad": skip_bad,
        "strength": strength,
    }
    options = config_options("prepare", overrides, flags)
    if intensities is not None:  # its path may hold signs that mean something in an override
        options["intensities"] = intensities
    folder = one_store(source, store)
    if source is None and (
        root
        or image
        or video
        or out
        or intensities
        or resume
        or any(value for name, value in flags.items() if name != "features")
    ):
        raise typer.BadParameter("--store takes only --features and their options")

    from mersynth.prepare.command import add_features
    from mersynth.prepare.command import prepare as prepare_source

    if wrong := [name for name in options["features"] if not isinstance(name, str)]:
        raise config.ConfigError(f"features must be names, got {wrong[0]!r}")
    wanted = {name: options["feature"].get(name, {}) for name in options.pop("features")}
    del options["feature"]
    if source is None:
        add_features(folder, wanted)
    else:
        prepare_source(
            source,
            root,
            out,
            images=image or [],
            videos=video or [],
            features=wanted,
            resume=resume,
            seed=seed,
            **options,
        )
