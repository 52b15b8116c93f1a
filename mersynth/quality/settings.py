"""The settings in ``configs/quality.yaml``, checked."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mersynth import config as configs
from mersynth.quality.reader import BATCH


def load_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """The settings of ``configs/quality.yaml``, changed by overrides.

    Raises:
        ConfigError: if an override does not fit, or a value is out of range.
    """
    config: DictConfig = configs.load("quality", overrides)
    share = (0.0, 1.0)
    configs.check_ranges(
        config,
        {
            "max_clips": (2, inf),
            "moments": (3, inf),
            "max_size": (16, inf),
            "worst": (0, inf),
            **dict.fromkeys(("reader.subjects", "reader.each", "reader.epochs"), (1, inf)),
            **dict.fromkeys(("reader.min_steps", "extractor.epochs"), (1, inf)),
            "control.min_clips": (1, inf),
            **dict.fromkeys(("motion.grid", "motion.small_size"), (1, inf)),
            "motion.directions": (2, inf),
            **dict.fromkeys(("distribution.subset", "distribution.min_clips"), (2, inf)),
            **dict.fromkeys(("distribution.subsets", "distribution.splits"), (1, inf)),
            "distribution.neighbours": (1, inf),
            "separability.folds": (2, inf),
            "separability.c": (1e-9, inf),
            **dict.fromkeys(("reader.held_out", "extractor.held_out"), share),
            **dict.fromkeys(("control.min_asked", "control.idle", "outside.min_asked"), share),
            **dict.fromkeys(("outside.region_share", "distribution.copy_quantile"), share),
            "control.min_readable": (-1.0, 1.0),
        },
    )
    configs.check_choice(config, "device", ("auto", "cpu", "cuda"))
    configs.check_choice(config, "reader.kind", ("auto", "rendered", "feat", "store"))
    configs.check_choice(config, "extractor.kind", ("auto", "inception", "small"))
    if config.reader.subjects * config.reader.each < BATCH:
        raise configs.ConfigError(
            f"reader.subjects x reader.each must be {BATCH} frames or more, a batch of the reader, "
            f"got {config.reader.subjects} x {config.reader.each}"
        )
    found = OmegaConf.to_container(config, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
