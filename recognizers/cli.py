"""The ``recognizers`` command. Each command is a few lines around one function of the package."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mersynth.cli_options import (
    Distinct,
    EstimateOption,
    Out,
    SamePerson,
    Scheme,
    Seed,
    ShardOption,
    config_values,
    name_choice,
    new_app,
)
from mersynth.shards import Shard

logger = logging.getLogger(__name__)

app = new_app(
    "Micro-expression recognizers under an honest protocol, pretrained on synthetic clips."
)

Model = Annotated[
    str, typer.Option(help="A system of `recognizers list`, or a config of configs/model.")
]
Overrides = Annotated[
    list[str] | None,
    config_values("keep_weights=true"),
]
Stores = Annotated[
    list[Path] | None, typer.Option("--store", help="Store of real clips; repeatable.")
]
Data = Annotated[
    list[Path] | None, typer.Option("--data", help="FILE.npz of features; repeatable.")
]
Pretrain = Annotated[
    list[Path] | None,
    typer.Option("--pretrain", help="Store to pretrain on, synthetic or of other people."),
]
PretrainData = Annotated[
    list[Path] | None, typer.Option("--pretrain-data", help="FILE.npz to pretrain on.")
]
Mix = Annotated[
    list[Path] | None,
    typer.Option("--mix", help="Store or FILE.npz to learn from beside the training clips."),
]
FirstLabel = Annotated[
    int | None, typer.Option(min=0, help="Number of the first class in y of FILE.npz. [0]")
]
Groups = Annotated[
    int | None, typer.Option(help="Test K groups of people, instead of one person at a time.")
]
Classes = Annotated[
    Scheme | None,
    typer.Option(help="Label scheme of the stores. [five; cde: three]", show_default=False),
]
Protocol = Annotated[
    Literal["strict", "paper"],
    typer.Option(help="paper: as published code does, and every figure is marked."),
]
Seeds = Annotated[int, typer.Option(min=1, help="Repeat with so many seeds.")]


@app.command("list")
def list_command(
    system: Annotated[
        str | None, typer.Argument(help="One of the list, to see all about it.", show_default=False)
    ] = None,
) -> None:
    """The systems: paper, what they read, parameters; of one also size, options and weights."""
    from rich.console import Console

    from recognizers.listing import details, table

    Console(highlight=False).print(table() if system is None else details(system))


_SPLITS = {
    "loso": "Leave one subject out: one fold per person.",
    "lovo": "Leave one video out: a fold a clip.",
    "cde": "Composite database evaluation: loso over several databases, with figures for each.",
}


def _command(split: str) -> Callable[..., None]:
    """A command of clips that are divided among themselves."""

    def run(
        model: Model,
        overrides: Overrides = None,
        store: Stores = None,
        data: Data = None,
        pretrain: Pretrain = None,
        pretrain_data: PretrainData = None,
        mix: Mix = None,
        first_label: FirstLabel = None,
        groups: Groups = None,
        classes: Classes = None,
        protocol: Protocol = "strict",
        same_person: SamePerson = False,
        distinct: Distinct = False,
        seeds: Seeds = 1,
        out: Out = None,
        seed: Seed = 0,
        shard: ShardOption = None,
        estimate: EstimateOption = False,
    ) -> None:
        _evaluate(
            out,
            shard,
            estimate,
            split=split,
            model=model,
            data=_all(store, data),
            pretrain=_all(pretrain, pretrain_data),
            mix=_all(mix),
            first_label=first_label,
            groups=groups,
            classes=classes,
            protocol=protocol,
            names=name_choice(same_person, distinct),
            seeds=seeds,
            seed=seed,
            overrides=overrides or [],
        )

    return run


for _name, _help in _SPLITS.items():
    app.command(_name, help=_help)(_command(_name))


@app.command()
def cross(
    model: Model,
    train: Annotated[list[Path], typer.Option(help="Store or FILE.npz to learn from.")],
    test: Annotated[list[Path], typer.Option(help="Store or FILE.npz to test on.")],
    overrides: Overrides = None,
    pretrain: Pretrain = None,
    pretrain_data: PretrainData = None,
    mix: Mix = None,
    first_label: FirstLabel = None,
    classes: Classes = None,
    protocol: Protocol = "strict",
    same_person: SamePerson = False,
    distinct: Distinct = False,
    seeds: Seeds = 1,
    out: Out = None,
    seed: Seed = 0,
    shard: ShardOption = None,
    estimate: EstimateOption = False,
) -> None:
    """Learn from one database, test on another."""
    _evaluate(
        out,
        shard,
        estimate,
        split="cross",
        model=model,
        data=train,
        test=test,
        pretrain=_all(pretrain, pretrain_data),
        mix=_all(mix),
        first_label=first_label,
        classes=classes,
        protocol=protocol,
        names=name_choice(same_person, distinct),
        seeds=seeds,
        seed=seed,
        overrides=overrides or [],
    )


@app.command()
def fit(
    model: Model,
    overrides: Annotated[list[str] | None, config_values("model.training.epochs=100")] = None,
    store: Annotated[
        list[Path] | None, typer.Option("--store", help="Store to learn from; repeatable.")
    ] = None,
    data: Data = None,
    pretrain: Pretrain = None,
    pretrain_data: PretrainData = None,
    mix: Mix = None,
    first_label: FirstLabel = None,
    classes: Annotated[
        Scheme | None, typer.Option(help="Label scheme of the stores. [five]", show_default=False)
    ] = None,
    same_person: SamePerson = False,
    distinct: Distinct = False,
    out: Annotated[
        Path | None, typer.Option(help="New folder of the recognizer. [./models/<model>]")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Train a recognizer on all clips, for use by `recognizers predict` and `recognizers.load`.

    It trains as a fold does, for model.training.epochs. Measure it with loso. For instance
    `recognizers fit --model ststnet --store stores/samm --classes three`.
    """
    from recognizers.experiment.request import Request
    from recognizers.trained.fitting import fit as fit_recognizer

    request = Request(
        split="fit",
        model=model,
        data=_all(store, data),
        pretrain=_all(pretrain, pretrain_data),
        mix=_all(mix),
        first_label=first_label,
        classes=classes,
        names=name_choice(same_person, distinct),
        seed=seed,
        overrides=overrides or [],
    )
    fit_recognizer(request, out)


