"""Checks, before a training starts, that there is something to learn from."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from mersynth.gan.data import LEAST_CHANGE, TrainingClips, largest_change

logger = logging.getLogger(__name__)


def check_signal(sets: Sequence[TrainingClips], true_frame_steps: int, steps: int) -> None:
    """Check that neither part of a training teaches the generator to return its input.

    Learning from true frames needs clips that move: the true frame of a still, or of a clip whose
    AU intensities do not change, equals the input. Learning from critics needs AU intensities that
    differ between people.

    Args:
        sets: micro clips and, if any, macro faces.
        true_frame_steps: steps that learn from true frames alone.
        steps: all steps.

    Raises:
        ValueError: if a part would learn nothing; says what to do.
    """
    for clips in sets:
        if clips.left_out:
            total = clips.left_out + len(clips.items)
            logger.info(
                "%d of %d clips of %s have no known AU and are left out of training",
                *(clips.left_out, total, clips.path),
            )
    if true_frame_steps and not any(clips.moving for clips in sets):
        raise ValueError(
            f"true_frame_steps={true_frame_steps} would learn nothing, as no clip moves: "
            f"{'; '.join(map(_unmoved, sets))}. Train on a store of clips that move, and give this "
            "one as macro_store=STORE; or let critics teach, by true_frame_steps=0"
        )
    everything = np.concatenate([curve for clips in sets for curve in clips.curves])
    if true_frame_steps < steps and largest_change(everything) < LEAST_CHANGE:
        names = ", ".join(str(clips.path) for clips in sets)
        raise ValueError(
            f"the AU intensities of {names} are the same in every frame, so there is no other "
            "condition to learn: prepare with measured ones, by --intensities v2 (`mersynth "
            "doctor` says what that needs), or add clips that show other AUs"
        )
    for clips in sets:
        if true_frame_steps and len(clips.moving) < len(clips.items):
            rest = "; critics learn from them afterwards" if true_frame_steps < steps else ""
            logger.warning(
                "%s: they are not used in the %d steps that learn from true frames%s",
                *(_unmoved(clips), true_frame_steps, rest),
            )
    if true_frame_steps < steps and not sets[0].moving:
        logger.warning("%s: the video critic is not used", _unmoved(sets[0]))


def _unmoved(clips: TrainingClips) -> str:
    stills = sum(clip.num_frames == 1 for clip in clips.clips)
    others = len(clips.items) - len(clips.moving) - stills
    return (
        f"of {len(clips.items)} clips in {clips.path} {stills} are stills and {others} have AU "
        "intensities that do not change"
    )
