"""Shared pretraining: K generators need K pretrainings, and no fold learns from forbidden clips."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recognizers.folds.guard import FoldInputs, check_fold, usable_clips
from recognizers.folds.pretraining import pretraining_groups
from recognizers.folds.splits import grouped, loso, lovo
from tests.recognizers.folds.tiny_plan import PEOPLE, REAL, SYNTHETIC, WARPED


def test_k_generators_cost_k_pretrainings() -> None:
    folds = loso(REAL)
    groups = pretraining_groups(folds, REAL, SYNTHETIC)
    assert [group.folds for group in groups] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    for number, group in enumerate(groups):
        # a plan's set serves every fold that tests one of its generator's unseen people
        own = tuple(i for i, c in enumerate(SYNTHETIC) if c.generator == f"sha{number}")
        assert group.clips == own
        assert len(own) == 5 * 12
        checkpoint = {"shared": [SYNTHETIC[i] for i in own]}
        for i in group.folds:
            check_fold(FoldInputs.of(folds[i], REAL, checkpoints=checkpoint))
    # the videos of a person start from the same weights
    assert [len(group.folds) for group in pretraining_groups(lovo(REAL), REAL, SYNTHETIC)] == [
        10
    ] * 4


def test_grouped_folds_along_the_generators_start_from_one_pretraining_each() -> None:
    folds = grouped(REAL, 4, seed=3, synthetic=SYNTHETIC)
    groups = pretraining_groups(folds, REAL, SYNTHETIC)
    assert [len(group.folds) for group in groups] == [1] * 4
    assert sorted(len(group.clips) for group in groups) == [60] * 4


@pytest.mark.parametrize("keep", [1.0, 0.8, 0.5, 0.2])
def test_folds_share_where_each_keeps_enough(keep: float) -> None:
    folds = loso(REAL)
    groups = pretraining_groups(folds, REAL, WARPED, keep)
    assert sorted(i for group in groups for i in group.folds) == list(range(8))
    for group in groups:
        people = {s for i in group.folds for s in folds[i].subjects(REAL)}
        assert group.clips == usable_clips(WARPED, people)
        for i in group.folds:
            alone = usable_clips(WARPED, folds[i].subjects(REAL))
            assert set(group.clips) <= set(alone)
            assert len(group.clips) >= keep * len(alone)
    # a face in 8 and a curve in 8: alone a fold keeps about 3/4 of the clips, a pair 1/2
    least, most = {1.0: (8, 8), 0.8: (5, 8), 0.5: (2, 4), 0.2: (1, 3)}[keep]
    assert least <= len(groups) <= most


def test_folds_without_a_usable_clip(caplog: pytest.LogCaptureFixture) -> None:
    smic = [replace(c, source="smic") for c in REAL[:10]]
    clips = [*REAL, *smic]
    groups = pretraining_groups(loso(clips), clips, SYNTHETIC)
    assert [group.folds for group in groups] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert groups[-1].clips == ()
    assert "2 of 10 folds may use no clip to pretrain on" in caplog.text
    assert "smic/000, smic/001" in caplog.text
    with pytest.raises(ValueError, match=r"may be used by any of the 2 folds.*--subject-groups"):
        pretraining_groups(loso(smic), smic, SYNTHETIC)
    with pytest.raises(ValueError, match=r"keep must lie above 0 and up to 1, got 0"):
        pretraining_groups(loso(REAL), REAL, SYNTHETIC, keep=0)


def test_other_people_serve_as_real_clips_do() -> None:
    macro = [replace(c, source="ckplus", strength="macro") for c in REAL[:10]]
    (group,) = pretraining_groups(loso(REAL), REAL, macro)  # nobody of them is tested
    assert group.folds == tuple(range(8))
    assert group.clips == tuple(range(10))
    same = [replace(c, name=f"macro_{c.name}", strength="macro") for c in REAL]
    groups = pretraining_groups(loso(REAL), REAL, same)
    assert [group.folds for group in groups] == [(i,) for i in range(8)]
    for group in groups:
        assert {same[i].subject_id for i in group.clips} == set(PEOPLE) - {PEOPLE[group.folds[0]]}
