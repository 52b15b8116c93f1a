"""A way in which a fold uses the clips to pretrain on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mersynth.config import ConfigError
from mersynth.ranges import Range


@dataclass(frozen=True, slots=True)
class Way:
    """A way to use the clips to pretrain on.

    Attributes:
        lr_factor: learning rates of fine-tuning, as a share of those of training.
        length: epochs of pretraining, as a share of those set.
        mix: no pretraining; the clips are mixed into the training instead.
        until: of a way that mixes: share of the epochs in which the clips take part.

    Raises:
        ConfigError: if a number is not above 0, ``until`` is above 1, or a way has what belongs to
            the other kind.
    """

    lr_factor: float = 1.0
    length: float = 1.0
    mix: bool = False
    until: float = 1.0

    def __post_init__(self) -> None:
        for name in ("lr_factor", "length"):
            value = getattr(self, name)
            if value not in Range(0, above=True):
                raise ConfigError(f"ways: {name} must be a number above 0, got {value!r}")
        if self.until not in Range(0, 1, above=True):
            raise ConfigError(f"ways: until must be a share above 0, up to 1, got {self.until!r}")
        if not self.mix and self.until != 1:
            raise ConfigError("ways: until is for a way with mix=true")
        if self.mix and (self.lr_factor, self.length) != (1.0, 1.0):
            raise ConfigError("ways: a way with mix=true has neither lr_factor nor length")

    @classmethod
    def read(cls, block: Any) -> Way:
        """A way of the config.

        Raises:
            ConfigError: if it is no mapping, or a key is unknown.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(block, Mapping) or not set(block) <= set(known):
            raise ConfigError(f"ways must be mappings of {', '.join(known)}, got {block!r}")
        return cls(**block)

    def __str__(self) -> str:
        if self.mix:
            return "mixed in" if self.until == 1 else f"mixed in for {self.until:g} of the epochs"
        part = "" if self.length == 1 else f" for {self.length:g} of its epochs"
        return f"pretrained{part}, fine-tuned at {self.lr_factor:g} of the learning rate"


def read_choice(block: Mapping[str, Any]) -> tuple[tuple[Way, ...], int, float]:
    """The block ``choice`` of ``configs/evaluate.yaml``: ways, parts and margin.

    Raises:
        ConfigError: if a value does not fit.
    """
    ways, parts, margin = tuple(map(Way.read, block["ways"])), block["parts"], block["margin"]
    if not ways or len(set(ways)) < len(ways):
        raise ConfigError(
            f"choice.ways must be different ways, one at least, got {block['ways']!r}"
        )
    return ways, parts, float(margin)
