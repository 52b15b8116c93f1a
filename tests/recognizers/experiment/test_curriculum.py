"""Pretraining that goes from strong expressions to weak ones: what epochs show, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mersynth.config import ConfigError
from mersynth.store.clip_store import ClipStore
from recognizers.experiment.evaluate import evaluate
from recognizers.runs.files import RunError
from recognizers.training.curriculum import Curriculum
from tests.recognizers.data.tiny_features import GROUPS, synthetic
from tests.recognizers.experiment.tiny_experiment import request
from tests.tiny_store import HEADER, tiny_clips, write_tiny_store

pytestmark = pytest.mark.usefixtures("hear")

EPOCHS = "pretraining.epochs=5"


def made(path: Path, strength: float | None, each: int = 2) -> Path:
    """A synthetic store of 4 people, made by one generator that never saw anybody."""
    clips = tiny_clips(subjects=4, each=each, num_frames=3)
    people = tuple(sorted({clip.subject_id for clip in clips}))
    header = HEADER | {"synthetic": True} | ({"config": {"strength": strength}} if strength else {})
    own = [
        replace(clip, name=f"made_{clip.name}", generator="sha", template=clip.id, unseen=people)
        for clip in clips
    ]
    write_tiny_store(path, own, image_size=32, header=header)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("curriculum") / "samm"
    write_tiny_store(path, tiny_clips(subjects=4, num_frames=3))
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """By strength."""
    folder = tmp_path_factory.mktemp("curriculum")
    return {s: made(folder / f"s{s:g}", s) for s in (1.0, 2.0, 4.0)}


def strengths(run: Path) -> list[list[float]]:
    """Of each epoch, by pretraining."""
    records = [json.loads(file.read_text()) for file in sorted((run / "pretrained").glob("*.json"))]
    return [[epoch["strength"] for epoch in record["curve"]] for record in records]


def test_epochs_go_through_the_strengths_of_the_schedule(
    real: Path, stores: dict[float, Path], tmp_path: Path
) -> None:
    # In any order, the store itself says how strong its clips are.
    pool = [stores[2.0], stores[4.0], stores[1.0]]
    ask = request(real, EPOCHS, "pretraining.strength=[4,1,1]", pretrain=pool, groups=2)
    run = evaluate(ask, tmp_path / "r")
    found = strengths(run)
    assert len(found) == 2  # two groups of people
    for each in found:
        # 30 clips of a strength: 2.5 is a quarter of those of 4 and three quarters of those of 2
        assert each == pytest.approx([4, 2.5, 1, 1, 1], abs=0.05)
    again = evaluate(ask, tmp_path / "again")
    assert (again / "predictions.csv").read_text() == (run / "predictions.csv").read_text()
    with pytest.raises(RunError, match="strength"):
        evaluate(replace(ask, overrides=[*ask.overrides[:-1]]), tmp_path / "r")


def test_an_epoch_has_as_many_clips_as_one_strength_and_no_clip_twice() -> None:
    curriculum = Curriculum((3.0, 1.0), np.repeat([1.0, 3.0], 50))
    rows = torch.arange(100)[torch.randperm(100)]
    torch.manual_seed(0)
    first, middle, last = (curriculum.draw(rows, epoch, 11) for epoch in (1, 6, 11))
    assert sorted(first.tolist()) == list(range(50, 100))
    assert sorted(last.tolist()) == list(range(50))
    assert len(middle) == len(set(middle.tolist())) == 50
    assert curriculum.mean(middle) == pytest.approx(2)
    torch.manual_seed(0)
    drawn = [curriculum.draw(rows, epoch, 11) for epoch in (1, 6, 6)]
    assert torch.equal(drawn[1], middle)
    assert not torch.equal(drawn[2], middle)  # others in the next epoch


def test_a_group_of_folds_that_lacks_a_strength_is_refused(real: Path, tmp_path: Path) -> None:
    pool = [made(tmp_path / "all", 1.0)]
    # The strong clips show and follow one person alone, whose fold may use none of them.
    store = made(tmp_path / "strong", 3.0)
    own = [clip for clip in ClipStore.open(store).clips if clip.subject_id == "samm/000"]
    header = ClipStore.open(store).meta["header"]
    pool.append(write_tiny_store(tmp_path / "few", own, header=header).path)
    ask = request(real, EPOCHS, "pretraining.strength=[3,1]", pretrain=pool)
    with pytest.raises(ConfigError, match="the folds samm/000 may use have one strength, 1: give"):
        evaluate(ask, tmp_path / "r")


@pytest.mark.parametrize(
    ("strengths", "schedule", "message"),
    [
        ([1.0], "[3,1]", r"goes through 3, 1, but the clips to pretrain on have one strength, 1: "),
        ([1.0, 1.0], "[3,1]", "have one strength, 1: give stores of two or more"),
        ([1.0, 2.0], "[3,1]", "have the strengths 1, 2: stay between them, or generate another"),
        ([1.0, 2.0], "[2,0.5]", "have the strengths 1, 2: stay between them"),
        ([1.0, None], "[2,1]", r"and .*/1 does not say: pretrain on stores of `mersynth generate"),
        ([], "[2,1]", r"orders clips to pretrain on: give their stores \(--pretrain\)"),
        ([1.0, 2.0], "2", r"null or two strengths or more, such as \[3, 1\], got 2"),
        ([1.0, 2.0], "[2]", r"two strengths or more, such as \[3, 1\], got \[2\]"),
        ([1.0, 2.0], "[2,-1]", "must be above 0 and at most 10, got -1"),
        ([1.0, 2.0], "[strong,1]", "must be above 0 and at most 10, got 'strong'"),
    ],
)
def test_schedules_that_cannot_be_followed_are_refused(
    real: Path, tmp_path: Path, strengths: list[float | None], schedule: str, message: str
) -> None:
    pool = [made(tmp_path / f"{i}", s, each=1) for i, s in enumerate(strengths)]
    ask = request(real, EPOCHS, f"pretraining.strength={schedule}", pretrain=pool)
    with pytest.raises(ConfigError, match=message):
        evaluate(ask, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_feature_files_do_not_say_how_strong_their_clips_are(data: Path, tmp_path: Path) -> None:
    pool = [synthetic(tmp_path / "made.npz", GROUPS)]
    with pytest.raises(ConfigError, match=r"and .*made\.npz does not say"):
        evaluate(request(data, "pretraining.strength=[2,1]", pretrain=pool), tmp_path / "r")
