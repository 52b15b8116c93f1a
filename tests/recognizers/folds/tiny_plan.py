"""Real clips of eight people, and synthetic ones from a plan for four generators."""

from __future__ import annotations

from collections.abc import Sequence

from mersynth.clips import Clip
from mersynth.synthesis.plan import make_plan
from tests.tiny_store import tiny_clips

REAL = tiny_clips(subjects=8)
PEOPLE = sorted({c.subject_id for c in REAL})
GROUPS = [PEOPLE[0:2], PEOPLE[2:4], PEOPLE[4:6], PEOPLE[6:8]]


def planned(groups: Sequence[Sequence[str]], known: Sequence[str] = PEOPLE) -> list[Clip]:
    """The clips of a plan; with no group held out, of a generator that was trained on nobody."""
    return [
        Clip(
            source="samm",
            subject=item.subject.removeprefix("samm/"),
            name=f"synthetic_{item.number:05d}",
            onset=0,
            apex=3,
            offset=9,
            emotion=item.emotion,
            aus=item.template.aus,
            template=item.template.clip,
            generator=f"sha{item.group}",
            unseen=tuple(groups[item.group] or known),
        )
        for item in make_plan(REAL, "five", per_class=12, seed=0, unseen=groups)
    ]


SYNTHETIC = planned(GROUPS)
WARPED = planned([()])
