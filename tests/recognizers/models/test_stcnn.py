"""Tests of MicroExpSTCNN, and of the grey clips that it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recognizers
from recognizers.data.inputs import build_inputs
from recognizers.models.stcnn import STCNN
from tests.recognizers.models.handful import (
    LABELS,
    grey,
    memorise,
    model_config,
    phantom_clips,
)
from tests.tiny_store import write_tiny_store


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tiny(num_classes: int = 3, **options: Any) -> STCNN:
    options = {**model_config("stcnn_tiny")["options"], **options}
    model = recognizers.create_model("stcnn", num_classes, **options)
    assert isinstance(model, STCNN)
    return model


@pytest.mark.parametrize(("frames", "left"), [(18, 1), (96, 27)])
def test_the_layers_are_as_large_as_the_paper_s(frames: int, left: int) -> None:
    """62 x 62 pixels and T - 14 frames behind the convolution, a third of each behind the pool."""
    model = STCNN(3, num_frames=frames)
    assert model.convolution.weight.shape == (32, 1, 15, 3, 3)
    joined = 32 * left * 20 * 20
    wanted = 32 * 15 * 9 + 32 + joined * 128 + 128 + 128 * 3 + 3
    assert sum(p.numel() for p in model.parameters()) == wanted
    assert model.dense.weight.detach().std().item() == pytest.approx(0.05, rel=0.01)
    bound = (6 / (15 * 9 * (1 + 32))) ** 0.5  # Glorot and Bengio's
    assert float(model.convolution.weight.detach().abs().max()) == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize("subtract_onset", [False, True])
def test_forward_is_the_chain_by_loops(subtract_onset: bool) -> None:
    model = tiny(4, image_size=8, num_frames=19, filters=2, subtract_onset=subtract_onset).eval()
    clip = torch.rand(2, 19, 1, 8, 8)
    weight, bias = (p.detach().numpy() for p in model.convolution.parameters())
    frames = clip[:, :, 0].double().numpy()
    x = frames - frames[:, :1] if subtract_onset else 2 * frames - 1
    maps = np.zeros((2, 2, 5, 6, 6))
    for f, t, i, j in np.ndindex(2, 5, 6, 6):
        window = x[:, t : t + 15, i : i + 3, j : j + 3]
        maps[:, f, t, i, j] = (window * weight[f, 0]).sum((1, 2, 3)) + bias[f]
    maps = np.maximum(maps, 0)
    pooled = np.zeros((2, 2, 1, 2, 2))  # of 5 frames the last two are left over
    for i, j in np.ndindex(2, 2):
        window = maps[:, :, :3, 3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
        pooled[:, :, 0, i, j] = window.max((2, 3, 4))
    dense, classes = model.dense, model.classifier
    flat = torch.from_numpy(pooled.reshape(2, -1)).float()
    features = torch.relu(flat @ dense.weight.T + dense.bias)
    output = model(clip=clip)
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(output.logits, features @ classes.weight.T + classes.bias)


def test_dropout_is_where_the_paper_has_it() -> None:
    """Half of what comes from the pooling, and half of what the classifier reads."""
    model = tiny(dropout=0.5)
    read = {}
    for name in ("dense", "classifier"):
        hook = lambda module, inputs, name=name: read.update({name: inputs[0]})  # noqa: E731
        getattr(model, name).register_forward_pre_hook(hook)
    clip = torch.rand(40, 18, 1, 32, 32)
    model(clip=clip)
    lost = {name: float((x == 0).float().mean()) for name, x in read.items()}
    model.eval()(clip=clip)
    silent = {name: float((x == 0).float().mean()) for name, x in read.items()}  # by ReLU
    for name in ("dense", "classifier"):
        assert lost[name] == pytest.approx(0.5 + silent[name] / 2, abs=0.05), name


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    clip = grey(phantom_clips(32, 18))
    assert memorise(tiny(), {"clip": clip}, steps=400, lr=2e-3) == LABELS.tolist()


def test_the_smallest_clip_leaves_something() -> None:
    model = tiny(image_size=5, num_frames=17)
    assert model(clip=torch.rand(1, 17, 1, 5, 5)).logits.shape == (1, 3)
    with pytest.raises(ValueError, match=r"\(grey_clip: grey\) must be .* got \(1, 17, 3, 5, 5\)"):
        model(clip=torch.rand(1, 17, 3, 5, 5))


def test_grey_clips_are_the_luma_of_the_nearest_frames(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store")
    data = build_inputs(store, tiny(image_size=8).inputs, "three")
    clip = data.inputs["clip"]
    assert clip.shape == (20, 18, 1, 8, 8)  # of 5 emotions, "other" has no class
    row = {clip.id: i for i, clip in enumerate(store.clips)}
    steps = [round(5 * i / 17) for i in range(18)]  # 6 frames
    for i, one in enumerate(data.clips):
        red, green, blue = np.moveaxis(store[row[one.id]].frames[steps] / 255, -1, 0)
        by_hand = 0.299 * red + 0.587 * green + 0.114 * blue
        pooled = by_hand.reshape(18, 8, 4, 8, 4).mean((2, 4))
        np.testing.assert_allclose(clip[i, :, 0], pooled, atol=1e-6)