@app.command()
def predict(
    model: Annotated[
        Path,
        typer.Option(
            help="Folder that fit wrote, a fold of a run made with keep_weights=true, or the name "
            "of one that comes with the package: phantom-ststnet."
        ),
    ],
    store: Annotated[Path | None, typer.Option(help="Store to predict.")] = None,
    clip: Annotated[Path | None, typer.Option(help="Folder of a clip's frames.")] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="Video of a clip; of more than 4 s, without --onset and --offset, a recording in "
            "which movements are spotted."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="FILE.npz of features.")] = None,
    onset: Annotated[int | None, typer.Option(help="Frame in which it begins. [first]")] = None,
    apex: Annotated[int | None, typer.Option(help="Strongest frame. [it is spotted]")] = None,
    offset: Annotated[int | None, typer.Option(help="Frame in which it ends. [last]")] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Frames are cut to the face as the model's were.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="New folder. [./predictions/<model>_<clips>]")
    ] = None,
) -> None:
    """Predict clips of a store, a folder of frames or a video, by a trained recognizer.

    Frames are counted as their file names say, those of a video from 0; the face is found and
    brought to where the model's training had it. In a long video, movements are spotted and
    predicted, and a time line is drawn. For instance `recognizers predict --model models/ststnet
    --video clip.mp4`, or `--model runs/loso_ststnet_samm/folds/0_0003 --store
    stores/smic`.
    """
    from rich.console import Console

    from recognizers.trained.predicting import predict as predict_clips
    from recognizers.trained.predicting import terminal_table
    from recognizers.trained.recording import is_recording, predict_recording

    if clip is not None and video is not None:
        raise typer.BadParameter("--clip and --video exclude each other")
    alone = (store, data, onset, apex, offset) == (None,) * 5 and not aligned
    if video is not None and alone and is_recording(video):
        predict_recording(model, video, out, device=device)
        return
    place = clip if clip is not None else video
    moments = {"onset": onset, "apex": apex, "offset": offset}
    prediction, _ = predict_clips(
        model, out, store=store, clip=place, data=data, aligned=aligned, device=device, **moments
    )
    Console().print(terminal_table(prediction))


@app.command()
def explain(
    run: Annotated[Path, typer.Option(help="Folder of a run made with keep_weights=true.")],
    method: Annotated[
        Literal["au-cam", "grad-cam", "attention", "tsne"],
        typer.Option(help="au-cam: dual_branch; attention: mmnet, frl_dgt; the others: most."),
    ],
    clip: Annotated[
        list[str] | None, typer.Option(help="dataset/subject/clip; repeatable. [all]")
    ] = None,
    target: Annotated[
        Literal["predicted", "true"],
        typer.Option("--class", help="Whose evidence Grad-CAM shows."),
    ] = "predicted",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: Out = None,
    seed: Annotated[
        int | None, typer.Option(help="Whose folds, of a run of several seeds.")
    ] = None,
) -> None:
    """Draw what the models of a run look at, each clip by the model that was tested on it."""
    from recognizers.explain import explain as explain_run

    page = explain_run(run, method, out, clip, target=target, seed=seed, device=device)
    logger.info("page: %s", page)


@app.command()
def doctor(
    run: Annotated[
        list[Path] | None, typer.Option(help="Whether a run is whole; repeatable.")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="Whether a trained recognizer is; repeatable.")
    ] = None,
) -> None:
    """Read runs and trained recognizers whole, and say whether something is missing or damaged."""
    from recognizers.trained.wholeness import check_recognizer, check_run

    if not run and not model:
        raise typer.BadParameter("give --run or --model; `mersynth doctor` examines all else")
    for path in run or ():
        logger.info(check_run(path))
    for path in model or ():
        logger.info(check_recognizer(path))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[
        Path | None, typer.Option(help="A page that compares several runs, FILE.html.")
    ] = None,
) -> None:
    """Write the report of a run anew, or compare several with the first."""
    from rich.console import Console

    from recognizers.report import compare_runs, write_report

    if len(runs) == 1 and out is None:
        write_report(runs[0])
    Console().print(compare_runs(runs, out))


def _all(*given: list[Path] | None) -> list[Path]:
    return [path for several in given for path in several or ()]


def _evaluate(out: Path | None, shard: str | None, estimate: bool, **options: Any) -> None:
    from rich.console import Console

    from recognizers.experiment.evaluate import evaluate
    from recognizers.experiment.request import Request
    from recognizers.report import compare_runs

    own = Shard.parse(shard) if shard is not None else None
    run = evaluate(Request(**options), out, own, estimate)
    if own is None and not estimate:
        Console().print(compare_runs([run]))
