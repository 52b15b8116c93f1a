"""Folds side by side learn what each learns alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from recognizers.data.clip_arrays import ClipArrays, join
from recognizers.data.feature_files import read_features
from recognizers.folds.guard import LeakageError
from recognizers.folds.plan import FoldPlan, InnerPlan
from recognizers.folds.splits import Fold
from recognizers.models import create_model, list_models, outline
from recognizers.training.fold_work import Work, train_folds
from recognizers.training.settings import TrainingSettings
from recognizers.training.side_by_side import fits_side_by_side
from recognizers.training.trainer import TrainingError
from tests.recognizers.data.tiny_features import SIZE, write

OPTIONS: dict[str, dict[str, Any]] = {
    "ststnet": {"image_size": SIZE},
    "off_apexnet": {"image_size": SIZE, "hidden": 8},
}
ADAM = {"name": "Adam", "lr": 0.01, "weight_decay": 0.1}
SGD = {"name": "SGD", "lr": 0.3, "momentum": 0.9, "groups": {"classifier": {"lr": 0.1}}}


def settings(**changes: Any) -> TrainingSettings:
    block = {"epochs": 4, "batch_size": 15, "optimizer": ADAM, "standardise": True}
    return TrainingSettings.from_config({**block, **changes})


def work(
    tmp_path_factory: pytest.TempPathFactory,
    model: str,
    changes: dict[str, Any] | None = None,
    mixed: Sequence[int] = (),
) -> Work:
    path = write(tmp_path_factory.mktemp("features") / "a.npz")
    if model == "off_apexnet":
        data = dict(np.load(path))
        np.savez(path, **{**data, "x": data["x"][:, :2], "channels": data["channels"][:2]})
    specs = outline(model, 3, **OPTIONS[model]).inputs
    clips: ClipArrays = join([read_features(path, specs)])
    clips.domain[list(mixed)] = 1
    chosen = settings(**(changes or {}))
    return Work(
        clips, None, model, OPTIONS[model], {}, chosen, chosen, chosen, "strict", "cpu",
        mixed_until=0.5 if mixed else 1.0,
    )  # fmt: skip


def plans(inner: bool) -> list[FoldPlan]:
    """Folds over 30 clips that test 5, 8 and 3 of them, and learn all others."""
    made = []
    for index, (first, last) in enumerate([(0, 5), (5, 13), (20, 23)]):
        learned = tuple(i for i in range(30) if not first <= i < last)
        fold = Fold(f"samm/{index}", learned, tuple(range(first, last)), "clip")
        own = InnerPlan(learned[:-4], learned[-4:]) if inner else None
        made.append(FoldPlan(index, fold, learned, own, None))
    return made


@pytest.mark.parametrize(
    ("model", "changes", "inner", "mixed"),
    [
        ("ststnet", {}, True, ()),
        ("ststnet", {"sampler": "class_balanced", "batch_size": 99}, False, range(24, 30)),
        (
            "off_apexnet",
            {"optimizer": SGD, "scheduler": {"name": "StepLR", "step_size": 1}},
            True,
            range(13, 20),
        ),
    ],
)
def test_each_fold_learns_what_it_learns_alone(
    tmp_path_factory: pytest.TempPathFactory,
    model: str,
    changes: dict[str, Any],
    inner: bool,
    mixed: Sequence[int],
) -> None:
    whole, folds = work(tmp_path_factory, model, changes, mixed), plans(inner)
    state = create_model(model, 3, **OPTIONS[model]).state_dict()
    for start in (None, {name: value.numpy() for name, value in state.items()}):
        alone = [train_folds(whole, [plan], start, 7, True)[0] for plan in folds]
        together = train_folds(whole, folds, start, 7, True)
        for one, other, plan in zip(alone, together, folds, strict=True):
            assert other.probabilities.shape == (len(plan.fold.test), 3)
            assert (one.epoch, one.oracle_epoch) == (other.epoch, other.oracle_epoch)
            assert np.allclose(one.probabilities, other.probabilities, atol=1e-4)
            assert np.allclose(one.oracle_probabilities, other.oracle_probabilities, atol=1e-4)
            for a, b in zip(one.curve, other.curve, strict=True):
                assert a.loss == pytest.approx(b.loss, abs=1e-4)
                assert replace(a, loss=None) == replace(b, loss=None)
            assert one.weights is not None
            assert other.weights is not None
            assert list(one.weights) == list(other.weights)
            for name, value in one.weights.items():
                assert np.allclose(value, other.weights[name], atol=1e-3), name
            for name, (mean, deviation) in one.statistics.items():
                assert np.array_equal(mean, other.statistics[name][0])
                assert np.array_equal(deviation, other.statistics[name][1])
        first, second = (fold.weights or {} for fold in together[::2])
        apart = max(np.abs(value - second[name]).max() for name, value in first.items())
        assert apart > 0.01  # so that the agreement above means something


def test_folds_side_by_side_are_guarded_and_may_not_diverge(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    whole, folds = work(tmp_path_factory, "ststnet"), plans(inner=False)
    sneaked = FoldPlan(1, folds[1].fold, (*folds[1].learned, 5), None, None)
    with pytest.raises(LeakageError, match="samm/01/clip005 is a test clip"):
        train_folds(whole, [folds[0], sneaked], None, 0, False)
    wild = {"optimizer": {"name": "SGD", "lr": 1e30}, "standardise": False}
    with pytest.raises(TrainingError, match=r"lower model\.training\.optimizer\.lr"):
        train_folds(work(tmp_path_factory, "ststnet", wild), folds, None, 0, False)


def test_only_small_systems_with_known_layers_fit() -> None:
    fitting = {
        name for name in list_models() if fits_side_by_side(outline(name, 3), settings(), {})
    }
    assert fitting == {"ststnet", "off_apexnet"}
    model = outline("ststnet", 3)
    assert fits_side_by_side(model, settings(optimizer=SGD), {})
    assert not fits_side_by_side(model, settings(), {"RandomHorizontalFlip": {"p": 0.5}})
    assert not fits_side_by_side(model, settings(gradient_clip=1.0), {})
    assert not fits_side_by_side(model, settings(optimizer={"name": "Rprop"}), {})
    assert not fits_side_by_side(outline("off_apexnet", 3, hidden=4096), settings(), {})
