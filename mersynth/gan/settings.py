"""The allowed values of ``configs/train.yaml``, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from omegaconf import DictConfig

from mersynth import config as configs
from mersynth.devices import PRECISIONS
from mersynth.gan.forms import FORMS, MOTION

_ONE = (1, inf)
_SHARE = (0, 1)
_WEIGHT = (0, inf)
_RANGES = {
    "macro_share": _SHARE,
    "steps": _ONE,
    "batch_size": _ONE,
    "video_batch_size": _ONE,
    "video_every": (0, inf),
    "critic_steps": _ONE,
    "au_reading_steps": (0, inf),
    "true_frame_steps": (0, inf),
    "learning_rate": _WEIGHT,
    "critic_learning_rate": _WEIGHT,
    "ema_decay": _SHARE,
    "own_share": _SHARE,
    "condition_noise": _SHARE,
    "conditions_each": _ONE,
    "gain_pairs": (0, inf),
    "checkpoint_every": _ONE,
    "sample_every": _ONE,
    "gan.image_size": (8, inf),
    "gan.num_frames": (2, inf),
    "gan.generator.channels": _ONE,
    "gan.generator.blocks": (0, inf),
    "gan.image_critic.channels": _ONE,
    "gan.image_critic.depth": _ONE,
    "gan.video_critic.channels": _ONE,
    "gan.video_critic.depth": _ONE,
    "gan.losses.consistency_every": _ONE,
    **{
        f"gan.losses.{name}": _WEIGHT
        for name in (
            "adversarial",
            "gradient_penalty",
            "consistency",
            "attention",
            "attention_smoothness",
            "au_intensity",
            "ssim",
            "micro_expression",
            "motion",
            "painting",
            "true_frame",
            "colour",
            "flow",
            "sequence",
        )
    },
}
# Additional values of the form with motion.
_MOVING = {"gan.generator.motion": _SHARE, "gan.generator.paint": _ONE}


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
    configs.check_choice(config, "gan.generator.form", FORMS)
    moves = config.gan.generator.form == MOTION
    configs.check_ranges(config, {**_RANGES, **(_MOVING if moves else {})})
    configs.check_choice(config, "gan.losses.ssim_target", ("truth", "input"))
    configs.check_choice(config, "precision", PRECISIONS)
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
