"""The kinds of inputs, by the name that ``InputSpec.made_of`` calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mersynth.features.kinds import Need
from mersynth.store.clip_store import StoredClip
from recognizers.models.base import InputSpec

FeatureOptions = Mapping[str, Mapping[str, Any]]  # by the feature's name
Build = Callable[[Sequence[StoredClip], Mapping[str, Tensor], InputSpec], Tensor]
"""From B clips, their features (B, ...) and the spec to (B, [T,] C, H, W) of any size."""


@dataclass(frozen=True, slots=True)
class InputKind:
    """How an input is made, and what its spec must contain; see :func:`register_input`."""

    build: Build
    channels: tuple[str, ...]
    of_frames: bool
    features: Callable[[InputSpec], FeatureOptions]
    needs: tuple[Need, ...]


INPUT_KINDS: dict[str, InputKind] = {}


def register_input(
    made_of: str,
    channels: tuple[str, ...],
    of_frames: bool = False,
    features: Callable[[InputSpec], FeatureOptions] = lambda spec: {},
    needs: tuple[Need, ...] = (),
) -> Callable[[Build], Build]:
    """Decorator of the function that makes a kind of input, see :data:`Build`.

    Args:
        made_of: what ``InputSpec.made_of`` calls it.
        channels: names of the channels that it makes, in their order.
        of_frames: whether it makes a clip (B, T, C, H, W); else an image (B, C, H, W).
        features: from the spec, the features of :data:`mersynth.features.kinds.FEATURES` that it
            needs, with one row per clip, each with the options that differ from
            ``configs/prepare.yaml``.
        needs: what a clip must have besides what the features need.

    Raises:
        ValueError: if a kind of that name exists.
    """

    def register(build: Build) -> Build:
        if made_of in INPUT_KINDS:
            raise ValueError(f"an input made of {made_of!r} is registered already")
        INPUT_KINDS[made_of] = InputKind(build, channels, of_frames, features, needs)
        return build

    return register
