"""Training: the contents of a batch, the targets, and the clips behind statistics."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mersynth.augment import ORDER
from recognizers.data.clip_arrays import ClipArrays, join, mixed_in
from recognizers.data.feature_files import read_features
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.runs.records import Epoch
from recognizers.training.settings import TrainingSettings
from recognizers.training.trainer import Training, TrainingError
from tests.recognizers.data.tiny_features import SIZE, write

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
    mixed_until: float = 1.0,
    **block: Any,
) -> tuple[Probe, Training, list[Epoch]]:
    torch.manual_seed(0)
    settings = {"epochs": 2, "batch_size": 8, "optimizer": {"name": "SGD", "lr": 0.01}, **block}
    model = model or Probe()
    chosen = TrainingSettings.from_config(settings)
    training = Training(model, clips, rows, chosen, augment or {}, CPU, mixed_until=mixed_until)
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


def test_an_epoch_may_have_a_number_of_clips_of_its_own(clips: ClipArrays) -> None:
    rows = list(range(25))
    place = {tuple(x): i for i, x in enumerate(clips.inputs["flow_strain"].reshape(60, -1))}
    for count in (10, 60):
        model, _, epochs = train(clips, rows, epochs=5, epoch_clips=count)
        assert [epoch.clips for epoch in epochs] == [count] * 5
        shown = [place[tuple(x)] for seen, _, _ in model.seen for x in seen.numpy()]
        assert len(shown) == 5 * count
        rounds = [shown[first : first + 25] for first in range(0, len(shown), 25)]
        assert all(sorted(each) == rows for each in rounds)  # all come before one comes again
        assert rounds[0] != rounds[1]
    assert [len(labels) for _, labels, _ in model.seen[:8]] == [8, 8, 8, 8, 7, 7, 7, 7]
    model, _, epochs = train(clips, rows, epochs=1, epoch_clips=9, sampler="class_balanced")
    labels = torch.cat([labels for _, labels, _ in model.seen])
    assert torch.bincount(labels, minlength=3).tolist() == [3, 3, 3]


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
    rows = [0, 3, 6, 9, 12, 15, 18, 1, 2]  # seven of a class, one of each other; four people
    model, _, _ = train(clips, rows, epochs=1, batch_size=9, sampler=sampler)
    ((features, labels, _),) = model.seen
    place = {tuple(x): i for i, x in enumerate(clips.inputs["flow_strain"].reshape(60, -1))}
    rows = [place[tuple(x)] for x in features.numpy()]
    if sampler == "class_balanced":
        assert torch.bincount(labels, minlength=3).tolist() == [3, 3, 3]
    else:
        people = Counter(clips.clips[i].subject_id for i in rows)
        assert sorted(people.values()) == [2, 2, 2, 3]  # of nine clips of four people


def test_steps_are_those_of_torch_by_hand(clips: ClipArrays) -> None:
    rows = list(range(12))
    block = {
        "epochs": 5,
        "batch_size": 12,
        "optimizer": {"name": "SGD", "lr": 0.05, "momentum": 0.9},
        "scheduler": {"name": "StepLR", "step_size": 2, "gamma": 0.5},
        "gradient_clip": 0.5,
    }
    model, _, epochs = train(clips, rows, **block)
    torch.manual_seed(0)
    weight, bias = (p.detach().clone() for p in Probe().linear.parameters())
    x = torch.from_numpy(clips.inputs["flow_strain"][rows]).flatten(1)
    y = torch.from_numpy(clips.label[rows])
    speed = [torch.zeros_like(weight), torch.zeros_like(bias)]
    for epoch in range(5):
        share = (x @ weight.T + bias).softmax(1)
        error = (share - nn.functional.one_hot(y, 3)) / len(rows)
        gradient = [error.T @ x, error.sum(0)]
        norm = torch.cat([g.flatten() for g in gradient]).norm()
        assert epoch or norm > 0.5  # or clipping would not show
        rate = 0.05 * 0.5 ** (epoch // 2)
        assert epochs[epoch].learning_rate == pytest.approx(rate)
        loss = nn.functional.cross_entropy(x @ weight.T + bias, y)
        assert epochs[epoch].loss == pytest.approx(float(loss), rel=1e-4)
        for value, s, g in zip((weight, bias), speed, gradient, strict=True):
            s.mul_(0.9).add_(g * min(1, 0.5 / float(norm)))
            value.sub_(rate * s)
    torch.testing.assert_close(model.linear.weight.detach(), weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.linear.bias.detach(), bias, atol=1e-5, rtol=1e-4)


def test_training_in_bf16_differs_by_its_rounding(clips: ClipArrays) -> None:
    rows = list(range(30))
    settings = TrainingSettings(epochs=3, batch_size=10, optimizer={"name": "SGD", "lr": 0.05})
    weights, predicted = [], []
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        model = Probe()
        training = Training(model, clips, rows, settings, {}, CPU, precision)
        training.run(lambda epoch: None)
        assert model.linear.weight.dtype == torch.float32
        weights.append(model.linear.weight.detach().clone())
        predicted.append(training.predict(rows))
        with torch.no_grad():
            alone = model(flow_strain=torch.from_numpy(clips.inputs["flow_strain"][rows])).logits
        np.testing.assert_allclose(training.predict(rows), alone.double().softmax(1), atol=1e-6)
    torch.manual_seed(0)
    change = weights[0] - Probe().linear.weight
    difference = (weights[1] - weights[0]).norm()
    assert 0 < difference < 0.05 * change.norm()  # bf16 has 8 binary digits
    np.testing.assert_allclose(*predicted, atol=0.05)


def test_prediction_is_the_models_own_and_changes_nothing(clips: ClipArrays) -> None:
    class Wavering(Probe):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3 * SIZE * SIZE)
            self.dropout = nn.Dropout(0.5)

        def forward(self, *, flow_strain: Tensor) -> Output:
            features = flow_strain.flatten(1)
            return Output(self.linear(self.dropout(self.norm(features))), features)

    model = Wavering()
    augment = {"RandomHorizontalFlip": {"p": 1.0}}
    _, training, _ = train(clips, list(range(20)), augment, model=model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = [25, 3, 59]
    predicted = training.predict(rows)
    with torch.no_grad():
        flow = torch.from_numpy(clips.inputs["flow_strain"][rows])
        logits = model.eval()(flow_strain=flow).logits
    np.testing.assert_allclose(predicted, logits.double().softmax(1), rtol=1e-9)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_bank_holds_nothing_but_what_is_learned_from(clips: ClipArrays) -> None:
    marked = replace(clips, inputs={"flow_strain": clips.inputs["flow_strain"].copy()})
    rows = list(range(20))
    marked.inputs["flow_strain"][20:] = 777
    blocks = {"RegionReplacing": {"p": 1.0, "bank": "training"}}
    model, training, _ = train(marked, rows, blocks, epochs=8)
    shown = torch.cat([features for features, _, _ in model.seen])
    assert shown.abs().max() < 100
    bank = training.banks["flow_strain"]
    assert bank.clip_ids == tuple(clips.clips[i].id for i in rows)
    halves = {tuple(x) for x in marked.inputs["flow_strain"][rows][:, 0, 4:].reshape(20, -1)}
    lower = shown.reshape(-1, 3, SIZE, SIZE)[:, 0, 4:].flatten(1).numpy()
    assert {tuple(x) for x in lower} <= halves


def test_what_a_donor_left_open_is_not_taught(clips: ClipArrays) -> None:
    """The AUs of an uncoded clip's mouth are unknown."""
    rows = [i for i in range(30) if clips.clips[i].aus in ("4", "")]
    augment = {"RegionReplacing": {"p": 1.0}}
    model, _, _ = train(clips, rows, augment, batch_size=len(rows), epochs=1)
    ((features, _, targets),) = model.seen
    lower = clips.inputs["flow_strain"][:, :, 4:].reshape(60, -1)
    place = {tuple(x): i for i, x in enumerate(lower)}
    donors = [place[tuple(x.reshape(3, SIZE, SIZE)[:, 4:].ravel())] for x in features.numpy()]
    open_mouth = torch.tensor([clips.clips[i].aus == "" for i in donors])
    assert torch.equal(targets["aus"][:, 1].isnan(), open_mouth)  # AU 12


