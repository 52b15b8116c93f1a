"""Generators for groups of subjects, none of which sees its own group."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mersynth.gan.checkpoint import CheckpointError, find_groups, load_card
from mersynth.gan.train import split_subjects, train
from tests.gan.quick import quick, weights
from tests.tiny_store import tiny_clips, write_tiny_store


def test_subject_groups_never_see_their_own_subjects(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s")
    folders = train(store_path=store.path, out=tmp_path / "c", subject_groups=2, overrides=quick(1))
    cards = [load_card(folder) for folder in folders]
    assert [folder.name for folder in folders] == ["group_0", "group_1"]
    for card in cards:
        assert not set(card.unseen_subjects) & set(card.training_subjects)
        assert sorted((*card.unseen_subjects, *card.training_subjects)) == list(store.subjects)
    assert sorted(cards[0].unseen_subjects + cards[1].unseen_subjects) == list(store.subjects)


def test_one_group_may_be_trained_beside_the_others(tmp_path: Path) -> None:
    """Each by a command of its own, in any order, to the weights of one command for all."""
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    settings = {"store_path": store.path, "subject_groups": 2, "overrides": quick(1)}
    together = train(**settings, out=tmp_path / "a")
    apart = [train(**settings, out=tmp_path / "b", group=k) for k in (1, 0)]
    assert apart == [[tmp_path / "b" / "group_1"], [tmp_path / "b" / "group_0"]]
    assert find_groups(tmp_path / "b") == [tmp_path / "b" / "group_0", tmp_path / "b" / "group_1"]
    for folder in together:
        assert weights(tmp_path / "b" / folder.name) == weights(folder)
    with pytest.raises(CheckpointError, match=r"group_1 exists already"):
        train(**settings, out=tmp_path / "b", group=1)
    with pytest.raises(ValueError, match=r"--group must lie in 0..1, got 2"):
        train(**settings, out=tmp_path / "b", group=2)


def test_groups_have_about_equally_many_clips(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=9)[:-12]  # the last subjects have fewer clips or none
    store = write_tiny_store(tmp_path / "s", clips, image_size=8)
    groups = split_subjects(store, 3, seed=0)
    sizes = [sum(clip.subject_id in group for clip in clips) for group in groups]
    assert sum(sizes) == len(clips)
    assert max(sizes) - min(sizes) <= 5
    assert groups == split_subjects(store, 3, seed=0)
    for count in (0, 99):
        with pytest.raises(ValueError, match=rf"got {count}"):
            split_subjects(store, count, seed=0)


def test_layouts_are_not_mixed(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=2))
    settings = {"store_path": store.path, "overrides": quick(1), "resume": True}
    train(**settings, out=tmp_path / "one")
    with pytest.raises(CheckpointError, match="begun without --subject-groups"):
        train(**settings, out=tmp_path / "one", subject_groups=2)
    train(**settings, out=tmp_path / "two", subject_groups=2)
    with pytest.raises(CheckpointError, match="begun with --subject-groups"):
        train(**settings, out=tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "group_1")
    with pytest.raises(CheckpointError, match="holds 1 of 2 generators"):
        find_groups(tmp_path / "two")
