"""Spots missing and doubtful apexes when a database is prepared."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from mersynth import logs
from mersynth.checks import listed
from mersynth.face.framing import FramedClip
from mersynth.motion.apex import APEX_METHODS, spot_apex
from mersynth.motion.luma import luma
from mersynth.sources.errors import Problem
from mersynth.store.dataset import to_float

logger = logging.getLogger(__name__)

SPOTTING = ("auto", "annotated", *APEX_METHODS)
"""``"auto"``: by ``"strain"``, if the database gives no apex for any clip that moves;
``"annotated"``: never; else the method to use wherever an apex is missing."""

DOUBTFUL = ("keep", "spot", "leave_out")
"""What to do with clips whose annotated apex shows no movement, or is the offset."""

_MOST_FRAMES = 500  # of longer clips, which are no micro-expressions, this many are compared
_DEFAULT = "strain"
_CHOICES = "doubtful_apex=spot spots it again, doubtful_apex=leave_out leaves these clips out"


@dataclass(slots=True)
class Spotted:
    """The clips of a database with their apexes.

    Attributes:
        clips: those that are kept, in order.
        method: the method used; None if nothing was spotted.
        problems: one for each clip without visible movement or with an apex in doubt; fatal if the
            clip was left out.
        respotted: by clip id, the annotated apex that was replaced.
    """

    clips: list[FramedClip]
    method: str | None = None
    problems: list[Problem] = field(default_factory=list)
    respotted: dict[str, int] = field(default_factory=dict)


def spot_apexes(clips: Sequence[FramedClip], apex: str, doubtful: str = "keep") -> Spotted:
    """Spot the apex of clips that have none, and check the annotated apexes.

    An apex is in doubt if it is the onset or the offset, if the clip is a single frame, or if no
    pixel changes from onset to apex. In a database where all clips end at their apex (CK+) or are
    single frames, this is by design and not in doubt.

    Of a clip of more than 500 frames, 500 at even steps are compared.

    Args:
        clips: the clips.
        apex: one of :data:`SPOTTING`.
        doubtful: one of :data:`DOUBTFUL`. A clip in which no other apex is found keeps its own.
    """
    doubts = _find_doubts(clips)
    lacking = [i for i, item in enumerate(clips) if item.clip.apex is None]
    moving = sum(item.clip.num_frames > 1 for item in clips)
    method = _DEFAULT if apex in ("auto", "annotated") else apex
    if apex == "annotated" or (apex == "auto" and len(lacking) < moving):
        if lacking:
            _warn(clips, lacking, "have no apex", f"apex={_DEFAULT} spots it")
        lacking = []
    _warn_doubts(clips, doubts, doubtful)
    spotted = Spotted(list(clips))
    anew = doubts if doubtful == "spot" else {}
    _spot(spotted, sorted({*lacking, *anew}), method)
    for i, doubt in doubts.items():
        clip, now = clips[i].clip, spotted.clips[i].clip
        if now.apex_method is not None and clip.apex is not None:
            spotted.respotted[clip.id] = clip.apex
        else:
            done = "left out" if doubtful == "leave_out" else "kept as it is"
            reason = f"apex in doubt ({doubt}): {done}"
            spotted.problems.append(Problem(clip.id, reason, fatal=doubtful == "leave_out"))
    if doubtful == "leave_out":
        spotted.clips = [item for i, item in enumerate(spotted.clips) if i not in doubts]
    return spotted


def _find_doubts(clips: Sequence[FramedClip]) -> dict[int, str]:
    """What is doubtful about clips' apexes, by position."""
    stills = all(item.clip.num_frames == 1 for item in clips)
    end_at_apex = all(item.clip.apex == item.clip.offset for item in clips)
    if end_at_apex and not stills:
        logger.info("all %d clips end at their apex, by the database's design", len(clips))
    doubts = {}
    with logs.progress("checking apexes", total=len(clips), unit="clips") as advance:
        for i, item in enumerate(clips):
            advance(1)
            clip = item.clip
            if clip.num_frames == 1:
                if not stills:
                    doubts[i] = "a single frame"
            elif clip.apex == clip.onset:
                doubts[i] = "it is the onset"
            elif clip.apex is not None and not item.moves():
                doubts[i] = "no pixel changes from onset to apex"
            elif clip.apex == clip.offset and not end_at_apex:
                doubts[i] = "it is the offset"
    return doubts


def _warn_doubts(clips: Sequence[FramedClip], doubts: Mapping[int, str], doubtful: str) -> None:
    done = {
        "keep": f"kept as they are; {_CHOICES}",
        "spot": "spotted again",
        "leave_out": "left out",
    }
    for doubt in dict.fromkeys(doubts.values()):
        chosen = [i for i, other in doubts.items() if other == doubt]
        _warn(clips, chosen, f"have an apex in doubt ({doubt})", done[doubtful])


def _warn(clips: Sequence[FramedClip], chosen: Sequence[int], what: str, advice: str) -> None:
    names = listed([clips[i].clip.id for i in chosen])
    logger.warning("%d of %d clips %s: %s; %s", len(chosen), len(clips), what, names, advice)


def _spot(spotted: Spotted, chosen: Sequence[int], method: str) -> None:
    """Spot the apexes of the clips at these positions; a clip without movement is unchanged."""
    if not chosen:
        return
    spotted.method = method
    with logs.progress("spotting apexes", total=len(chosen), unit="clips") as advance:
        for i in chosen:
            advance(1)
            item = spotted.clips[i]
            try:
                index = _apex_of(item, method)
            except ValueError as error:
                problem = Problem(item.clip.id, f"no apex spotted: {error}", fatal=False)
                logger.warning("%s", problem)
                spotted.problems.append(problem)
                continue
            found = replace(item.clip, apex=item.clip.onset + index, apex_method=method)
            spotted.clips[i] = replace(item, clip=found)


def _apex_of(item: FramedClip, method: str) -> int:
    """Index of a clip's apex: of a long clip, which would not fit into memory, at even steps."""
    last = item.clip.num_frames - 1
    chosen = np.linspace(0, last, min(last + 1, _MOST_FRAMES)).round().astype(int).tolist()
    # Grey at once: every method is, and colours would take three times the room.
    grey = [luma(to_float(frame)[None]) for frame in item.read_some(set(chosen))]
    return chosen[spot_apex(torch.cat(grey), method)]