def test_weights_beyond_all_bounds_end_the_training(clips: ClipArrays) -> None:
    model, training, _ = train(clips, list(range(30)))
    model.linear.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"no longer finite; lower model\.training"):
        training.predict([0])


def test_classes_are_joined_by_their_names(tmp_path: Any) -> None:
    path = write(tmp_path / "a.npz")
    other = write(tmp_path / "b.npz", classes=["surprise", "negative", "positive"])
    data = [read_features(p, {"flow_strain": SPEC}) for p in (path, other)]
    joined = join(data)
    assert joined.labels == [clip.emotion for clip in joined.clips]
    assert joined.labels[:3] + joined.labels[30:33] == [
        *("negative", "positive", "surprise"),
        *("surprise", "negative", "positive"),
    ]
    assert join(data[:1], data[1:]).labels == joined.labels
    third = write(tmp_path / "c.npz", classes=["anger", "fear", "joy"], dataset=["x"] * 30)
    with pytest.raises(ValueError, match=r"x have the classes anger, fear, joy, those of samm"):
        join([data[0], read_features(third, {"flow_strain": SPEC})])


@pytest.mark.parametrize(
    ("until", "epochs"), [(0.5, [1, 1, 0, 0]), (0.7, [1, 1, 1, 0]), (0.1, [1, 0, 0, 0])]
)
def test_clips_mixed_in_take_part_in_the_first_epochs(
    clips: ClipArrays, until: float, epochs: list[int], tmp_path: Any
) -> None:
    more = read_features(write(tmp_path / "more.npz", dataset=["made"] * 30), {"flow_strain": SPEC})
    both = mixed_in(clips, join([more]))
    model, training, curve = train(both, list(range(10, 50)), mixed_until=until, epochs=4)
    parts = [model.seen[first : first + 5] for first in range(0, 20, 5)]
    kinds = [torch.cat([targets["domain"] for _, _, targets in part]) for part in parts]
    assert [int(kind.max()) for kind in kinds] == epochs
    # An epoch stays as long: those of real clips alone show each of the 20 twice.
    assert [epoch.clips for epoch in curve] == [len(kind) for kind in kinds] == [40] * 4
    last = torch.cat([features for features, _, _ in parts[-1]])
    assert len(last.unique(dim=0)) == 20
    assert training.rows.tolist() == list(range(10, 50))


