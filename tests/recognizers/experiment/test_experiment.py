"""Whole runs on small feature files: what is learned, kept and resumed, by every split."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recognizers.experiment.evaluate as experiment
from mersynth.config import ConfigError
from recognizers.evaluation.predictions import Predictions
from recognizers.experiment.evaluate import evaluate
from recognizers.experiment.request import Request
from recognizers.runs import RunError
from tests.recognizers.data.tiny_features import write
from tests.recognizers.experiment.tiny_experiment import QUICK, folds, request, results

pytestmark = pytest.mark.usefixtures("hear")


@pytest.fixture(name="run", scope="module")
def _run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds."""
    out = tmp_path_factory.mktemp("runs") / "plain"
    return evaluate(request(data, "model.training.epochs=8", seeds=2), out)


def test_a_run_records_everything_about_itself(run: Path, data: Path) -> None:
    told = results(run)
    assert (told["split"], told["protocol"], told["marked"]) == ("loso", "strict", [])
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
    records = folds(run)
    assert len(records) == 12
    better = 0
    for record in records:
        tested = [epoch["test_accuracy"] for epoch in record["curve"]]
        assert record["epoch"] == len(tested) == 8
        assert record["oracle_epoch"] == 1 + int(np.argmax(tested))
        mine = np.array(record["probabilities"]).argmax(1)
        best = np.array(record["oracle_probabilities"]).argmax(1)
        seed, subject = record["seed"], int(record["fold"][-1])
        rows = strict.subject == subject
        np.testing.assert_array_equal(strict.predicted[seed][rows], mine)
        np.testing.assert_array_equal(oracle.predicted[seed][rows], best)
        assert (mine == strict.true[rows]).mean() == tested[-1]
        assert (best == strict.true[rows]).mean() == max(tested)
        better += max(tested) > tested[-1]
    assert better > 0


