"""Runs that are refused: invalid requests and damaged files, with their messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognizers.data.feature_files import FeatureFileError
from recognizers.experiment.evaluate import evaluate
from recognizers.runs import RunError
from tests.recognizers.data.tiny_features import GROUPS, synthetic, write
from tests.recognizers.experiment.tiny_experiment import request

pytestmark = pytest.mark.usefixtures("hear")


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"subject": ["00"] * 30}, {}, r"needs clips of 2 or more people, got 1 \(samm/00\)"),
        ({"y": [0] * 30}, {}, "fold samm/00 trains on clips of one class only"),
        (
            {},
            {"model": "ststnet_small"},
            "there is no model 'ststnet_small'; did you mean .*ststnet_tiny",
        ),
        ({}, {"test": [Path("x.npz")]}, "are for cross, which needs them"),
        ({}, {"seeds": 0}, "seeds must be a whole number from 1 to 10000, got 0"),
        ({}, {"split": "loo"}, "split must be one of loso, lovo, cde, cross, fit, got 'loo'"),
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
        ("folds/0_0002.json", "{}", r"0_0002\.json is damaged \(.* required field `fold`"),
        ("folds/0_0002.json", "{", r"0_0002\.json is damaged"),
        ("run.json", "[]", r"run\.json is damaged \(Expected `object`"),
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


def test_a_changed_figure_or_weight_is_noticed(data: Path, made: Path, tmp_path: Path) -> None:
    ask = request(data, "model.training.epochs=1", pretrain=[made], groups=3)
    run = evaluate(ask, tmp_path / "r")
    file = run / "folds" / "0_0002.json"
    record = json.loads(file.read_text())
    changed = record | {"probabilities": record["probabilities"][::-1]}
    file.write_text(json.dumps(changed))
    with pytest.raises(RunError, match=r"0_0002\.json is damaged \(its checksum"):
        evaluate(ask, run)
    file.unlink()
    weights = run / "pretrained" / "0_0002.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunError, match=r"0_0002\.safetensors is damaged \(its SHA-256"):
        evaluate(ask, run)
    weights.write_bytes(content)
    assert json.loads((evaluate(ask, run) / "folds" / "0_0002.json").read_text())["checksum"]


def test_settings_are_tried_before_anything_is_begun(data: Path, tmp_path: Path) -> None:
    for override, message in (
        ("model.training.optimizer.lr=-1.0", "optimizer.lr must be above 0 and at most 100"),
        ("model.training.optimizer.name=LBFGS", "optimizer.name must be one of"),
        ("device=tpu", "device must be one of auto, cpu, cuda, got 'tpu'"),
        ("selection=best", "selection must be one of fixed, inner"),
    ):
        with pytest.raises(Exception, match=message):
            evaluate(request(data, override), tmp_path / "r")
        assert not (tmp_path / "r").exists()


def test_a_pool_of_other_classes_or_size(data: Path, tmp_path: Path) -> None:
    other = synthetic(tmp_path / "a.npz", GROUPS, classes=["anger", "disgust", "fear"])
    with pytest.raises(ValueError, match="show anger, disgust, fear, the clips under test nega"):
        evaluate(request(data, pretrain=[other]), tmp_path / "r")
    larger = write(tmp_path / "b.npz", x=np.zeros((30, 3, 16, 16)))
    with pytest.raises(FeatureFileError, match=r"B, 3, 8, 8\), got \(30, 3, 16, 16\)"):
        evaluate(request(data, pretrain=[larger]), tmp_path / "r")