def test_a_loss_that_is_not_a_number_ends_the_training(clips: ClipArrays) -> None:
    model = Probe()
    model.factor = float("inf")
    with pytest.raises(TrainingError, match=r"loss is (inf|nan) in epoch 1 at .* 0\.01; lower"):
        train(clips, list(range(30)), model=model)


def test_an_unknown_target(clips: ClipArrays, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Probe, "targets", ("gaze",))
    with pytest.raises(ValueError, match=r"Probe needs gaze; a training offers au_set, domain"):
        train(clips, list(range(30)))


def test_clips_of_other_classes_cannot_be_mixed_in(clips: ClipArrays, tmp_path: Any) -> None:
    path = write(tmp_path / "c.npz", classes=["negative", "fear", "surprise"])
    other = read_features(path, {"flow_strain": SPEC})
    real = read_features(write(tmp_path / "d.npz"), {"flow_strain": SPEC})
    with pytest.raises(ValueError, match=r"samm to learn from show fear, the clips under test neg"):
        join([real], [other])


class Drawing(Recognizer):
    """Draws one of four frames, as MMNet does; keeps what it was given."""

    paper = "none"
    draws_one_frame_of = ("frames",)

    def __init__(self, image: bool) -> None:
        super().__init__(3)
        size = (SIZE, SIZE)
        self.inputs = {"frames": InputSpec("near_apex", ("red",), size, 4)}
        if image:
            self.inputs["image"] = InputSpec("apex", ("red",), size)
        self.linear = nn.Linear(1, 3)
        self.seen: list[Tensor] = []

    def forward(self, *, frames: Tensor, **image: Tensor) -> Output:
        self.check_inputs(frames=frames, **image)
        self.seen.append(frames.clone())
        features = frames[:, 0].mean((1, 2, 3))[:, None]
        return Output(self.linear(features), features)


@pytest.mark.parametrize(
    ("augment", "alike"),
    [({}, True), ({"RandomHorizontalFlip": {"p": 1.0}}, True), ({"TemporalResample": {}}, False)],
)
def test_frames_are_drawn_before_they_are_augmented(
    clips: ClipArrays, augment: Any, alike: bool
) -> None:
    count, rng = len(clips.clips), np.random.default_rng(0)
    frames = rng.random((count, 4, 1, SIZE, SIZE), dtype=np.float32)
    model = Drawing(image=alike)  # an image has no frames to resample
    own = replace(clips, inputs={"frames": frames, **({"image": frames[:, 0]} if alike else {})})
    torch.manual_seed(0)
    settings = {"epochs": 9, "batch_size": count, "optimizer": {"name": "SGD", "lr": 0.01}}
    chosen = TrainingSettings.from_config(settings)
    Training(model, own, range(count), chosen, augment, CPU).run(lambda epoch: None)
    shown = np.concatenate([seen.numpy() for seen in model.seen])
    same = (shown == shown[:, :1]).all()
    assert same == alike
    if alike:
        flipped = frames[..., ::-1] if augment else frames
        distance = np.abs(shown[:, None, None, 0] - flipped[None]).max((3, 4, 5))
        found = distance == 0  # (shown, clips, frames)
        assert (found.sum((1, 2)) == 1).all()
        assert found.any(0).mean() > 0.8  # of nine epochs, one draws it with a chance of 0.92
