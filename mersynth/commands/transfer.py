"""``mersynth transfer``: a face follows a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mersynth.cli_options import Distinct, Out, SamePerson, Seed, config_values, name_choice


def transfer(
    driving: Annotated[
        str,
        typer.Option(
            help="Clip to follow: the id of one in a store, such as samm/006/006_1_2; or a video, "
            "or a folder of frames.",
        ),
    ],
    face: Annotated[
        Path, typer.Option(help="Whose face wears it: a photo, a store or a folder of photos.")
    ],
    overrides: Annotated[list[str] | None, config_values("strength=2")] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Store of the driving clip (default: ./stores/<its source>)."),
    ] = None,
    subject: Annotated[
        list[str] | None,
        typer.Option(
            help="Person of --face, such as casme2/sub01; repeatable (default: everybody)."
        ),
    ] = None,
    onset: Annotated[
        int | None, typer.Option(help="Frame in which it begins (default: the first).")
    ] = None,
    apex: Annotated[
        int | None, typer.Option(help="Strongest frame (default: it is spotted).")
    ] = None,
    offset: Annotated[
        int | None, typer.Option(help="Frame in which it ends (default: the last).")
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The film's frames are cut to the face already.")
    ] = False,
    generator: Annotated[
        Literal["icgan", "warp"], typer.Option(help="AU-ICGAN, or the AU warp.")
    ] = "icgan",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of a trained AU-ICGAN (default: the shipped one).")
    ] = None,
    out: Out = None,
    video: Annotated[
        Path | None, typer.Option(help="Also write the clips, side by side, to an .mp4 or a .gif.")
    ] = None,
    same_person: SamePerson = False,
    distinct: Distinct = False,
    seed: Seed = 0,
) -> None:
    """Let a face follow a clip: it wears its AU curve, with its timing.

    The curve is the one measured in the clip's store, else it is read from the clip's motion. A
    film begins with a face at rest; its frames are counted as their file names say, those of a
    video from 0. For instance `mersynth transfer --driving smile.mp4 --face photo.jpg --video
    out.mp4`, or `--driving casme2/sub01/EP02_01f --face stores/samm`.
    """
    from mersynth.transfer import transfer as transfer_clip

    transfer_clip(
        driving,
        face,
        store=store,
        subjects=subject or [],
        onset=onset,
        apex=apex,
        offset=offset,
        aligned=aligned,
        generator=generator,
        checkpoint=checkpoint,
        out=out,
        film=video,
        names=name_choice(same_person, distinct),
        seed=seed,
        overrides=overrides or [],
    )
