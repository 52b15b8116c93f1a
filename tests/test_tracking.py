"""Where figures go: what each tool gets, and what is said where one is missing or stops."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mersynth.config import ConfigError
from mersynth.tracking import Kind, check_tracker, open_tracker, where_to_look


class _Recorder:
    """In place of a Fabric logger: keeps what it is told."""

    made: list[_Recorder]

    def __init__(self, **options: Any) -> None:
        self.options, self.told = options, []
        self.settings: Mapping[str, Any] = {}
        self.experiment = SimpleNamespace(finish=lambda: self.told.append("finished"))
        self.made.append(self)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        self.settings = params

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        if "fails" in metrics:
            raise OSError("no route to host")
        self.told.append((step, metrics))

    def finalize(self, status: str) -> None:
        self.told.append(status)


@pytest.fixture(name="recorders")
def _recorders(monkeypatch: pytest.MonkeyPatch) -> list[_Recorder]:
    """Stand-ins for the packages of Weights & Biases and MLflow."""
    _Recorder.made = []
    loggers = ModuleType("pytorch_lightning.loggers")
    loggers.WandbLogger = loggers.MLFlowLogger = _Recorder  # type: ignore[attr-defined]
    wandb, mlflow = ModuleType("wandb"), ModuleType("mlflow")
    wandb.Settings = dict  # type: ignore[attr-defined]
    mlflow.get_tracking_uri = lambda: "sqlite:///m.db"  # type: ignore[attr-defined]
    parent = ModuleType("pytorch_lightning")
    for module in (parent, loggers, wandb, mlflow):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return _Recorder.made


def test_tensorboard_gets_every_figure_and_drops_later_ones_of_a_stopped_training(
    tmp_path: Path,
) -> None:
    for first, value in ((0, 1.0), (2, 5.0)):
        tracker = open_tracker("tensorboard", tmp_path, "a/b", first_step=first)
        for step in range(first + 1, 5):
            tracker.log({"loss": value * step}, step, when=1000.0 + step)
        tracker.close()
    events = EventAccumulator(str(tmp_path / "logs" / "a" / "b")).Reload().Scalars("loss")
    assert [(each.step, each.value) for each in events] == [(1, 1), (2, 2), (3, 15), (4, 20)]
    assert [each.wall_time for each in events][-1] == 1004


def test_none_writes_nothing(tmp_path: Path) -> None:
    tracker = open_tracker("none", tmp_path)
    tracker.log({"loss": 1.0}, 1)
    tracker.close()
    assert not list(tmp_path.iterdir())
    assert where_to_look("none", tmp_path) == ""


@pytest.mark.parametrize("kind", ["wandb", "mlflow"])
def test_a_tool_gets_figures_settings_and_the_training_s_name(
    kind: Kind, tmp_path: Path, recorders: list[_Recorder]
) -> None:
    tracker = open_tracker(kind, tmp_path, "seed_0/x", group="run", settings={"lr": 0.1})
    for step in (1, 2):
        tracker.log({"loss": 1 / step}, step)
    tracker.close()
    (logger,) = recorders
    assert "run/seed_0/x" in logger.options.values()
    assert logger.settings == {"lr": 0.1}
    end = ["success", "finished"] if kind == "wandb" else ["success"]
    assert logger.told == [(1, {"loss": 1.0}), (2, {"loss": 0.5}), *end]


def test_a_tool_that_stops_answering_is_told_once_and_ends_no_training(
    tmp_path: Path, recorders: list[_Recorder], caplog: pytest.LogCaptureFixture
) -> None:
    tracker = open_tracker("mlflow", tmp_path, "x", group="run")
    tracker.log({"loss": 1.0}, 1)
    for step in (2, 3):
        tracker.log({"fails": 0.0}, step)
    tracker.close()
    assert recorders[0].told == [(1, {"loss": 1.0})]
    (record,) = caplog.records
    assert "does not take the figures of run/x (no route to host)" in record.getMessage()


@pytest.mark.parametrize("kind", ["wandb", "mlflow"])
def test_a_missing_package_is_one_line_with_the_command(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pytorch_lightning", kind):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"logger={kind} .* pip install 'mersynth\[{kind}\]'"):
        check_tracker(kind)


def test_wandb_itself_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    pytest.importorskip("pytorch_lightning")
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_tracker("wandb")
    for name in ("a", "b"):  # one run each
        tracker = open_tracker("wandb", tmp_path, name, settings={"model": {"lr": 0.1}})
        tracker.log({"loss": 1.0}, 1)
        tracker.close()
    assert len(list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))) == 2


def test_mlflow_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("pytorch_lightning")
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'm.db'}")
        check_tracker("mlflow")
        settings = {"model": {"lr": 0.1}}
        tracker = open_tracker("mlflow", tmp_path, "a", group="run", settings=settings)
        for step in (1, 2):
            tracker.log({"strict/Full/uf1": 1 / step}, step)
        tracker.close()
        client = mlflow.MlflowClient()
        own = client.get_experiment_by_name("mersynth").experiment_id
        (run,) = client.search_runs([own])
        assert (run.info.run_name, run.info.status) == ("run/a", "FINISHED")
        assert run.data.params == {"model/lr": "0.1"}
        history = client.get_metric_history(run.info.run_id, "strict/Full/uf1")
        assert [(each.step, each.value) for each in history] == [(1, 1.0), (2, 0.5)]
        mlflow.set_tracking_uri("http://127.0.0.1:9")
        with pytest.raises(ConfigError, match=r"logger=mlflow: .* MLFLOW_TRACKING_URI names"):
            check_tracker("mlflow")
        assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    finally:
        mlflow.set_tracking_uri(before)
