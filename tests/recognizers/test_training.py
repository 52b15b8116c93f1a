"""Training: what a batch holds, what targets are made of, and which clips statistics are of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recognizers.clip_arrays import ClipArrays, join
from recognizers.feature_files import read_features
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.settings import TrainingSettings
from recognizers.training import Epoch, Training, TrainingError
from tests.recognizers.tiny_features import SIZE, write

CPU = torch.device("cpu")
SPEC = InputSpec("flow_strain", ("u", "v", "strain"), (SIZE, SIZE), range=None)


class Probe(Recognizer):
    """A linear model that keeps what it was given."""

    paper = "none"
    targets = ("aus", "au_set", "class_weights", "domain")
    aus = (4, 12)

    def __init__(self) -> None:
        super().__init__(3)
        self.inputs = {"flow_strain": SPEC}
        self.linear = nn.Linear(3 * SIZE * SIZE, 3)
        self.seen: list[tuple[Tensor, Tensor, dict[str, Tensor]]] = []
        self.cells: list[str] = []
        self.factor = 1.0

    def see_training_fold(self, au_cells: Any) -> None:
        self.cells = list(au_cells)

    def forward(self, *, flow_strain: Tensor) -> Output:
        features = flow_strain.flatten(1)
        return Output(self.linear(features), features)

    def loss(self, output: Output, labels: Tensor, **targets: Tensor) -> Tensor:
        self.check_targets(targets)
        self.seen.append((output.features.detach(), labels, targets))
        return self.factor * nn.functional.cross_entropy(output.logits, labels)


@pytest.fixture(name="clips", scope="module")
def _clips(tmp_path_factory: pytest.TempPathFactory) -> ClipArrays:
    folder = tmp_path_factory.mktemp("features")
    cells = ["4", "L12", "", "4+12", "4 or 9"] * 6
    real = read_features(write(folder / "a.npz", aus=cells), {"flow_strain": SPEC})
    other = write(folder / "b.npz", dataset=["smic"] * 30, seed=1, aus=cells)
    return join([real], [read_features(other, {"flow_strain": SPEC})])


def train(
    clips: ClipArrays,
    rows: list[int],
    augment: Any = None,
    model: Probe | None = None,
    **block: Any,
) -> tuple[Probe, Training, list[Epoch]]:
    torch.manual_seed(0)
    settings = {"epochs": 2, "batch_size": 8, "optimizer": {"name": "SGD", "lr": 0.01}, **block}
    model = model or Probe()
    chosen = TrainingSettings.from_config(settings)
    training = Training(model, clips, rows, chosen, augment or {}, CPU)
    epochs: list[Epoch] = []
    training.run(epochs.append)
    return model, training, epochs


def test_an_epoch_shows_every_clip_once_in_even_batches(clips: ClipArrays) -> None:
    rows = list(range(5, 30))
    model, _, epochs = train(clips, rows)
    assert [len(labels) for _, labels, _ in model.seen] == [7, 6, 6, 6] * 2  # never 8, 8, 8, 1
    for first in (0, 4):
        shown = torch.cat([features for features, _, _ in model.seen[first : first + 4]])
        wanted = torch.from_numpy(clips.inputs["flow_strain"][rows]).flatten(1)
        assert torch.equal(shown.sort(0).values, wanted.sort(0).values)
    assert not torch.equal(model.seen[0][0][:6], model.seen[4][0][:6])  # another order
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert epochs[1].loss < epochs[0].loss
    assert model.cells == [clips.clips[i].aus for i in rows]


def test_targets_are_those_of_the_batch(clips: ClipArrays) -> None:
    model, _, _ = train(clips, list(range(60)), batch_size=60, epochs=1)
    ((features, labels, targets),) = model.seen
    place = {tuple(x): i for i, x in enumerate(clips.inputs["flow_strain"].reshape(60, -1))}
    order = [place[tuple(x)] for x in features.numpy()]
    assert labels.tolist() == clips.label[order].tolist()
    assert targets["domain"].tolist() == [int(i >= 30) for i in order]
    for row, i in enumerate(order):
        nan = float("nan")
        # of an empty cell nothing is known; of "4 or 9" not whether 4 is there
        wanted = [[1, 0], [0, 1], [nan, nan], [1, 1], [nan, 0]][i % 5]
        assert targets["aus"][row].tolist() == pytest.approx(wanted, nan_ok=True)


def test_au_targets_follow_region_replacing(clips: ClipArrays) -> None:
    rows = [i for i in range(30) if clips.clips[i].aus in ("4", "L12")]
    augment = {"RegionReplacing": {"p": 1.0}}
    model, _, _ = train(clips, rows, augment, batch_size=len(rows), epochs=1)
    ((_, _, targets),) = model.seen
    shown = targets["au_set"].amax(2)
    from mersynth.augment import ORDER

    both = shown[:, [ORDER.index(4), ORDER.index(12)]]
    assert torch.equal(targets["aus"], both)
    assert both.sum(1).unique().tolist() == [0.0, 1.0, 2.0]  # donors brought and took AUs


def test_weights_and_statistics_are_of_the_rows_alone(clips: ClipArrays) -> None:
    rows = [0, 3, 6, 1, 4, 2]
    changed = replace(clips, inputs={"flow_strain": clips.inputs["flow_strain"].copy()})
    others = np.setdiff1d(np.arange(60), rows)
    changed.inputs["flow_strain"][others] += 100
    for data in (clips, changed):
        model, training, _ = train(data, rows, epochs=1, batch_size=6, standardise=True)
        ((features, _, targets),) = model.seen
        assert targets["class_weights"].tolist() == pytest.approx([1, 1.5, 3])
        channels = features.reshape(6, 3, -1).transpose(0, 1).reshape(3, -1)
        assert channels.mean(1).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
        assert channels.std(1).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
        if data is clips:
            expected = training.predict([7, 8])
    np.testing.assert_allclose(training.predict([0]).sum(), 1)
    assert expected.shape == (2, 3)


@pytest.mark.parametrize("sampler", ["class_balanced", "subject_balanced"])
def test_balanced_samplers(clips: ClipArrays, sampler: str) -> None:
    rows = [0, 3, 6, 9, 12, 15, 18, 1, 2]  # seven of a class, one of each other; six people
    model, _, _ = train(clips, rows, epochs=1, batch_size=9, sampler=sampler)
    ((_, labels, _),) = model.seen
    counts = torch.bincount(labels, minlength=3).tolist()
    assert (counts == [3, 3, 3]) == (sampler == "class_balanced")


def test_a_loss_that_is_no_number_ends_the_training(clips: ClipArrays) -> None:
    model = Probe()
    model.factor = float("inf")
    with pytest.raises(TrainingError, match=r"loss is (inf|nan) in epoch 1 at .* 0\.01; lower"):
        train(clips, list(range(30)), model=model)


def test_a_target_that_nobody_knows(clips: ClipArrays, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Probe, "targets", ("gaze",))
    with pytest.raises(ValueError, match=r"Probe needs gaze; a training offers .*class_weights"):
        train(clips, list(range(30)))


def test_clips_of_other_classes_cannot_be_mixed_in(clips: ClipArrays, tmp_path: Any) -> None:
    path = write(tmp_path / "c.npz", classes=["negative", "fear", "surprise"])
    other = read_features(path, {"flow_strain": SPEC})
    real = read_features(write(tmp_path / "d.npz"), {"flow_strain": SPEC})
    with pytest.raises(ValueError, match=r"samm to learn from show fear, the clips under test neg"):
        join([real], [other])
