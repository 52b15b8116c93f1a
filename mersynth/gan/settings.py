"""The allowed values of ``configs/train.yaml``, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from mersynth import config as configs
from mersynth.gan.forms import MOTION


def check_shares(config: DictConfig, count: int) -> None:
    """Check that batches divide among processes.

    Raises:
        ConfigError: if they do not.
    """
    for name in ("batch_size", "video_batch_size"):
        if config[name] % count:
            raise configs.ConfigError(
                f"{name} must be a multiple of the {count} processes, got {config[name]}"
            )
    share = config.batch_size * config.conditions_each // count
    every = config.gan.losses.consistency_every
    if count > 1 and share % every:
        raise configs.ConfigError(
            f"a process's {share} conditions (batch_size * conditions_each / {count}) must be a "
            f"multiple of gan.losses.consistency_every={every}"
        )


def load_settings(overrides: Sequence[str]) -> DictConfig:
    """The training configuration with a user's overrides.

    Raises:
        ConfigError: if an override does not fit, or a value is not allowed.
    """
    config = configs.load("train", overrides)
    moves = config.gan.generator.form == MOTION
    if len(config.betas) != 2:
        raise configs.ConfigError(f"betas must be two numbers, got {list(config.betas)}")
    step = max(8 if moves else 4, 2**config.gan.image_critic.depth)
    if config.gan.image_size % step:
        raise configs.ConfigError(
            f"gan.image_size must be a multiple of {step} (2 ** gan.image_critic.depth), got "
            f"{config.gan.image_size}"
        )
    if config.gan.losses.ssim_relative and config.gan.losses.ssim_target != "truth":
        raise configs.ConfigError("gan.losses.ssim_relative needs gan.losses.ssim_target=truth")
    if config.true_frame_steps and config.gan.losses.ssim_target != "truth":
        raise configs.ConfigError("true_frame_steps need gan.losses.ssim_target=truth")
    return config
