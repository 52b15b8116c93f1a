"""Whole runs that also learn from synthetic clips: which fold may use which, as recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mersynth.config import ConfigError
from recognizers.experiment.evaluate import evaluate
from recognizers.folds.guard import LeakageError
from recognizers.runs.files import RunError
from tests.recognizers.data.tiny_features import GROUPS, synthetic
from tests.recognizers.experiment.tiny_experiment import folds, request, results

pytestmark = pytest.mark.usefixtures("hear")


def test_pretraining_is_shared_by_the_people_whom_a_generator_never_saw(
    data: Path, made: Path, tmp_path: Path
) -> None:
    run = evaluate(request(data, "pretraining.epochs=3", pretrain=[made]), tmp_path / "r")
    told = results(run)
    assert [group["folds"] for group in told["pretraining"]] == GROUPS
    assert [group["clips"] for group in told["pretraining"]] == [9, 9, 9]
    assert [group["generators"] for group in told["pretraining"]] == [["sha0"], ["sha1"], ["sha2"]]
    assert [fold["pretraining"] for fold in told["folds"]] == [0, 0, 1, 1, 2, 2]
    assert all(fold["leaks"] == [] for fold in told["folds"])
    records = [json.loads(f.read_text()) for f in sorted((run / "pretrained").glob("*.json"))]
    assert [(a["group"], len(a["curve"])) for a in records] == [(0, 3), (1, 3), (2, 3)]
    # folds begin where their pretraining ended: better than fresh ones
    plain = evaluate(request(data), tmp_path / "plain")
    first = [fold["curve"][0]["loss"] for fold in folds(run)]
    assert np.mean(first) < np.mean([fold["curve"][0]["loss"] for fold in folds(plain)])


def test_clips_mixed_in_are_those_that_each_fold_may_use(
    data: Path, made: Path, tmp_path: Path
) -> None:
    told = results(evaluate(request(data, mix=[made]), tmp_path / "r"))
    assert [fold["mixed"] for fold in told["folds"]] == [9] * 6
    assert [fold["train"] for fold in told["folds"]] == [25] * 6


def test_pretraining_has_a_rate_and_epochs_of_its_own(
    data: Path, made: Path, tmp_path: Path
) -> None:
    ask = request(
        data,
        "pretraining.lr=0.003",
        "pretraining.epochs=2",
        "keep_weights=true",
        pretrain=[made],
        groups=3,
    )
    run = evaluate(ask, tmp_path / "r")
    records = [json.loads(f.read_text()) for f in sorted((run / "pretrained").glob("*.json"))]
    assert [[e["learning_rate"] for e in a["curve"]] for a in records] == [[0.003] * 2] * 3
    assert {e["learning_rate"] for fold in folds(run) for e in fold["curve"]} == {0.01}
    assert len(list((run / "folds").glob("*/recognizer.safetensors"))) == 3


def test_clips_are_counted_as_often_as_they_were_seen(
    data: Path, made: Path, tmp_path: Path
) -> None:
    alone = evaluate(request(data), tmp_path / "alone")
    assert results(alone)["clips_seen"] == 6 * 25  # epochs, clips of a fold
    of_all = evaluate(request(data, "pretraining.epochs=2", pretrain=[made]), tmp_path / "all")
    assert results(of_all)["clips_seen"] == 6 * 25 + 2 * 9
    for clips, seen in (("4", 2 * 4), ("fold", 2 * 25)):
        changes = ("pretraining.epochs=2", f"pretraining.epoch_clips={clips}")
        run = evaluate(request(data, *changes, pretrain=[made]), tmp_path / clips)
        assert results(run)["clips_seen"] == 6 * 25 + seen
    with pytest.raises(ConfigError, match=r"epoch_clips must be one of fold, .*, got 'real'"):
        evaluate(request(data, "pretraining.epoch_clips=real", pretrain=[made]), tmp_path / "r")


def test_one_pretraining_may_serve_all_seeds(data: Path, made: Path, tmp_path: Path) -> None:
    for name, more, made_of in (
        ("each", [], ["3", "4"]),
        ("one", ["pretraining.one_for_all_seeds=true"], ["3"]),
    ):
        ask = request(data, "pretraining.epochs=2", *more, pretrain=[made], seeds=2, seed=3)
        run = evaluate(ask, tmp_path / name)
        files = sorted(file.stem for file in (run / "pretrained").glob("*.json"))
        assert files == [f"{seed}_{group:04}" for seed in made_of for group in range(3)]
        assert results(run)["clips_seen"] == 6 * 25 + 2 * 9
    each, one = (folds(tmp_path / name) for name in ("each", "one"))
    assert [fold["curve"] for fold in each[:6]] == [fold["curve"] for fold in one[:6]]
    for fresh, shared in zip(each[6:], one[6:], strict=True):
        assert fresh["seed"] == shared["seed"] == 4
        assert fresh["curve"][0]["loss"] != shared["curve"][0]["loss"]
    with pytest.raises(RunError, match="holds another run: one_pretraining"):
        evaluate(request(data, "pretraining.epochs=2", pretrain=[made], seed=3), tmp_path / "one")


def test_folds_that_go_on_from_pretrained_weights_may_learn_slower(
    data: Path, made: Path, tmp_path: Path
) -> None:
    for name, overrides, factor in (("d", [], 1), ("t", ["fine_tuning.lr_factor=0.1"], 0.1)):
        run = evaluate(request(data, *overrides, pretrain=[made]), tmp_path / name)
        records = [json.loads(f.read_text()) for f in sorted((run / "pretrained").glob("*.json"))]
        assert {e["learning_rate"] for a in records for e in a["curve"]} == {0.01}
        assert {e["learning_rate"] for f in folds(run) for e in f["curve"]} == {factor * 0.01}
    fresh = evaluate(request(data), tmp_path / "fresh")
    assert {e["learning_rate"] for fold in folds(fresh) for e in fold["curve"]} == {0.01}


def test_published_habits_mix_in_everything(data: Path, made: Path, tmp_path: Path) -> None:
    told = results(evaluate(request(data, mix=[made], protocol="paper"), tmp_path / "r"))
    assert [fold["mixed"] for fold in told["folds"]] == [27] * 6
    assert all(fold["leaks"] for fold in told["folds"])


def test_published_habits_are_marked(
    data: Path, made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = evaluate(request(data, pretrain=[made], protocol="paper"), tmp_path / "r")
    told = results(run)
    assert told["headline"] == "oracle"
    assert told["marked"][0] == "epochs chosen on the tested clips"
    assert "leaks allowed in 6 folds" in told["marked"][1]
    assert [group["clips"] for group in told["pretraining"]] == [27]  # one for all folds
    assert all(fold["leaks"] for fold in told["folds"])
    assert "protocol paper allows this" in caplog.text
    assert "chosen on the tested" in (run / "report.html").read_text()


def test_groups_of_people(data: Path, made: Path, tmp_path: Path) -> None:
    run = evaluate(request(data, pretrain=[made], groups=3), tmp_path / "r")
    told = results(run)
    assert sorted(fold["tested"] for fold in told["folds"]) == GROUPS
    assert told["groups"] == 3


def test_groups_follow_the_generators_of_clips_mixed_in(
    data: Path, made: Path, tmp_path: Path
) -> None:
    told = results(evaluate(request(data, mix=[made], groups=3), tmp_path / "r"))
    assert sorted(fold["tested"] for fold in told["folds"]) == GROUPS
    assert [fold["mixed"] for fold in told["folds"]] == [9] * 3


def test_synthetic_clips_of_unknown_origin_serve_nobody(data: Path, tmp_path: Path) -> None:
    seen = synthetic(tmp_path / "seen.npz", GROUPS, unseen=[""] * 27)
    with pytest.raises(ValueError, match=r"none of the 27 clips to pretrain on may be used"):
        evaluate(request(data, pretrain=[seen]), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_leak_stops_the_run_before_it_begins(
    data: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the choice of clips were wrong, the guard would raise an error."""

    def careless(clips: Any, people: Any) -> tuple[int, ...]:
        return tuple(range(len(clips)))

    monkeypatch.setattr("recognizers.folds.plan.usable_clips", careless)
    with pytest.raises(LeakageError, match="fold samm/00 used clips that it must not") as caught:
        evaluate(request(data, mix=[made]), tmp_path / "r")
    assert {leak.kind for leak in caught.value.leaks} == {"synthetic clips"}
    monkeypatch.undo()
    monkeypatch.setattr("recognizers.folds.pretraining.usable_clips", careless)
    with pytest.raises(LeakageError, match="checkpoint: pretraining"):
        evaluate(request(data, pretrain=[made]), tmp_path / "r")
    assert not (tmp_path / "r").exists()
