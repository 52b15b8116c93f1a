"""Folds: everybody is tested once, nobody is on both sides, and odd inputs are named."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from mersynth.clips import Clip
from recognizers.folds.splits import (
    Fold,
    cde,
    cde_parts,
    cross,
    grouped,
    loso,
    lovo,
    missing_classes,
)
from tests.recognizers.folds.crowd import clip, crowd, people
from tests.tiny_store import tiny_clips


def synthetic_of(groups: list[list[str]], each: int = 3) -> list[Clip]:
    """Clips of one generator per group, which never saw the group's people."""
    return [
        replace(clip("samm/face", f"{g}_{i}"), generator=f"g{g}", unseen=tuple(group))
        for g, group in enumerate(groups)
        for i in range(each)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_loso_tests_every_clip_once_on_strangers(seed: int) -> None:
    clips = crowd(seed)
    folds = loso(clips)
    assert [fold.name for fold in folds] == sorted({c.subject_id for c in clips})
    assert Counter(i for fold in folds for i in fold.test) == dict.fromkeys(range(len(clips)), 1)
    for fold in folds:
        assert people(clips, fold.test) == {fold.name} == fold.subjects(clips)
        assert fold.name not in people(clips, fold.train)
        assert sorted(fold.train + fold.test) == list(range(len(clips)))
        assert fold.held_out == "subject"


def test_a_subject_of_two_stores_is_one_person_and_of_two_databases_two() -> None:
    micro, macro = clip("casme3/spNO.1", "a_355"), clip("casme3/spNO.1", "macro-a_400")
    clips = [micro, clip("casme3/spNO.2"), macro, clip("samm/spNO.1")]
    assert {fold.name: fold.test for fold in loso(clips)} == {
        "casme3/spNO.1": (0, 2),
        "casme3/spNO.2": (1,),
        "samm/spNO.1": (3,),
    }


def test_lovo_leaves_one_clip_out() -> None:
    clips = tiny_clips(subjects=1)
    folds = lovo(clips)
    assert [fold.test for fold in folds] == [(i,) for i in range(5)]
    assert [fold.name for fold in folds] == [c.id for c in clips]
    assert folds[2].train == (0, 1, 3, 4)
    assert {fold.held_out for fold in folds} == {"clip"}


def test_cde_is_loso_with_figures_for_each_part() -> None:
    clips = crowd(0, sources=("casme2", "smic", "samm"))
    assert cde(clips) == loso(clips)
    parts = cde_parts(clips)
    assert set(parts) == {"Full", "casme2", "smic", "samm"}
    assert parts["Full"] == tuple(range(len(clips)))
    for name in ("casme2", "smic", "samm"):
        assert [clips[i].source for i in parts[name]] == [name] * len(parts[name])
    assert sum(len(part) for part in parts.values()) == 2 * len(clips)


def test_cross_learns_from_one_and_tests_on_the_other() -> None:
    train, test = [clip("casme2/1"), clip("smic/2")], [clip("samm/1"), clip("samm/2")]
    fold = cross(train, test)
    assert (fold.train, fold.test, fold.name) == ((0, 1), (2, 3), "casme2+smic_to_samm")


def test_cross_leaves_the_tested_people_out_of_the_training(
    caplog: pytest.LogCaptureFixture,
) -> None:
    train = [clip("samm/1"), clip("casme2/1"), clip("samm/2", "x"), clip("samm/3")]
    fold = cross(train, [clip("samm/2", "y"), clip("samm/1")])
    assert (fold.train, fold.test) == ((1, 3), (4, 5))
    assert "samm/1, samm/2" in caplog.text
    with pytest.raises(ValueError, match=r"samm/1.*leave-one-subject-out"):
        cross([clip("samm/1")], [clip("samm/1", "other")])


@pytest.mark.parametrize("k", [2, 5, 18])
def test_grouped_folds_are_balanced_groups_of_people(k: int) -> None:
    clips = crowd(1)
    folds = grouped(clips, k, seed=0)
    assert len(folds) == k
    assert Counter(i for fold in folds for i in fold.test) == dict.fromkeys(range(len(clips)), 1)
    for fold in folds:
        assert not people(clips, fold.test) & people(clips, fold.train)
    sizes = [len(fold.test) for fold in folds]
    largest = max(Counter(c.subject_id for c in clips).values())
    # greedy: no group is more than one person ahead of another
    assert max(sizes) - min(sizes) <= largest
    assert folds == grouped(clips, k, seed=0)


def test_the_seed_chooses_the_groups() -> None:
    clips = tiny_clips(subjects=12)
    assert len({tuple(f.test for f in grouped(clips, 3, seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize("k", [3, 4, 7, 12])
def test_grouped_folds_follow_the_generators_groups(k: int) -> None:
    clips = tiny_clips(subjects=12)
    ids = sorted({c.subject_id for c in clips})
    groups = [ids[:6], ids[6:9], ids[9:]]
    folds = grouped(clips, k, seed=0, synthetic=synthetic_of(groups))
    assert len(folds) == k
    for fold in folds:
        assert any(people(clips, fold.test) <= set(group) for group in groups)
    if k == 3:
        assert {frozenset(people(clips, f.test)) for f in folds} == {frozenset(g) for g in groups}
    if k == 4:  # the largest group is the one divided
        assert sorted(len(people(clips, f.test)) for f in folds) == [3, 3, 3, 3]
    with pytest.raises(ValueError, match="3 groups, which 2 folds would have to mix"):
        grouped(clips, 2, seed=0, synthetic=synthetic_of(groups))


def test_large_groups_are_divided_only_among_their_people() -> None:
    clips = [clip("samm/big", str(i)) for i in range(20)] + [clip(f"samm/{i}") for i in range(4)]
    groups = [["samm/big"], [f"samm/{i}" for i in range(4)]]
    folds = grouped(clips, 4, seed=0, synthetic=synthetic_of(groups))
    assert sorted(len(fold.test) for fold in folds) == [1, 1, 2, 20]


@pytest.mark.parametrize("seed", range(12))
def test_people_of_many_clips_are_placed_first(seed: int) -> None:
    clips = [clip("samm/big", str(i)) for i in range(4)] + [clip(f"samm/{i}") for i in range(4)]
    assert [len(fold.test) for fold in grouped(clips, 2, seed)] == [4, 4]


def test_people_whom_every_generator_saw_are_a_group_of_their_own() -> None:
    clips = tiny_clips(subjects=5)
    ids = sorted({c.subject_id for c in clips})
    folds = grouped(clips, 3, 0, synthetic=synthetic_of([ids[:2], ids[2:4]]))
    assert [people(clips, f.test) for f in folds] == [set(ids[:2]), set(ids[2:4]), set(ids[4:])]


def test_odd_inputs_are_named() -> None:
    one = [clip("samm/006", str(i)) for i in range(3)]
    with pytest.raises(ValueError, match=r"2 or more people, got 1 \(samm/006\)"):
        loso(one)
    with pytest.raises(ValueError, match="2 or more people, got 0"):
        loso([])
    with pytest.raises(ValueError, match="2 or more people, got 1"):
        grouped(one, 2, 0)
    with pytest.raises(
        ValueError, match=r"number of groups must lie in 2\.\.2 \(the people\), got 3"
    ):
        grouped([*one, clip("samm/007")], 3, 0)
    with pytest.raises(ValueError, match="2 or more clips, got 1"):
        lovo(one[:1])
    with pytest.raises(ValueError, match="2 or more databases, got samm"):
        cde(one)
    with pytest.raises(ValueError, match="come more than once: samm/006/1"):
        lovo([*one, one[1]])
    with pytest.raises(ValueError, match="no clip to test on"):
        cross(one, [])
    fake = replace(clip("samm/007"), generator="g")
    for make in (loso, lovo, lambda clips: cross(one, clips), lambda clips: cross(clips, one)):
        with pytest.raises(ValueError, match="samm/007/1 is a synthetic clip"):
            make([*one, fake])
    with pytest.raises(ValueError, match=r"fold f trains and tests on the clips at 2$"):
        Fold("f", (0, 2), (2, 3))


def test_a_class_that_a_fold_cannot_learn_is_named(caplog: pytest.LogCaptureFixture) -> None:
    clips = [clip("samm/1"), clip("samm/2"), clip("samm/3"), clip("samm/4")]
    labels = ["anger", "fear", "anger", "contempt"]
    with caplog.at_level(logging.WARNING):
        missing = missing_classes(loso(clips), labels)
    assert missing == {"samm/2": ("fear",), "samm/4": ("contempt",)}
    assert "samm/2 has no training clip of class fear; it tests fear" in caplog.text
    with pytest.raises(ValueError, match=r"samm/2 trains on clips of one class only \(anger\)"):
        missing_classes(loso(clips[:3]), labels[:3])


def test_importing_the_protocols_is_light() -> None:
    code = (
        "import sys; from recognizers.folds import guard, inner, pretraining;"
        "print([m for m in ('torch', 'pandas', 'cv2', 'scipy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
