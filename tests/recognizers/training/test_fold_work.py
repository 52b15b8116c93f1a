"""A fold's work with a scripted model: which epoch is chosen, and on whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recognizers.data.clip_arrays import ClipArrays, join
from recognizers.data.feature_files import read_features
from recognizers.folds.guard import LeakageError
from recognizers.folds.plan import FoldPlan, InnerPlan, check_plans, plan_folds
from recognizers.folds.splits import Fold, loso
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.training import fold_work
from recognizers.training.fold_work import Work, pretrain, train_folds
from recognizers.training.settings import TrainingSettings
from tests.recognizers.data.tiny_features import GROUPS, SIZE, synthetic, write

SPEC = InputSpec("flow_strain", ("u", "v", "strain"), (SIZE, SIZE), range=None)
EPOCHS = 5


class Scripted(Recognizer):
    """Predicts for each clip the class in a table, by the number of epochs trained so far."""

    paper = "none"

    def __init__(self, table: np.ndarray, log: list[tuple[bool, list[int], float]]) -> None:
        super().__init__(3)
        self.inputs = {"flow_strain": SPEC}
        self.table, self.log = torch.from_numpy(table), log
        self.weight = nn.Parameter(torch.zeros(1))
        self.epoch = 0

    def forward(self, *, flow_strain: Tensor) -> Output:
        rows = flow_strain[:, 0, 0, 0].round().long()
        self.log.append((self.training, rows.tolist(), self.weight.item()))
        if self.training:
            self.epoch += 1
        named = self.table[self.epoch - 1, rows]
        logits = 5 * nn.functional.one_hot(named, 3).float() + self.weight
        return Output(logits, logits)


@pytest.fixture(name="clips", scope="module")
def _clips(tmp_path_factory: pytest.TempPathFactory) -> ClipArrays:
    """Thirty clips of six people, and as many synthetic ones; x is the row."""
    folder = tmp_path_factory.mktemp("features")
    real = read_features(write(folder / "a.npz"), {"flow_strain": SPEC})
    made = read_features(synthetic(folder / "b.npz", GROUPS), {"flow_strain": SPEC})
    clips = join([real], [made])
    clips.inputs["flow_strain"][:, 0, 0, 0] = np.arange(len(clips.clips))
    return clips


TEST = tuple(range(5))
INNER = tuple(range(5, 10))
PLAN = FoldPlan(
    index=0,
    fold=Fold("samm/00", tuple(range(5, 30)), TEST),
    learned=tuple(range(5, 30)),
    inner=InnerPlan(tuple(range(10, 30)), INNER),
    pretraining=None,
)


def script(clips: ClipArrays, best_of_test: int, best_of_inner: int) -> np.ndarray:
    """(EPOCHS, N) classes: all right in the best epoch, else the next class."""
    right = np.tile(clips.label, (EPOCHS, 1))
    table = (right + 1) % 3
    for rows, best in ((TEST, best_of_test), (INNER, best_of_inner)):
        table[best - 1, list(rows)] = clips.label[list(rows)]
    return table


def work(clips: ClipArrays, **changes: Any) -> Work:
    block = {"epochs": EPOCHS, "batch_size": 99, "optimizer": {"name": "SGD", "lr": 1e-9}}
    settings = TrainingSettings.from_config({**block, **changes})
    return Work(clips, clips, "scripted", {}, {}, settings, settings, settings, "strict", "cpu")


def follow(
    monkeypatch: pytest.MonkeyPatch, table: np.ndarray
) -> list[list[tuple[bool, list[int], float]]]:
    """Make fold_work use scripted models; returns what each was shown."""
    logs: list[list[tuple[bool, list[int], float]]] = []

    def make(name: str, num_classes: int, **options: Any) -> Scripted:
        logs.append([])
        return Scripted(table, logs[-1])

    monkeypatch.setattr(fold_work, "create_model", make)
    return logs


def test_the_epoch_is_chosen_by_the_inner_people_only(
    clips: ClipArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = script(clips, best_of_test=4, best_of_inner=2)
    logs = follow(monkeypatch, table)
    weights = {"weight": np.array([0.25], np.float32)}
    (result,) = train_folds(work(clips), [PLAN], weights, seed=0, keep_weights=True)
    assert (result.epoch, result.oracle_epoch) == (2, 4)
    assert result.probabilities.argmax(1).tolist() == table[1, :5].tolist()
    assert result.oracle_probabilities.argmax(1).tolist() == clips.label[:5].tolist()
    assert [epoch.test_accuracy for epoch in result.curve] == [0, 0, 0, 1, 0]
    assert result.weights is not None
    inner, whole = logs
    for log, learned, looked_at in ((inner, range(10, 30), INNER), (whole, range(5, 30), TEST)):
        assert all(weight == pytest.approx(0.25) for _, _, weight in log)
        taught = [sorted(rows) for training, rows, _ in log if training]
        assert taught == [list(learned)] * EPOCHS
        assert {tuple(rows) for training, rows, _ in log if not training} == {looked_at}


def test_fixed_epochs_look_at_nobody_else(
    clips: ClipArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = follow(monkeypatch, script(clips, best_of_test=1, best_of_inner=3))
    plan = FoldPlan(3, PLAN.fold, PLAN.learned, None, None)
    (result,) = train_folds(work(clips), [plan], None, seed=0, keep_weights=False)
    assert (result.epoch, result.oracle_epoch, result.weights) == (EPOCHS, 1, None)
    assert len(logs) == 1


def test_seeds_folds_and_looking_on_do_not_mix(
    clips: ClipArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = np.repeat(script(clips, 1, 1)[:1], 99, axis=0)

    def orders(index: int, seed: int) -> list[list[int]]:
        logs = follow(monkeypatch, table)
        plan = FoldPlan(index, PLAN.fold, PLAN.learned, None, None)
        train_folds(work(clips, batch_size=5), [plan], None, seed, keep_weights=False)
        return [rows for training, rows, _ in logs[0] if training]

    first = orders(0, 0)
    assert first == orders(0, 0)
    assert first != orders(1, 0)
    assert first != orders(0, 1)
    state = torch.random.get_rng_state()
    orders(0, 0)
    assert torch.equal(state, torch.random.get_rng_state())  # nor does the caller's own chance
    logs = follow(monkeypatch, table)
    one, other = (pretrain(work(clips, batch_size=5), range(10, 30), seed) for seed in (1, 2))
    assert logs[0] != logs[1]
    assert [epoch.epoch for epoch in one.curve] == [1, 2, 3, 4, 5]
    assert one.weights.keys() == other.weights.keys() == {"weight"}


def test_a_worker_shows_the_guard_what_it_would_learn_from(
    clips: ClipArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(monkeypatch, script(clips, 1, 1))
    sneaked = FoldPlan(0, PLAN.fold, (*PLAN.learned, 2), None, None)
    with pytest.raises(LeakageError, match="samm/00/clip002 is a test clip"):
        train_folds(work(clips), [sneaked], None, seed=0, keep_weights=False)


def test_the_choice_of_epochs_is_guarded_as_a_fold(clips: ClipArrays) -> None:
    folds = loso(clips.clips[:30])
    plans = plan_folds(folds, clips, [], "strict", inner_share=0.3, seed=1)
    assert check_plans(plans, clips, None, [], "strict") == [()] * 6
    for plan in plans:
        assert plan.inner is not None
        deciding = {clips.clips[i].subject_id for i in plan.inner.chosen_on}
        assert not deciding & plan.fold.subjects(clips.clips)
        for i in plan.inner.learned:
            clip = clips.clips[i]
            assert clip.subject_id not in deciding
            assert clip.template is None or clip.template.rsplit("/", 1)[0] not in deciding
        for broken, message in (
            (InnerPlan((*plan.inner.learned, plan.inner.chosen_on[0]), plan.inner.chosen_on), "is"),
            (InnerPlan((*plan.inner.learned, plan.fold.test[0]), plan.inner.chosen_on), "is a te"),
            (InnerPlan(plan.inner.learned, plan.fold.test), "epochs are chosen on"),
        ):
            wrong = FoldPlan(plan.index, plan.fold, plan.learned, broken, None)
            with pytest.raises(LeakageError, match=message):
                check_plans([wrong], clips, None, [], "strict")
    mixed = [i for i in range(30, len(clips.clips)) if i in plans[0].learned]
    deciding = {clips.clips[i].subject_id for i in plans[0].inner.chosen_on}  # type: ignore[union-attr]
    face = next(i for i in mixed if clips.clips[i].subject_id in deciding)
    inner = plans[0].inner
    assert inner is not None
    wrong = FoldPlan(
        0, plans[0].fold, plans[0].learned, InnerPlan((*inner.learned, face), inner.chosen_on), None
    )
    with pytest.raises(LeakageError, match=r"\(choice of epochs\) .*\n.*synthetic clips"):
        check_plans([wrong], clips, None, [], "strict")
