"""Whole runs on small feature files: what is learned, kept, gone on with, and refused."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognizers import experiment
from recognizers.experiment import evaluate
from recognizers.feature_files import FeatureFileError
from recognizers.guard import LeakageError
from recognizers.predictions import Predictions
from recognizers.report import RunError
from recognizers.request import Request
from tests.recognizers.tiny_features import synthetic, write

GROUPS = [["samm/00", "samm/01"], ["samm/02", "samm/03"], ["samm/04", "samm/05"]]
QUICK = (
    "executor.workers=1",
    "model.options.image_size=8",
    "model.training.epochs=6",
    "model.training.batch_size=10",
)


def request(data: Path | list[Path], *overrides: str, **options: Any) -> Request:
    options = {"protocol": "loso", "model": "ststnet_tiny", **options}
    several = data if isinstance(data, list) else [data]
    return Request(data=several, overrides=[*QUICK, *overrides], **options)


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


def folds(run: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((run / "folds").glob("*.json"))]


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "samm.npz")


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic(tmp_path_factory.mktemp("data") / "made.npz", GROUPS)


@pytest.fixture(name="run", scope="module")
def _run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds."""
    out = tmp_path_factory.mktemp("runs") / "plain"
    return evaluate(request(data, "model.training.epochs=20", seeds=2), out)


def test_a_run_tells_all_of_itself(run: Path, data: Path) -> None:
    told = results(run)
    assert (told["protocol"], told["habit"], told["marked"]) == ("loso", "strict", [])
    assert told["seeds"] == [0, 1]
    assert [fold["name"] for fold in told["folds"]] == [f"samm/0{i}" for i in range(6)]
    assert {(fold["train"], fold["test"], fold["mixed"]) for fold in told["folds"]} == {(25, 5, 0)}
    predictions = Predictions.from_csv(run / "predictions.csv")
    assert len(predictions.clips) == 30
    arrays = np.load(data)
    truth = {
        ("samm", subject, clip): str(arrays["classes"][y])
        for subject, clip, y in zip(arrays["subject"], arrays["clip"], arrays["y"], strict=True)
    }
    assert predictions.true_labels() == truth
    assert told["strict"]["Full"]["mean"]["accuracy"] > 0.7  # classes that are easily told apart
    assert told["intervals"]["strict"]["uf1"]["subjects"] == 6
    for name in ("report.html", "config.yaml", "oracle.csv"):
        assert (run / name).stat().st_size > 0


def test_strict_figures_are_of_the_last_epoch_and_the_oracles_of_the_best(tmp_path: Path) -> None:
    hard = write(tmp_path / "hard.npz", strength=0.5)
    run = evaluate(request(hard, "model.training.epochs=8", seeds=2), tmp_path / "r")
    strict = Predictions.from_csv(run / "predictions.csv").codes
    oracle = Predictions.from_csv(run / "oracle.csv").codes
    accounts = folds(run)
    assert len(accounts) == 12
    better = 0
    for account in accounts:
        tested = [epoch["test_accuracy"] for epoch in account["curve"]]
        assert account["epoch"] == len(tested) == 8
        assert account["oracle_epoch"] == 1 + int(np.argmax(tested))
        mine = np.array(account["probabilities"]).argmax(1)
        best = np.array(account["oracle_probabilities"]).argmax(1)
        seed, subject = account["seed"], int(account["fold"][-1])
        rows = strict.subject == subject
        np.testing.assert_array_equal(strict.predicted[seed][rows], mine)
        np.testing.assert_array_equal(oracle.predicted[seed][rows], best)
        assert (mine == strict.true[rows]).mean() == tested[-1]
        assert (best == strict.true[rows]).mean() == max(tested)
        better += max(tested) > tested[-1]
    assert better > 0


