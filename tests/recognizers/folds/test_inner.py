"""Inner validation: whole people of the training part, all classes on both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recognizers.folds.inner import inner_split
from recognizers.folds.splits import Fold, loso
from tests.recognizers.folds.crowd import clip, crowd, people
from tests.tiny_store import tiny_clips


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_inner_split_sets_people_of_the_training_part_apart(seed: int, share: float) -> None:
    clips = crowd(seed)
    for fold in loso(clips)[:4]:
        inner = inner_split(fold, clips, share, seed)
        assert sorted(inner.train + inner.test) == list(fold.train)
        assert not people(clips, inner.train) & people(clips, inner.test)
        # 18 people show 3 classes: all of them can be on both sides
        assert {clips[i].emotion for i in inner.test} == {"negative", "positive", "surprise"}
        assert {clips[i].emotion for i in inner.train} == {"negative", "positive", "surprise"}
        most = max(share * len(fold.train), 24)  # 3 people of up to 8 clips show every class
        assert len(inner.test) <= most
        # filled up until no one more fits
        assert len(inner.test) + 8 > share * len(fold.train)
        assert inner == inner_split(fold, clips, share, seed)


def test_inner_split_depends_on_the_seed_and_takes_labels() -> None:
    clips = tiny_clips(subjects=10)
    fold = loso(clips)[0]
    assert len({inner_split(fold, clips, 0.2, seed).test for seed in range(6)}) > 1
    clips = [clip(f"samm/{s}") for s in range(8)]
    labels = ["a", "a", "b", "b", "b", "a", "a", "b"]
    inner = inner_split(loso(clips)[0], clips, 0.3, 0, labels)
    assert {labels[i] for i in inner.test} == {"a", "b"}


def test_inner_split_spares_who_alone_shows_a_class() -> None:
    clips = [clip("s/0"), *(clip(f"s/{i}", emotion="fear" if i == 3 else "anger") for i in (1, 2))]
    clips += [clip("s/3", emotion="fear"), clip("s/4")]
    fold = loso(clips)[0]
    for seed in range(10):
        assert "s/3" not in people(clips, inner_split(fold, clips, 0.5, seed).test)


def test_inner_split_covers_the_classes_before_it_keeps_to_the_share() -> None:
    clips = [clip(f"s/{i}", emotion=("anger", "fear", "contempt")[i % 3]) for i in range(31)]
    inner = inner_split(loso(clips)[0], clips, 0.01, 0)
    assert sorted(clips[i].emotion for i in inner.test) == ["anger", "contempt", "fear"]


def test_inner_split_takes_whom_it_can_spare_even_if_large() -> None:
    clips = [clip("s/0"), *(clip("s/1", str(i)) for i in range(6))]
    clips += [clip("s/2", "1"), clip("s/2", "2", emotion="fear")]
    inner = inner_split(loso(clips)[0], clips, 0.2, 0)
    assert people(clips, inner.test) == {"s/1"}


def test_inner_split_of_people_of_whom_none_can_be_spared(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clips = [clip("s/0"), clip("s/1", "1", "anger"), clip("s/1", "2", "anger"), clip("s/2")]
    clips[3] = replace(clips[3], emotion="fear")
    inner = inner_split(loso(clips)[0], clips, 0.3, 0)
    assert (inner.train, inner.test) == ((1, 2), (3,))
    assert "s/2 is set apart, so fear is not learned" in caplog.text
    with pytest.raises(ValueError, match=r"trains on one person only \(s/2\)"):
        inner_split(Fold("f", (3,), (0,)), clips, 0.3, 0)
    for share in (0.0, 0.6):
        with pytest.raises(ValueError, match=f"got {share}"):
            inner_split(loso(clips)[0], clips, share, 0)
