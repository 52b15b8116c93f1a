"""The plan of a run's folds: protocols, groups, seeds, and the guard's word on each fold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mersynth.clips import Clip
from recognizers.data.clip_arrays import ClipArrays
from recognizers.folds.guard import LeakageError
from recognizers.folds.inner import inner_split
from recognizers.folds.plan import check_plans, plan_folds, plan_pretraining
from recognizers.folds.pretraining import PretrainingGroup
from recognizers.folds.splits import loso
from tests.recognizers.folds.tiny_plan import REAL, SYNTHETIC, WARPED

FOLDS = loso(REAL)


def arrays(real: Sequence[Clip], mixed: Sequence[Clip] = ()) -> ClipArrays:
    """Clips whose classes are not their emotions: one for 000 and 001, one for 002 and 003."""
    count = len(real) + len(mixed)
    return ClipArrays(
        inputs={},
        label=np.array([min(int(clip.subject) // 2, 2) for clip in (*real, *mixed)]),
        au_set=np.zeros((count, 1, 2), np.float32),
        domain=np.array([0] * len(real) + [1] * len(mixed)),
        clips=(*real, *mixed),
        classes=("negative", "positive", "surprise"),
    )


def test_protocol_paper_learns_from_everything_and_the_guard_tells_it() -> None:
    clips, pool = arrays(REAL, SYNTHETIC), arrays(SYNTHETIC)
    groups = plan_pretraining(FOLDS, clips, pool, "paper", 1.0)
    everything = tuple(range(len(SYNTHETIC)))
    assert groups == [PretrainingGroup(tuple(range(len(FOLDS))), everything)]
    plans = plan_folds(FOLDS, clips, groups, "paper", None, 0)
    mixed = tuple(range(len(REAL), len(clips.clips)))
    assert [plan.learned for plan in plans] == [(*fold.train, *mixed) for fold in FOLDS]
    found = check_plans(plans, clips, pool, groups, "paper")
    kinds = {"synthetic clips", "checkpoint: pretraining"}
    assert [{leak.kind for leak in leaks} for leaks in found] == [kinds] * len(FOLDS)
    with pytest.raises(LeakageError, match="fold samm/000 used"):
        check_plans(plans, clips, pool, groups, "strict")


def test_folds_share_a_pretraining_if_they_may_give_clips_up() -> None:
    clips, pool = arrays(REAL), arrays(WARPED)
    alone = plan_pretraining(FOLDS, clips, pool, "strict", 1.0)
    shared = plan_pretraining(FOLDS, clips, pool, "strict", 0.5)
    assert len(alone) == len(FOLDS) > len(shared)
    assert plan_pretraining(FOLDS, clips, None, "strict", 1.0) == []


def test_epochs_are_chosen_by_the_classes_and_the_seed() -> None:
    clips = arrays(REAL)

    def inner(seed: int) -> list[tuple[int, ...]]:
        plans = plan_folds(FOLDS, clips, [], "strict", 0.3, seed)
        return [plan.inner.chosen_on for plan in plans if plan.inner is not None]

    assert len(inner(0)) == len(FOLDS)
    assert inner(0) == inner(0) != inner(1)
    by_class = [inner_split(fold, REAL, 0.3, 0, clips.labels).test for fold in FOLDS]
    by_emotion = [inner_split(fold, REAL, 0.3, 0).test for fold in FOLDS]
    assert inner(0) == by_class != by_emotion


def test_whoever_is_chosen_on_may_not_be_learned_from_meanwhile() -> None:
    clips = arrays(REAL)
    plan = plan_folds(FOLDS, clips, [], "strict", 0.3, 0)[0]
    assert plan.inner is not None
    spoilt = replace(plan.inner, learned=(*plan.inner.learned, plan.inner.chosen_on[0]))
    with pytest.raises(LeakageError, match=r"fold samm/000 \(choice of epochs\) used"):
        check_plans([replace(plan, inner=spoilt)], clips, None, [], "strict")


def test_folds_that_may_use_no_mixed_in_clip_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Clips for the people 000 and 001, whom their generator never saw."""
    caplog.set_level(logging.WARNING)
    plan_folds(FOLDS, arrays(REAL, SYNTHETIC), [], "strict", None, 0)
    plan_folds(FOLDS, arrays(REAL), [], "strict", None, 0)
    assert caplog.text == ""
    some = [clip for clip in SYNTHETIC if clip.generator == "sha0"]
    plan_folds(FOLDS, arrays(REAL, some), [], "strict", None, 0)
    assert "6 of 8 folds may use none of the mixed-in clips" in caplog.text
