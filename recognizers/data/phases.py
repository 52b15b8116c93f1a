"""The falling phase of clips, reversed in time, for models that read onset and apex alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mersynth.config import ConfigError
from mersynth.store.clip_store import StoredClip
from recognizers.models.base import InputSpec

ONE_PHASE = frozenset(
    {
        *("flow", "flow_strain", "flow_magnitude", "flow_hsv", "flow_rgb", "emr_flow_rgb"),
        *("onset", "apex", "apex_minus_onset", "apex_neighbours", "magnified", "au_regions"),
        *("near_onset", "near_apex", "near_onset_published", "near_apex_published"),
    }
)
"""The kinds of inputs that show nothing after the apex, but for frames next to it."""


def check_one_phase(specs: Mapping[str, InputSpec]) -> None:
    """Refuse inputs that show both phases of a clip.

    Raises:
        ConfigError: with the input.
    """
    for name, spec in specs.items():
        if spec.made_of not in ONE_PHASE:
            raise ConfigError(
                f"model.augment.PhasesApart: the input {name!r} ({spec.made_of}) shows clips from "
                "onset to offset, so that their phases cannot be told apart; it is for models that "
                f"read {', '.join(sorted(ONE_PHASE))}"
            )


def falling(item: StoredClip) -> StoredClip:
    """A clip from its offset back to its onset: its fall as a rise.

    A clip that ends at its apex has no fall, and one without an apex no phases: they stay as they
    are.
    """
    apex = item.clip.apex
    if apex is None or apex == item.clip.offset:
        return item
    clip = replace(item.clip, apex=item.clip.onset + item.clip.offset - apex)
    return StoredClip(clip, item.frames[::-1], item.intensities[::-1], item.landmarks[::-1])