def test_the_same_seed_gives_the_same_predictions(run: Path, data: Path, tmp_path: Path) -> None:
    again = evaluate(request(data, "model.training.epochs=8", seeds=2), tmp_path / "again")
    assert (again / "predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()
    assert (again / "oracle.csv").read_bytes() == (run / "oracle.csv").read_bytes()
    table = Predictions.from_csv(run / "predictions.csv").frame
    first, second = (table.loc[table["seed"] == seed, "p_negative"] for seed in (0, 1))
    assert not np.allclose(first, second, atol=0.01)


@pytest.mark.slow
def test_two_processes_predict_as_one_does(run: Path, data: Path, tmp_path: Path) -> None:
    ask = request(data, "model.training.epochs=8", "executor.workers=2", seeds=2)
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
    watch("train_folds", 4)
    out = tmp_path / "stopped"
    with pytest.raises(Stopped):
        evaluate(ask, out)
    assert trained == ["pretrain"] * 3 + ["train_folds"] * 4
    assert not (out / "results.json").exists()
    monkeypatch.undo()
    trained.clear()
    watch("pretrain", None)
    watch("train_folds", None)
    evaluate(ask, out)
    assert trained == ["train_folds"] * 2  # the two that are missing, from weights that are there
    assert (out / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    evaluate(ask, out)
    assert trained == ["train_folds"] * 2  # a whole run is only told again
    evaluate(request(data, pretrain=[made], seeds=2), out)
    assert trained == ["train_folds"] * 2 + ["pretrain"] * 3 + ["train_folds"] * 6  # the new seed
    assert results(out)["seeds"] == [0, 1]


def test_folds_side_by_side_give_the_figures_of_folds_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("selection=inner", "model.training.epochs=2", "keep_weights=true")
    one = evaluate(request(data, *few), tmp_path / "one")
    calls: list[int] = []
    real = experiment.train_folds

    def count(work: Any, plans: Any, *rest: Any) -> Any:
        calls.append(len(plans))
        return real(work, plans, *rest)

    monkeypatch.setattr(experiment, "train_folds", count)
    other = evaluate(request(data, *few, "folds_at_once=4"), tmp_path / "other")
    assert calls == [4, 2]
    for a, b in zip(folds(one), folds(other), strict=True):
        assert (a["fold"], a["clips"], a["epoch"]) == (b["fold"], b["clips"], b["epoch"])
        assert np.allclose(a["probabilities"], b["probabilities"], atol=1e-4)
    with pytest.raises(ConfigError, match=r"folds_at_once must be a whole number, in 1\.\.100000"):
        evaluate(request(data, "folds_at_once=0"), tmp_path / "none")


def test_another_run_is_not_overwritten(run: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"another run: training.epochs was 8, is 6"):
        evaluate(request(data), run)
    other = write(tmp_path / "other.npz", seed=4)
    changed = request(other, "model.training.epochs=8", seeds=2)
    with pytest.raises(RunError, match="another run: data was"):
        evaluate(changed, run)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(RunError, match=r"letters is not a run: it has no run\.json"):
        evaluate(request(data), tmp_path / "letters")


def test_epochs_chosen_on_people_of_the_training_part(tmp_path: Path) -> None:
    hard = write(tmp_path / "hard.npz", strength=0.5)
    run = evaluate(request(hard, "selection=inner", "inner_share=0.4"), tmp_path / "r")
    chosen = [fold["epoch"] for fold in folds(run)]
    assert all(1 <= epoch <= 6 for epoch in chosen)
    assert min(chosen) < 6  # else nothing was chosen
    fixed = evaluate(request(hard), tmp_path / "fixed")
    for mine, theirs in zip(folds(run), folds(fixed), strict=True):
        assert mine["curve"] == theirs["curve"]  # the same training, read at another epoch
        assert (mine["probabilities"] == theirs["probabilities"]) == (mine["epoch"] == 6)


@pytest.fixture(name="second", scope="module")
def _second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "smic.npz"
    return write(path, people=3, seed=5, dataset=["smic"] * 15)


def test_cde_has_figures_for_all_and_each(data: Path, second: Path, tmp_path: Path) -> None:
    told = results(evaluate(request([data, second], split="cde"), tmp_path / "r"))
    assert list(told["strict"]) == ["Full", "samm", "smic"]
    assert len(told["folds"]) == 9
    with pytest.raises(ValueError, match="clips of 2 or more databases, got samm"):
        evaluate(request(data, split="cde"), tmp_path / "one")


def test_cross_and_lovo(data: Path, second: Path, tmp_path: Path) -> None:
    run = evaluate(request(data, split="cross", test=[second]), tmp_path / "cross")
    told = results(run)
    assert [fold["name"] for fold in told["folds"]] == ["samm_to_smic"]
    assert {part["role"] for part in told["data"]} == {"train", "test"}
    assert len(Predictions.from_csv(run / "predictions.csv").clips) == 15
    told = results(
        evaluate(request(second, "model.training.epochs=1", split="lovo"), tmp_path / "lovo")
    )
    assert {(fold["train"], fold["test"]) for fold in told["folds"]} == {(14, 1)}


def test_people_of_both_databases_are_tested_and_not_learned_from(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"later{i}" for i in range(10)]
    later = write(tmp_path / "later.npz", people=2, seed=9, clip=names)  # people 00 and 01 again
    told = results(evaluate(request(data, split="cross", test=[later]), tmp_path / "cross"))
    ((fold,), tested) = told["folds"], ["samm/00", "samm/01"]
    assert (fold["train"], fold["test"], fold["tested"]) == (20, 10, tested)
    assert "2 people are among the training and the test clips" in caplog.text


def test_a_model_that_is_fitted_at_once(made: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 3, 16, 16))
    path = write(tmp_path / "f.npz", x=x)
    size = "model.options.image_size=16"
    ask = Request(split="loso", model="bi_woof_svm_tiny", data=[path], overrides=[size, QUICK[0]])
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
