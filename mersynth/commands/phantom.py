"""``mersynth phantom``: a rendered tree laid out like a real database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mersynth.cli_options import Seed, Strength, config_values
from mersynth.commands.options import config_options


def phantom(
    like: Annotated[Path, typer.Option(help="Annotation table of the real database.")],
    layout: Annotated[
        Literal["casme2", "samm", "smic"], typer.Option(help="Whose folders to lay out.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new tree.")],
    overrides: Annotated[list[str] | None, config_values("image_size=64")] = None,
    limit: Annotated[int | None, typer.Option(help="Only this many clips of the table.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the frames in pixels. [128]")] = None,
    strength: Strength = None,
    seed: Seed = 0,
) -> None:
    """Render every clip of a real annotation table into the database's own folder layout.

    Frames show only the face, as those of a cropped release do; release=raw shows the whole head
    and its surroundings. Numbers such as framing.eyes=0.3 or population.glasses=0 imitate one
    database; population=plain shows bare faces under one kind of camera, capture=still shows
    expressions without any other movement.
    """
    flags = {"limit": limit, "image_size": size, "strength": strength}
    options = config_options("phantom", overrides, flags)

    from mersynth.phantom.capture import Capture
    from mersynth.phantom.tree import write_tree
    from mersynth.phantom.variety import Population

    options["population"] = Population.of(options["population"])
    options["capture"] = Capture.of(options["capture"])
    write_tree(like, layout, out, seed=seed, **options)