def test_the_same_seed_gives_the_same_predictions(run: Path, data: Path, tmp_path: Path) -> None:
    again = evaluate(request(data, "model.training.epochs=20", seeds=2), tmp_path / "again")
    assert (again / "predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()
    assert (again / "oracle.csv").read_bytes() == (run / "oracle.csv").read_bytes()
    table = Predictions.from_csv(run / "predictions.csv").frame
    first, second = (table.loc[table["seed"] == seed, "p_negative"] for seed in (0, 1))
    assert not np.allclose(first, second, atol=0.01)


@pytest.mark.slow
def test_two_processes_predict_as_one_does(run: Path, data: Path, tmp_path: Path) -> None:
    ask = request(data, "model.training.epochs=20", "executor.workers=2", seeds=2)
    apart = evaluate(ask, tmp_path / "apart")
    assert (apart / "predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()


class Stopped(Exception):
    pass


def test_a_run_that_was_stopped_goes_on_with_what_is_missing(
    data: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = request(data, pretrain=[made])
    whole = evaluate(ask, tmp_path / "whole")
    trained: list[str] = []

    def watch(name: str, last: int | None) -> None:
        real = getattr(experiment, name)

        def work(*args: Any) -> Any:
            if last is not None and trained.count(name) == last:
                raise Stopped
            trained.append(name)
            return real(*args)

        monkeypatch.setattr(experiment, name, work)

    watch("pretrain", None)
    watch("learn_fold", 4)
    out = tmp_path / "stopped"
    with pytest.raises(Stopped):
        evaluate(ask, out)
    assert trained == ["pretrain"] * 3 + ["learn_fold"] * 4
    assert not (out / "results.json").exists()
    monkeypatch.undo()
    trained.clear()
    watch("pretrain", None)
    watch("learn_fold", None)
    evaluate(ask, out)
    assert trained == ["learn_fold"] * 2  # the two that are missing, from weights that are there
    assert (out / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    evaluate(ask, out)
    assert trained == ["learn_fold"] * 2  # a whole run is only told again
    evaluate(request(data, pretrain=[made], seeds=2), out)
    assert trained == ["learn_fold"] * 2 + ["pretrain"] * 3 + ["learn_fold"] * 6  # the new seed
    assert results(out)["seeds"] == [0, 1]


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
    accounts = [json.loads(f.read_text()) for f in sorted((run / "pretrained").glob("*.json"))]
    assert [(a["group"], len(a["curve"])) for a in accounts] == [(0, 3), (1, 3), (2, 3)]
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
    accounts = [json.loads(f.read_text()) for f in sorted((run / "pretrained").glob("*.json"))]
    assert [[e["learning_rate"] for e in a["curve"]] for a in accounts] == [[0.003] * 2] * 3
    assert {e["learning_rate"] for fold in folds(run) for e in fold["curve"]} == {0.01}
    assert len(list((run / "folds").glob("*.safetensors"))) == 3


def test_published_habits_mix_in_everything(data: Path, made: Path, tmp_path: Path) -> None:
    told = results(evaluate(request(data, mix=[made], habit="paper"), tmp_path / "r"))
    assert [fold["mixed"] for fold in told["folds"]] == [27] * 6
    assert all(fold["leaks"] for fold in told["folds"])


def test_groups_follow_the_generators_of_clips_mixed_in(
    data: Path, made: Path, tmp_path: Path
) -> None:
    told = results(evaluate(request(data, mix=[made], groups=3), tmp_path / "r"))
    assert sorted(fold["tested"] for fold in told["folds"]) == GROUPS
    assert [fold["mixed"] for fold in told["folds"]] == [9] * 3


def test_synthetic_clips_of_unknown_origin_serve_nobody(data: Path, tmp_path: Path) -> None:
    seen = synthetic(tmp_path / "seen.npz", GROUPS, unseen=[""] * 27)
    with pytest.raises(ValueError, match=r"none of the 27 clips to pretrain on may serve any of"):
        evaluate(request(data, pretrain=[seen]), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_leak_stops_the_run_before_it_begins(
    data: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the choice of clips wrong, the guard would tell."""

    def careless(clips: Any, people: Any) -> tuple[int, ...]:
        return tuple(range(len(clips)))

    monkeypatch.setattr("recognizers.plan.usable_clips", careless)
    with pytest.raises(LeakageError, match="fold samm/00 learned from what it must not") as caught:
        evaluate(request(data, mix=[made]), tmp_path / "r")
    assert {leak.kind for leak in caught.value.leaks} == {"synthetic clips"}
    monkeypatch.undo()
    monkeypatch.setattr("recognizers.pretraining.usable_clips", careless)
    with pytest.raises(LeakageError, match="checkpoint: pretraining"):
        evaluate(request(data, pretrain=[made]), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_published_habits_are_marked(
    data: Path, made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = evaluate(request(data, pretrain=[made], habit="paper"), tmp_path / "r")
    told = results(run)
    assert told["headline"] == "oracle"
    assert told["marked"][0] == "epochs chosen on the tested clips"
    assert "leaks let pass in 6 folds" in told["marked"][1]
    assert [group["clips"] for group in told["pretraining"]] == [27]  # one for all folds
    assert all(fold["leaks"] for fold in told["folds"])
    assert "protocol paper: not stopped by this" in caplog.text
    assert "chosen on the tested" in (run / "report.html").read_text()


def test_epochs_chosen_on_people_of_the_training_part(data: Path, tmp_path: Path) -> None:
    run = evaluate(request(data, "selection=inner", "inner_share=0.4"), tmp_path / "r")
    chosen = [fold["epoch"] for fold in folds(run)]
    assert all(1 <= epoch <= 6 for epoch in chosen)
    fixed = evaluate(request(data), tmp_path / "fixed")
    for mine, theirs in zip(folds(run), folds(fixed), strict=True):
        assert mine["curve"] == theirs["curve"]  # the same training, read at another epoch
        assert (mine["probabilities"] == theirs["probabilities"]) == (mine["epoch"] == 6)


@pytest.fixture(name="second", scope="module")
def _second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "smic.npz"
    return write(path, people=3, seed=5, dataset=["smic"] * 15)


def test_cde_has_figures_for_all_and_each(data: Path, second: Path, tmp_path: Path) -> None:
    told = results(evaluate(request([data, second], protocol="cde"), tmp_path / "r"))
    assert list(told["strict"]) == ["Full", "samm", "smic"]
    assert len(told["folds"]) == 9
    with pytest.raises(ValueError, match="clips of 2 or more databases, got samm"):
        evaluate(request(data, protocol="cde"), tmp_path / "one")


def test_groups_of_people(data: Path, made: Path, tmp_path: Path) -> None:
    run = evaluate(request(data, pretrain=[made], groups=3), tmp_path / "r")
    told = results(run)
    assert sorted(fold["tested"] for fold in told["folds"]) == GROUPS
    assert told["groups"] == 3


def test_cross_and_lovo(data: Path, second: Path, tmp_path: Path) -> None:
    run = evaluate(request(data, protocol="cross", test=[second]), tmp_path / "cross")
    told = results(run)
    assert [fold["name"] for fold in told["folds"]] == ["samm_to_smic"]
    assert {part["role"] for part in told["data"]} == {"train", "test"}
    assert len(Predictions.from_csv(run / "predictions.csv").clips) == 15
    told = results(
        evaluate(request(second, "model.training.epochs=1", protocol="lovo"), tmp_path / "lovo")
    )
    assert {(fold["train"], fold["test"]) for fold in told["folds"]} == {(14, 1)}


def test_people_of_both_databases_are_tested_and_not_learned_from(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"later{i}" for i in range(10)]
    later = write(tmp_path / "later.npz", people=2, seed=9, clip=names)  # people 00 and 01 again
    told = results(evaluate(request(data, protocol="cross", test=[later]), tmp_path / "cross"))
    ((fold,), tested) = told["folds"], ["samm/00", "samm/01"]
    assert (fold["train"], fold["test"], fold["tested"]) == (20, 10, tested)
    assert "2 people are among the training and the test clips" in caplog.text


def test_another_run_is_not_overwritten(run: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"another run: training.epochs was 20, is 6"):
        evaluate(request(data), run)
    write(data.with_name("other.npz"), seed=4)
    changed = request(data.with_name("other.npz"), "model.training.epochs=20", seeds=2)
    with pytest.raises(RunError, match="another run: data was"):
        evaluate(changed, run)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(RunError, match="holds something that is no run"):
        evaluate(request(data), tmp_path / "letters")


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"subject": ["00"] * 30}, {}, r"needs clips of 2 or more people, got 1 \(samm/00\)"),
        ({"y": [0] * 30}, {}, "fold samm/00 learns from clips of one class only"),
        (
            {},
            {"model": "ststnet_small"},
            "there is no model 'ststnet_small'; did you mean .*ststnet_tiny",
        ),
        ({}, {"test": [Path("x.npz")]}, "needed by cross, and by it alone"),
        ({}, {"seeds": 0}, "seeds must be 1 or more"),
        ({}, {"protocol": "loo"}, "protocol must be one of loso, lovo, cde, cross, got 'loo'"),
        ({}, {"groups": 7}, r"number of groups must lie in 2\.\.6 \(the people\), got 7"),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "samm.npz", **changes)
    with pytest.raises(Exception, match=message) as caught:
        evaluate(request(path, **options), tmp_path / "r")
    assert type(caught.value).__name__ in ("ValueError", "ConfigError")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("folds/0_0002.json", "{}", r"0_0002\.json is damaged \(it lacks fold, seed"),
        ("folds/0_0002.json", "{", r"0_0002\.json is damaged"),
        ("run.json", "[]", r"run\.json is damaged \(it holds no mapping\)"),
        ("pretrained/0_0001.safetensors", "", r"0_0001\.safetensors is damaged"),
    ],
)
def test_what_is_damaged_is_named(
    data: Path, made: Path, tmp_path: Path, file: str, content: str, message: str
) -> None:
    ask = request(data, "model.training.epochs=1", pretrain=[made], groups=3)
    run = evaluate(ask, tmp_path / "r")
    (run / file).write_text(content)
    if file.startswith("pretrained"):
        (run / "folds" / "0_0001.json").unlink()
    with pytest.raises(RunError, match=message):
        evaluate(ask, run)


def test_settings_are_tried_before_anything_is_begun(data: Path, tmp_path: Path) -> None:
    for override, message in (
        ("model.training.optimizer.lr=-1.0", r"model\.training\.optimizer: .*learning rate"),
        ("model.training.optimizer.name=LBFGS", "optimizer.name must be one of"),
        ("device=tpu", "device must be auto, cpu or cuda, got 'tpu'"),
        ("selection=best", "selection must be one of fixed, inner"),
    ):
        with pytest.raises(Exception, match=message):
            evaluate(request(data, override), tmp_path / "r")
        assert not (tmp_path / "r").exists()


def test_a_model_that_is_fitted_at_once(made: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 3, 16, 16))
    path = write(tmp_path / "f.npz", x=x)
    size = "model.options.image_size=16"
    ask = Request(
        protocol="loso", model="bi_woof_svm_tiny", data=[path], overrides=[size, QUICK[0]]
    )
    run = evaluate(ask, tmp_path / "r")
    assert {(fold["epoch"], fold["oracle_epoch"]) for fold in folds(run)} == {(1, 1)}
    for change in ({"pretrain": [made]}, {"overrides": [size, "selection=inner"]}):
        with pytest.raises(ValueError, match="bi_woof_svm_tiny is fitted once, to all clips"):
            evaluate(dataclasses.replace(ask, **change), tmp_path / "s")


def test_a_class_that_one_person_alone_shows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    y = np.array([0, 1] * 15)
    y[7] = 2
    run = evaluate(request(write(tmp_path / "samm.npz", y=y)), tmp_path / "r")
    assert "fold samm/01 has no training clip of class surprise; it tests surprise" in caplog.text
    assert results(run)["folds"][1]["missing"] == ["surprise"]
    recall = results(run)["strict"]["Full"]["seeds"]["0"]["recall"]
    assert recall["surprise"] == 0


def test_a_pool_of_other_classes_or_size(data: Path, tmp_path: Path) -> None:
    other = synthetic(tmp_path / "a.npz", GROUPS, classes=["anger", "disgust", "fear"])
    with pytest.raises(ValueError, match="show anger, disgust, fear, the clips under test nega"):
        evaluate(request(data, pretrain=[other]), tmp_path / "r")
    larger = write(tmp_path / "b.npz", x=np.zeros((30, 3, 16, 16)))
    with pytest.raises(FeatureFileError, match=r"B, 3, 8, 8\), got \(30, 3, 16, 16\)"):
        evaluate(request(data, pretrain=[larger]), tmp_path / "r")


@pytest.fixture(autouse=True)
def _hear(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
