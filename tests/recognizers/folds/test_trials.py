"""The trials of a fold: who is tried on, and what the tried trainings may have seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recognizers.data.clip_arrays import ClipArrays, join
from recognizers.data.feature_files import read_features
from recognizers.folds.plan import plan_folds, plan_pretraining
from recognizers.folds.splits import loso
from recognizers.folds.trials import carried_out, of_every_length, plan_trials
from recognizers.folds.way import Way
from recognizers.models.base import InputSpec
from tests.recognizers.data.tiny_features import GROUPS, SIZE, synthetic, write

SPECS = {"flow_strain": InputSpec("flow_strain", ("u", "v", "strain"), (SIZE, SIZE), range=None)}


def arrays(path: Path) -> ClipArrays:
    return join([read_features(path, SPECS)])


def test_trials_leave_out_whom_they_are_tried_on(tmp_path: Path) -> None:
    clips = arrays(write(tmp_path / "samm.npz"))
    pool = arrays(synthetic(tmp_path / "made.npz", GROUPS))
    folds = loso(clips.clips)
    groups = plan_pretraining(folds, clips, pool, "strict", 1.0)
    plans = plan_folds(folds, clips, groups, "strict", None, 0)
    trials = plan_trials(plans, clips, pool, groups, 3, 0, "strict")
    assert list(trials) == [0, 1, 2, 3, 4, 5]
    for plan in plans:
        own = trials[plan.index]
        tried = [i for trial in own for i in trial.tried_on]
        assert own
        assert len(set(tried)) == len(tried)
        for trial in own:
            assert sorted((*trial.learned, *trial.tried_on)) == list(plan.fold.train)
            held = {clips.clips[i].subject_id for i in trial.tried_on}
            assert not held & {clips.clips[i].subject_id for i in trial.learned}
            assert plan.pretraining is not None
            free = {
                i
                for i in groups[plan.pretraining].clips
                if pool.clips[i].subject_id not in held
                and "/".join(str(pool.clips[i].template).split("/")[:2]) not in held
            }
            assert set(trial.pool) == free != set()


def test_a_fold_without_others_tries_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = arrays(write(tmp_path / "samm.npz", people=2))
    pool = arrays(synthetic(tmp_path / "made.npz", GROUPS))
    folds = loso(clips.clips)
    groups = plan_pretraining(folds, clips, pool, "strict", 1.0)
    plans = plan_folds(folds, clips, groups, "strict", None, 0)
    assert plan_trials(plans, clips, pool, groups, 3, 0, "strict") == {0: (), 1: ()}
    assert "2 of 2 folds start without pretraining" in caplog.text


def test_plans_in_each_way(tmp_path: Path) -> None:
    clips = arrays(write(tmp_path / "samm.npz"))
    pool = arrays(synthetic(tmp_path / "made.npz", GROUPS))
    folds = loso(clips.clips)
    groups = plan_pretraining(folds, clips, pool, "strict", 1.0)
    ways = Way(0.3), Way(1.0, length=0.25), Way(mix=True)
    every = of_every_length(groups, ways)
    assert every == [*groups, *(replace(group, length=0.25) for group in groups)]
    (plan, *_) = plan_folds(folds, clips, groups, "strict", 0.3, 0)
    slow, short, mixed = (carried_out(plan, way, clips, pool, every) for way in ways)
    assert (slow.pretraining, slow.learned, slow.way) == (0, plan.learned, ways[0])
    assert (short.pretraining, short.way) == (3, ways[1])
    rows = tuple(len(clips.clips) + i for i in groups[0].clips)
    assert (mixed.pretraining, mixed.learned) == (None, (*plan.learned, *rows))
    assert plan.inner is not None
    assert mixed.inner is not None
    held = {clips.clips[i].subject_id for i in plan.inner.chosen_on}
    more = [pool.clips[i - len(clips.clips)] for i in mixed.inner.learned if i in rows]
    assert more
    assert not held & {clip.subject_id for clip in more}
    alone = carried_out(plan, None, clips, pool, every)
    assert (alone.pretraining, alone.learned, alone.way) == (None, plan.learned, None)
