"""A run's learning curves in TensorBoard: by fold and seed, where it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mersynth.config import ConfigError
from recognizers.experiment.evaluate import evaluate
from recognizers.trained.fitting import fit
from tests.recognizers.data.tiny_features import write
from tests.recognizers.experiment.tiny_experiment import folds, request, results


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every figure in a folder, by name."""
    seen = EventAccumulator(str(folder)).Reload()
    return {
        name: [(each.step, each.value) for each in seen.Scalars(name)]
        for name in seen.Tags()["scalars"]
    }


def test_every_fold_and_seed_has_its_curve_and_the_pool_its_figures(tmp_path: Path) -> None:
    data = write(tmp_path / "f.npz", people=3)
    asked = request(data, "logger=tensorboard", "model.training.epochs=3", seeds=2)
    run = evaluate(asked, tmp_path / "r")
    for record in folds(run):
        name = f"seed_{record['seed']}/{record['fold'].replace('/', '_')}"
        told = events(run / "logs" / name)
        for figure in ("loss", "train_accuracy", "test_accuracy", "learning_rate"):
            wanted = [(epoch["epoch"], epoch[figure]) for epoch in record["curve"]]
            assert len(wanted) == 3
            assert [step for step, _ in told[figure]] == [1, 2, 3]
            assert [v for _, v in told[figure]] == pytest.approx([v for _, v in wanted], rel=1e-6)
    pooled, scores = events(run / "logs" / "pooled"), results(run)["strict"]["Full"]["seeds"]
    assert [step for step, _ in pooled["strict/Full/uf1"]] == [0, 1]
    assert pooled["strict/Full/uf1"][1][1] == pytest.approx(scores["1"]["uf1"])


def test_without_the_word_nothing_is_written_and_no_figure_depends_on_it(tmp_path: Path) -> None:
    data = write(tmp_path / "f.npz", people=3)
    run = evaluate(request(data, "model.training.epochs=2"), tmp_path / "r")
    assert not (run / "logs").exists()
    again = evaluate(
        request(data, "model.training.epochs=2", "logger=tensorboard", seeds=2), tmp_path / "r"
    )
    # The run goes on with its second seed, whose curves are new.
    assert {each.name for each in (again / "logs").iterdir()} == {"seed_1", "pooled"}
    evaluate(request(data, "logger=tensorboard"), tmp_path / "e", estimate=True)
    assert not (tmp_path / "e").exists()


def test_a_fitted_recognizer_has_its_curve_beside_it(tmp_path: Path) -> None:
    data = write(tmp_path / "f.npz", people=3)
    asked = request(data, "logger=tensorboard", "model.training.epochs=2", split="fit")
    told = events(fit(asked, tmp_path / "m") / "logs" / "seed_0" / "fit")
    assert [step for step, _ in told["loss"]] == [1, 2]


def test_an_unknown_word_is_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "f.npz", people=3)
    with pytest.raises(ConfigError, match="logger must be one of none, tensorboard, wandb, mlflow"):
        evaluate(request(data, "logger=comet"), tmp_path / "r")
    assert not (tmp_path / "r").exists()
