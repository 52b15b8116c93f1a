"""The ``mersynth`` command. Each command is a few lines around one function of the package."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from mersynth import config, paths
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
    Strength,
    config_values,
    name_choice,
    new_app,
)
from mersynth.shards import Shard

logger = logging.getLogger(__name__)

ExportLayout = Literal[
    "casme2", "samm", "imagefolder", "mp4", "webdataset", "parquet", "meb", "npz", "openface"
]

app = new_app("Balanced synthetic facial micro-expression clips, conditioned on action units.")


@app.command()
def doctor(
    store: Annotated[
        list[Path] | None, typer.Option(help="Instead: whether a store is whole; repeatable.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Instead: whether a checkpoint is; repeatable.")
    ] = None,
) -> None:
    """Show which packages, device, data sets and weights are found, and how to get the others.

    With --store or --checkpoint, read these whole and compare their checksums.
    """
    from rich.console import Console

    from mersynth.doctor import examine, is_obstacle, report
    from mersynth.wholeness import check_checkpoint, check_store

    if store or checkpoint:
        for path in store or ():
            logger.info(check_store(path))
        for path in checkpoint or ():
            logger.info(check_checkpoint(path))
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


@app.command()
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
    options = _options("phantom", overrides, flags)

    from mersynth.phantom.tree import write_tree

    write_tree(like, layout, out, seed=seed, **options)


@app.command()
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
    options = _options("prepare", overrides, flags)
    if intensities is not None:  # its path may hold signs that mean something in an override
        options["intensities"] = intensities
    folder = _one_store(source, store)
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


@app.command()
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
    store = _one_store(source, store)
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


@app.command()
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
        _one_store(source, store)

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


@app.command()
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


@app.command()
def gallery(
    store: Annotated[Path, typer.Option(help="Folder of a store, real or synthetic.")],
) -> None:
    """Write the page gallery.html into a store: its clips play, with the curves of their AUs.

    `generate` does so by itself. The pages of `recognizers report` link to the clips of a gallery.
    """
    from mersynth.pages.gallery import write_gallery
    from mersynth.store.clip_store import ClipStore

    logger.info("gallery: %s", write_gallery(ClipStore.open(store)))


@app.command()
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


@app.command()
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


@app.command()
def studio(
    store: Annotated[
        list[Path] | None,
        typer.Option("--store", help="A store to offer beside those in ./stores; repeatable."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of a trained AU-ICGAN. [the shipped one]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="[the first free one from 7860]")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
) -> None:
    """Open a page in which faces move by AU sliders, stores play, and runs are explained.

    It needs Gradio: pip install 'mersynth[studio]'. It listens on this machine alone, and sends
    nothing elsewhere.
    """
    from mersynth.gan.checkpoint import SHIPPED
    from mersynth.studio.page import serve

    serve(port, host, store or [], checkpoint or SHIPPED)


def _one_store(source: str | None, store: Path | None) -> Path:
    if (source is None) == (store is None):
        raise typer.BadParameter("give either --source or --store")
    return store if store is not None else paths.store_path(str(source))


def _options(name: str, overrides: list[str] | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """A command's config as keyword arguments; a flag that was given wins over an override."""
    from omegaconf import OmegaConf

    from mersynth.face.template import FramingChoice

    # Compared by identity: 0 equals False, but is a value, though a wrong one.
    given = [
        f"{k}={value}" for k, value in flags.items() if value is not None and value is not False
    ]
    options = OmegaConf.to_container(config.load(name, [*(overrides or []), *given]), resolve=True)
    options = cast(dict[str, Any], options)
    if "framing" in options:
        options["framing"] = FramingChoice(**options["framing"])
    if name == "phantom":
        from mersynth.phantom.capture import Capture
        from mersynth.phantom.variety import Population

        options["population"] = Population.of(options["population"])
        options["capture"] = Capture.of(options["capture"])
    return options
