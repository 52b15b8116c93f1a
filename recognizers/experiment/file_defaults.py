"""What the settings left to ``auto`` are: feature files have defaults of their own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mersynth.config import ConfigError
from mersynth.facs.emotions import scheme_with
from mersynth.store.clip_store import ClipStore
from recognizers.data.feature_files import read_classes
from recognizers.experiment.request import Request
from recognizers.models.base import Recognizer

logger = logging.getLogger(__name__)


def labelled(request: Request) -> Request:
    """The request with the label scheme by which stores beside feature files have their classes.

    Raises:
        StoreError, FeatureFileError, FileNotFoundError: if a store or file cannot be read.
    """
    stores = [path for path in (*request.pretrain, *request.mix) if path.suffix != ".npz"]
    if request.classes is not None or not stores or not request.tests_files:
        return request
    names = read_classes(request.data[0], request.first_label)
    sources = {clip.source for path in stores for clip in ClipStore.open(path).clips}
    scheme = scheme_with(sources, names)
    if scheme is None:
        return request
    logger.info("stores are read in the classes of the files under test: --classes %s", scheme)
    return replace(request, classes=scheme)


def lr_factor(request: Request, options: Mapping[str, Any]) -> Any:
    """``fine_tuning.lr_factor``, decided: a number, or "inner".

    Raises:
        ConfigError: if folds cannot choose under this split or protocol.
    """
    factor = options["fine_tuning"]["lr_factor"]
    able = request.protocol == "strict" and request.split in ("loso", "cde", "cross")
    if factor == "auto":
        return "inner" if able and request.tests_files else 1.0
    if factor == "inner" and not able:
        raise ConfigError(
            "fine_tuning.lr_factor=inner is for loso, cde and cross under the strict protocol, not "
            f"for {request.split} under {request.protocol}; give a number"
        )
    return factor


def mixed_until(request: Request, options: Mapping[str, Any], model: Recognizer) -> float:
    """``mixed_until``, decided: a share of the epochs, in (0, 1]."""
    share = options["mixed_until"]
    if share != "auto":
        return float(share)
    if not (request.mix and request.tests_files) or model.fits_directly:
        return 1.0
    logger.info("clips mixed in take part in 0.67 of the epochs (mixed_until=1: in all)")
    return 0.67


def balances(request: Request, settings: DictConfig, model: Recognizer) -> bool:
    """Whether trainings on further clips show as many of every class: those of feature files do.

    Such files have up to six times as many negative clips as others. With clips mixed in by
    their own shares, recall of positive falls (docs/real_flow_shuffled.md).
    """
    further = bool(request.pretrain or request.mix)
    given = OmegaConf.select(settings, "model.training.sampler") is not None
    return further and request.tests_files and not given and not model.fits_directly
