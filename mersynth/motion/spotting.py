"""Which clips of a database get their apex spotted when it is prepared."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from mersynth import logs
from mersynth.dataset import to_float
from mersynth.face.framing import FramedClip
from mersynth.motion.apex import APEX_METHODS, spot_apex
from mersynth.sources.errors import Problem

logger = logging.getLogger(__name__)

SPOTTING = ("auto", "annotated", *APEX_METHODS)
"""``"auto"``: by ``"strain"``, where the database gives no apex to any clip that moves;
``"annotated"``: never; else the method, wherever an apex is missing."""

_DEFAULT = "strain"


def spot_apexes(
    clips: Sequence[FramedClip], apex: str
) -> tuple[list[FramedClip], str | None, list[Problem]]:
    """Give clips of a database an apex where they have none.

    Args:
        clips: the clips.
        apex: one of :data:`SPOTTING`.

    Returns:
        The clips in their order; the method that spotted, None if nothing was spotted; and a
        problem for each clip in which no movement shows, which keeps no apex.
    """
    lacking = [i for i, item in enumerate(clips) if item.clip.apex is None]
    if apex == "auto":
        moving = sum(item.clip.num_frames > 1 for item in clips)
        apex = _DEFAULT if len(lacking) == moving else "annotated"
    if apex == "annotated" or not lacking:
        return list(clips), None, []
    spotted = list(clips)
    problems = []
    with logs.progress("spotting apexes", total=len(lacking), unit="clips") as advance:
        for i in lacking:
            advance(1)
            clip = clips[i].clip
            try:
                index = spot_apex(to_float(clips[i].read()), apex)
            except ValueError as error:
                problems.append(Problem(clip.id, f"no apex spotted: {error}", fatal=False))
                continue
            found = replace(clip, apex=clip.onset + index, apex_method=apex)
            spotted[i] = replace(clips[i], clip=found)
    for problem in problems:
        logger.warning("%s", problem)
    return spotted, apex, problems
