"""Folds of any store: what the planner makes passes the guard, one leaking clip does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mersynth.clips import Clip
from recognizers.data.clip_arrays import ClipArrays
from recognizers.folds.guard import LeakageError
from recognizers.folds.plan import FoldPlan, check_plans, plan_folds, plan_pretraining
from recognizers.folds.pretraining import PretrainingGroup
from recognizers.folds.splits import Fold, loso, lovo
from tests.recognizers.folds.test_usable_clips import allowed_by_design

# People whose ids begin alike must not be mixed up.
PEOPLE = ("samm/1", "samm/10", "samm/2", "samm2/1", "samm2/10")


def clip(person: str, name: str, **provenance: Any) -> Clip:
    source, subject = person.split("/")
    return Clip(
        source=source,
        subject=subject,
        name=name,
        onset=0,
        apex=0,
        offset=0,
        emotion="anger",
        **provenance,
    )


@st.composite
def further(draw: st.DrawFn) -> list[Clip]:
    """Clips of any provenance, of which real ones show people of another store, too."""
    somebody = st.sampled_from(PEOPLE)
    count = draw(st.integers(0, 12))
    return [
        clip(
            draw(somebody),
            f"further_{number}",
            generator=draw(st.sampled_from([None, "sha", "sha", "sha"])),
            template=draw(st.none() | somebody.map(lambda person: f"{person}/curve")),
            unseen=tuple(draw(st.lists(somebody, unique=True))),
        )
        for number in range(count)
    ]


@dataclass(frozen=True)
class Run:
    """What the folds of a run are planned of."""

    folds: list[Fold]
    clips: ClipArrays
    pool: ClipArrays | None
    groups: list[PretrainingGroup]
    plans: list[FoldPlan]

    def check(self, plans: list[FoldPlan], groups: list[PretrainingGroup]) -> None:
        check_plans(plans, self.clips, self.pool, groups, "strict")


def arrays(real: list[Clip], mixed: list[Clip]) -> ClipArrays:
    count = len(real) + len(mixed)
    return ClipArrays(
        inputs={},
        label=np.zeros(count, np.int64),
        au_set=np.zeros((count, 1, 2), np.float32),
        domain=np.array([0] * len(real) + [1] * len(mixed)),
        clips=(*real, *mixed),
        classes=("anger",),
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    people = draw(st.lists(st.sampled_from(PEOPLE), min_size=3, unique=True))
    counts = [draw(st.integers(1, 3)) for _ in people]
    real = [clip(who, f"{i}") for who, n in zip(people, counts, strict=True) for i in range(n)]
    clips = arrays(draw(st.permutations(real)), draw(further()))
    pool = draw(further())
    folds = draw(st.sampled_from([loso, lovo]))([*clips.clips[: len(real)]])
    tested = [fold.subjects(clips.clips) for fold in folds]
    helpful = any(usable(c, people) for c in pool for people in tested)
    found = arrays([], pool) if helpful else None  # that nothing helps is refused
    keep = draw(st.sampled_from([0.5, 1.0]))
    groups = plan_pretraining(folds, clips, found, "strict", keep)
    share = draw(st.sampled_from([None, 0.3]))
    return Run(folds, clips, found, groups, plan_folds(folds, clips, groups, "strict", share, 0))


def usable(further_clip: Clip, tested: frozenset[str]) -> bool:
    return all(allowed_by_design(further_clip, person) for person in tested)


def is_leak(further_clip: Clip, fold: Fold, run: Run) -> bool:
    """Whether the guard must refuse it; leave-one-video-out allows real clips of the person."""
    real = not (further_clip.generator or further_clip.template or further_clip.unseen)
    tested = fold.subjects(run.clips.clips)
    return not usable(further_clip, tested) and not (real and fold.held_out == "clip")


@given(runs())
def test_the_planned_folds_pass_the_guard_and_use_all_they_may(run: Run) -> None:
    run.check(run.plans, run.groups)
    mixed = np.flatnonzero(run.clips.domain).tolist()
    for fold, plan in zip(run.folds, run.plans, strict=True):
        tested = fold.subjects(run.clips.clips)
        wanted = [row for row in mixed if usable(run.clips.clips[row], tested)]
        assert plan.learned == (*fold.train, *wanted)
        if plan.inner is not None:
            apart = {run.clips.clips[i].subject_id for i in plan.inner.chosen_on}
            assert set(plan.inner.chosen_on) <= set(fold.train)
            both = tested | apart
            kept = [i for i in fold.train if run.clips.clips[i].subject_id not in apart]
            also = [row for row in wanted if usable(run.clips.clips[row], frozenset(both))]
            assert plan.inner.learned == (*kept, *also)
        if plan.pretraining is not None:
            assert run.pool is not None
            rows = run.groups[plan.pretraining].clips
            assert rows
            assert all(usable(run.pool.clips[row], tested) for row in rows)


@given(runs(), st.data())
def test_one_leaking_clip_is_refused_wherever_it_is_put(run: Run, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(run.folds) - 1), label="fold")
    plan, groups = run.plans[number], list(run.groups)
    mixed = np.flatnonzero(run.clips.domain).tolist()
    leaks = [*plan.fold.test, *(r for r in mixed if is_leak(run.clips.clips[r], plan.fold, run))]
    pooled = [
        row
        for row, further_clip in enumerate(run.pool.clips if run.pool is not None else ())
        if plan.pretraining is not None and is_leak(further_clip, plan.fold, run)
    ]
    ways = {"learned": leaks, "pretraining": pooled}
    if plan.inner is not None:
        ways |= {"inner": [*leaks, *plan.inner.chosen_on], "chosen_on": list(plan.fold.test)}
    way = data.draw(st.sampled_from(sorted(ways)), label="way")
    assume(ways[way])
    leak = data.draw(st.sampled_from(ways[way]), label="row")
    if way == "learned":
        plan = replace(plan, learned=inserted(plan.learned, leak, data))
    elif way == "pretraining":
        assert plan.pretraining is not None
        group = groups[plan.pretraining]
        groups[plan.pretraining] = replace(group, clips=inserted(group.clips, leak, data))
    else:
        assert plan.inner is not None
        field = "learned" if way == "inner" else way
        rows = inserted(getattr(plan.inner, field), leak, data)
        plan = replace(plan, inner=replace(plan.inner, **{field: rows}))
    plans = [*run.plans[:number], plan, *run.plans[number + 1 :]]
    source = run.pool if way == "pretraining" else run.clips
    assert source is not None
    with pytest.raises(LeakageError, match=source.clips[leak].id):
        run.check(plans, groups)


def inserted(rows: tuple[int, ...], row: int, data: st.DataObject) -> tuple[int, ...]:
    place = data.draw(st.integers(0, len(rows)), label="place")
    return (*rows[:place], row, *rows[place:])
