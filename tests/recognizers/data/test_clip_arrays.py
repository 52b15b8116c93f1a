"""Inputs held as bytes, where these hold all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mersynth.store.clip_store import ClipStore
from recognizers.data.clip_arrays import ClipArrays, as_float, join
from recognizers.data.inputs import build_inputs
from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.training.settings import TrainingSettings
from recognizers.training.trainer import Training
from tests.tiny_store import tiny_clips, write_tiny_store

RGB = ("red", "green", "blue")
SIZE = (32, 32)  # of the store's frames
WHOLE = {
    "apex": InputSpec("apex", RGB, SIZE),
    "frames": InputSpec("near_onset", RGB, SIZE, num_frames=2),
}
CPU = torch.device("cpu")


class Linear(Recognizer):
    """Reads an image, and a frame of a clip that training draws."""

    paper = "none"
    draws_one_frame_of = ("frames",)

    def __init__(self) -> None:
        super().__init__(5)
        self.inputs = WHOLE
        self.linear = nn.Linear(2 * 3 * SIZE[0] * SIZE[1], 5)

    def forward(self, *, apex: Tensor, frames: Tensor) -> Output:
        self.check_inputs(apex=apex, frames=frames)
        features = torch.cat([apex, frames[:, 0]], dim=1).flatten(1)
        return Output(self.linear(features), features)


@pytest.fixture(name="store", scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return write_tiny_store(tmp_path_factory.mktemp("bytes") / "samm", tiny_clips(subjects=2))


def as_floats(clips: ClipArrays) -> ClipArrays:
    inputs = {n: as_float(torch.from_numpy(a)).numpy() for n, a in clips.inputs.items()}
    return replace(clips, inputs=inputs)


def test_frames_in_their_size_are_bytes_and_nothing_is_lost(store: ClipStore) -> None:
    data = build_inputs(store, WHOLE, "five")
    clips = join([data])
    for name, array in clips.inputs.items():
        assert array.dtype == np.uint8
        assert torch.equal(as_float(torch.from_numpy(array)), data.inputs[name])
    shrunk = {"apex": replace(WHOLE["apex"], size=(24, 24))}
    assert join([build_inputs(store, shrunk, "five")]).inputs["apex"].dtype == np.float32


def test_one_part_of_bytes_and_one_of_other_numbers(store: ClipStore) -> None:
    data = build_inputs(store, WHOLE, "five")
    other = replace(data, inputs={n: 0.3 * values for n, values in data.inputs.items()})
    joined = join([data, other]).inputs["apex"]
    assert joined.dtype == np.float32
    wanted = torch.cat([data.inputs["apex"], other.inputs["apex"]])
    assert torch.equal(torch.from_numpy(joined), wanted)


@pytest.mark.parametrize("bank", [False, True])
def test_training_on_bytes_is_training_on_their_numbers(store: ClipStore, bank: bool) -> None:
    held = join([build_inputs(store, WHOLE, "five")])
    settings = TrainingSettings(epochs=2, batch_size=4, optimizer={"name": "SGD", "lr": 0.01})
    augment = {"RegionReplacing": {"p": 1.0, "bank": "training"}} if bank else {}
    learned, predicted = [], []
    for clips in (held, as_floats(held)):
        torch.manual_seed(0)
        model = Linear()
        training = Training(model, clips, range(8), settings, augment, CPU)
        training.run(lambda epoch: None)
        learned.append(model.linear.weight)
        predicted.append(training.predict([8, 9]))
    assert torch.equal(*learned)
    assert np.array_equal(*predicted)


def test_still_flow_is_standardised(store: ClipStore) -> None:
    clips = join([build_inputs(store, WHOLE, "five")])
    still = np.zeros((len(clips.clips), 3, *SIZE), np.uint8)
    model = Linear()
    model.inputs = {**WHOLE, "apex": InputSpec("flow_strain", RGB, SIZE, range=None)}
    settings = TrainingSettings(epochs=1, batch_size=4, standardise=True)
    changed = replace(clips, inputs={**clips.inputs, "apex": still})
    training = Training(model, changed, range(8), settings, {}, CPU)
    mean, deviation = training.statistics["apex"]
    assert mean.abs().max() == 0
    assert deviation.min() > 0
