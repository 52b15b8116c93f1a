"""The settings in ``configs/quality.yaml``, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from mersynth import config as configs
from mersynth.quality.reader import BATCH


def load_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """The settings of ``configs/quality.yaml``, changed by overrides.

    Raises:
        ConfigError: if an override does not fit, or a value is out of range.
    """
    config = configs.load("quality", overrides)
    if config.reader.subjects * config.reader.each < BATCH:
        raise configs.ConfigError(
            f"reader.subjects x reader.each must be {BATCH} frames or more, a batch of the reader, "
            f"got {config.reader.subjects} x {config.reader.each}"
        )
    found = OmegaConf.to_container(config, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
