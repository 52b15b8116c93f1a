"""Classes without clips: reported wherever labels are read, and left out of all figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import mersynth
from recognizers.cli import app
from recognizers.data.feature_files import FeatureFileError, read_features
from recognizers.data.gather import read_parts
from recognizers.experiment.evaluate import evaluate
from recognizers.models.base import InputSpec
from tests.recognizers.data.tiny_features import SIZE, features, write
from tests.recognizers.experiment.tiny_experiment import QUICK, request, results
from tests.tiny_store import write_tiny_store

SPECS = {"flow_strain": InputSpec("flow_strain", ("u", "v", "strain"), (SIZE, SIZE), range=None)}
SHORT = "model.training.epochs=1"
FROM_1 = {"y": features()["y"] + 1, "classes": None}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "no clip has the class" in r.getMessage()]


def test_numbers_that_start_at_1_are_refused_and_read_with_the_first_label(tmp_path: Path) -> None:
    path = write(tmp_path / "f.npz", **FROM_1)
    with pytest.raises(FeatureFileError) as caught:
        read_features(path, SPECS)
    assert str(caught.value) == (
        f"{path}: y holds 1, 2, 3 and no 0, and classes are numbered from 0: no clip would have "
        "class 0. Where they are numbered from 1, say so: --first-label 1; where no clip has "
        "class 0, --first-label 0; or name all classes in the array 'classes', the first for 0"
    )
    data = read_features(path, SPECS, first_label=1)
    assert data.classes == ("1", "2", "3")
    assert data.label.tolist() == [0, 1, 2] * 10
    assert [clip.emotion for clip in data.clips[:3]] == ["1", "2", "3"]
    assert read_features(path, SPECS, first_label=0).classes == ("0", "1", "2", "3")


def test_the_first_label_goes_with_named_classes_and_any_type_of_number(tmp_path: Path) -> None:
    small = features()["y"].astype(np.uint8)
    named = read_features(write(tmp_path / "a.npz", y=small + 1), SPECS, first_label=1)
    assert named.classes == ("negative", "positive", "surprise")
    assert named.label.tolist() == [0, 1, 2] * 10
    words = np.array(named.classes)[small]
    assert read_features(
        write(tmp_path / "b.npz", y=words), SPECS, first_label=1
    ).label.tolist() == ([0, 1, 2] * 10)


@pytest.mark.parametrize(
    ("changes", "first", "message"),
    [
        (
            {"y": features()["y"] + 1},
            None,
            r"in 0\.\.2, .*it holds 1, 2, 3 .* start at 1, say so: --first-label 1$",
        ),
        (
            {"y": features()["y"]},
            1,
            r"y must be whole numbers \(int\) in 1\.\.3.*holds 0, 1, 2 ",
        ),
        ({"y": [0, 1] * 15, "classes": None}, 1, "2 or more different names, got"),
        ({"y": [2, 4] * 15, "classes": None}, None, "--first-label 2"),
        ({"y": [0.0, float("nan")] * 15, "classes": None}, None, "y must be whole numbers"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    changes: dict[str, Any], first: int | None, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "f.npz", **changes)
    with pytest.raises(FeatureFileError, match=message):
        read_features(path, SPECS, first_label=first)


@pytest.mark.parametrize("role", ["real", "test", "mix", "pretrain"])
def test_an_empty_class_of_a_file_is_reported_in_every_role(
    role: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gap = write(tmp_path / "gap.npz", y=[0, 2] * 15, classes=None)
    longer = write(tmp_path / "longer.npz", y=[0, 1] * 15, dataset=["smic"] * 30)
    read_parts({role: [gap, longer]}, SPECS, "five", "cpu", {})
    assert told(caplog) == [
        f"{gap} ({role}): no clip has the class 1; the classes are 0, 1, 2",
        f"{longer} ({role}): no clip has the class surprise; the classes are negative, positive, "
        "surprise",
    ]


def test_an_empty_class_of_a_store_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = write_tiny_store(tmp_path / "s").path
    specs = {"onset": InputSpec("onset", ("red", "green", "blue"), (SIZE, SIZE))}
    read_parts({"real": [store]}, specs, "native", "cpu", {})
    mersynth.load_clips(store)
    empty = "no clip has the class disgust, fear, sadness; the classes are anger, contempt"
    first, second = told(caplog)
    assert first.startswith(f"{store} (real): {empty}")
    assert second.startswith(f"{store}: {empty}")
    caplog.clear()
    mersynth.load_clips(store, scheme="three")
    assert not told(caplog)


def test_a_run_from_1_has_the_figures_of_one_from_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    from_0 = evaluate(request(write(tmp_path / "samm.npz", classes=None), SHORT), tmp_path / "0")
    path = write(tmp_path / "one.npz", **FROM_1)
    words = ["loso", "--model", "ststnet_tiny", "--data", str(path), *QUICK, SHORT]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1
    assert "--first-label 1" in refused.output
    done = CliRunner().invoke(app, [*words, "--first-label", "1"])
    assert done.exit_code == 0, done.output
    from_1 = tmp_path / "runs" / "loso_ststnet_tiny_one"
    first, second = results(from_0), results(from_1)
    assert (first["first_label"], second["first_label"]) == (None, 1)
    assert second["classes"] == ["1", "2", "3"]
    for name in ("confusion", "uf1", "uar"):
        figures = [r["strict"]["Full"]["seeds"]["0"][name] for r in (first, second)]
        assert figures[0] == figures[1]
    assert json.loads((from_1 / "run.json").read_text())["first_label"] == 1


def test_an_empty_class_is_not_part_of_the_figures(tmp_path: Path) -> None:
    path = write(tmp_path / "samm.npz", **FROM_1)
    scores = results(evaluate(request(path, SHORT, first_label=0), tmp_path / "r"))["strict"][
        "Full"
    ]
    one = scores["seeds"]["0"]
    assert one["recall"]["0"] is None
    assert one["f1"]["0"] is None
    confusion = np.array(one["confusion"])[1:]
    recall = [row[i] / row.sum() for i, row in enumerate(confusion, 1)]
    assert one["uar"] == pytest.approx(np.mean(recall))
    f1 = [2 * r[i] / (r.sum() + confusion[:, i].sum()) for i, r in enumerate(confusion, 1)]
    assert one["uf1"] == pytest.approx(np.mean(f1))


def test_a_first_label_of_stores_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"first_label numbers the classes of feature files"):
        request(Path("stores/samm"), first_label=1)
