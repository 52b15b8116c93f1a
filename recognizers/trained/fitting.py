"""A recognizer for use: trained on all clips there are, and kept with what one must know of it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from mersynth import __version__, paths
from mersynth.config import ConfigError
from mersynth.disk.lock import hold
from mersynth.logs import progress
from mersynth.tracking import check_tracker, where_to_look
from recognizers.experiment.preparation import Preparation, load_settings, prepare
from recognizers.experiment.request import Request
from recognizers.folds.way import Way
from recognizers.runs.tracking import RunTracking
from recognizers.trained.card import (
    RENDERED,
    RecognizerCard,
    RecognizerError,
    Seen,
    channel_statistics,
    save_recognizer,
)
from recognizers.training.fold_work import ChannelStatistics, learn_all, pretrain, pretraining_seed

logger = logging.getLogger(__name__)


def fit(request: Request, out: Path | None = None) -> Path:
    """Train a recognizer on all clips, with the settings that folds have, and keep it.

    Synthetic clips may be all that it learns from; its card names the stores and counts the clips.

    Args:
        request: of the split ``"fit"``.
        out: the new folder; None: ``./models/`` and the model's name.

    Returns:
        The folder, which :func:`recognizers.load` reads.

    Raises:
        RecognizerError: if the folder exists.
        ConfigError: if an override or a setting does not fit.
        StoreError, FeatureFileError, FileNotFoundError: if clips cannot be read.
        ValueError: if clips and model do not fit together, or the split is another.
        NamesError: if names look alike, and ``request.names`` does not say what they are.
        InUseError: if another process writes the folder.
        TrainingError: if the training goes astray; nothing is written then.
    """
    if request.split != "fit":
        raise ValueError(f"split must be 'fit', got {request.split!r}")
    settings = load_settings(request)
    check_tracker(settings.logger)
    if settings.selection != "fixed":
        raise ConfigError(
            f"selection must be fixed, got {settings.selection!r}: fit learns from all people, so "
            "that nobody is left to choose the number of epochs on; give it as "
            "model.training.epochs"
        )
    place = paths.model_path(request.model, out)
    with hold(place):
        if place.exists():
            raise RecognizerError(f"{place} exists already; remove it or choose another --out")
        run = prepare(request, settings)
        work, start, before = run.work, None, None
        if work.pool is not None:
            before = range(len(work.pool.clips))
            logger.info("pretraining on %d clips", len(before))
            start = pretrain(work, before, pretraining_seed(request.seed, 0)).weights
        with progress("training", total=work.training.epochs, unit="epochs") as advance:
            learned = learn_all(work, start, request.seed, lambda epoch: advance(1))
        rows, epoch = range(len(work.clips.clips)), len(learned.curve)
        card = card_of(run, rows, before, learned.statistics, epoch, request.seed)
        save_recognizer(place, learned.weights, card)
        tracking = RunTracking(settings.logger, place, run.options)
        tracking.curve(request.seed, "fit", learned.curve)
    if where := where_to_look(settings.logger, place):
        logger.info("learning curve: %s", where)
    clips = "--data FILE.npz" if card.scheme is None else "--video FILE"
    logger.info(
        "%s: learned from %d clips of %d people, %d of them synthetic; classes %s",
        place,
        card.learned.clips,
        len(card.learned.people),
        card.learned.synthetic,
        ", ".join(card.classes),
    )
    logger.info("recognizers predict --model %s %s", place, clips)
    return place


def card_of(
    run: Preparation,
    rows: Sequence[int],
    before: Sequence[int] | None,
    statistics: ChannelStatistics,
    epoch: int,
    seed: int,
    fold: str | None = None,
    way: Way | None = None,
) -> RecognizerCard:
    """The card of a recognizer that was trained on clips of a run.

    Args:
        run: the run, or what was prepared to fit.
        rows: of its clips that were learned from; those of its pool count on from them.
        before: rows of its pool that were pretrained on; None: the training began afresh.
        statistics: of the standardised inputs.
        epoch: after which the weights were taken.
        seed: of the run.
        fold: the fold's name.
        way: how it used the pool, if it chose that.
    """
    work, request = run.work, run.request
    settings = work.training if before is None else work.fine_tuning
    if way is not None and before is not None:
        settings = work.training.at_rates_times(way.lr_factor)
    own = [part for part in run.data if part.role in ("real", "train")]
    of_files = all(part.image_size is None for part in own)
    pool = () if work.pool is None else work.pool.clips
    clips = (*work.clips.clips, *pool)
    return RecognizerCard(
        model=work.model,
        options=dict(work.options),
        classes=work.clips.classes,
        scheme=None if of_files else request.scheme,
        inputs=dict(run.inputs),
        features=run.options["model"].get("features") or {},
        statistics=channel_statistics(statistics),
        training={**dataclasses.asdict(settings), "augment": work.augment},
        epoch=epoch,
        seed=seed,
        split=request.split,
        fold=fold,
        data=run.data,
        learned=Seen.of([clips[i] for i in rows]),
        pretrained=None if before is None else Seen.of([pool[i] for i in before]),
        mersynth=__version__,
        note=RENDERED if all(part.phantom is not None for part in run.data) else "",
    )
