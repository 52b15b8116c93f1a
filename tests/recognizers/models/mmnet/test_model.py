"""MMNet as a whole: its shapes, its ablations, the frames that it trains on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from mersynth.phantom.population import clip_specs
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter
from recognizers.data.inputs import build_inputs
from recognizers.models import InputSpec, create_model
from recognizers.models.imagenet import STD
from recognizers.models.mmnet import MMNet
from recognizers.models.mmnet.layers import CABlock
from tests.recognizers.models.handful import LABELS, memorise, model_config, phantom_clips

RGB = ("red", "green", "blue")


def tiny(num_classes: int = 3, **options: Any) -> MMNet:
    torch.manual_seed(0)
    model = create_model(
        "mmnet", num_classes, **{**model_config("mmnet_tiny")["options"], **options}
    )
    assert isinstance(model, MMNet)
    return model


def windows(count: int = 6, size: int = 32) -> dict[str, Tensor]:
    """Onset and apex, four frames each, (B, 4, 3, size, size)."""
    generator = torch.Generator().manual_seed(3)
    shape = (count, 4, 3, size, size)
    return {name: torch.rand(shape, generator=generator) for name in ("onset", "apex")}


@torch.no_grad()
def test_shapes_of_the_paper() -> None:
    model = create_model("mmnet", 5, training_frames="annotated").eval()
    onset, apex = torch.rand(2, 1, 3, 224, 224)
    output = model(onset=onset, apex=apex)
    assert output.logits.shape == (1, 5)
    sizes = {name: tuple(value.shape[-2:]) for name, value in output.extras.items()}
    sides = (112, 56, 28, 14)
    assert sizes == {f"attention_{i}": (s, s) for i, s in enumerate(sides, start=1)}
    # Each map is the one before, pooled, times what lies in [0, 1].
    for number in range(2, 5):
        prior = F.max_pool2d(output.extras[f"attention_{number - 1}"], 3, 2, 1)
        assert (output.extras[f"attention_{number}"] <= prior).all()


@torch.no_grad()
def test_the_pc_module_adds_where_the_onset_shows_a_face() -> None:
    """The main branch sees only a difference: what onset and apex share comes from positions."""
    onset, apex = (0.5 * windows()[name] for name in ("onset", "apex"))
    without = tiny(pc_module=False).eval()
    assert without.pc_module is None
    lighter = without(onset=onset + 0.25, apex=apex + 0.25).logits
    assert_close(without(onset=onset, apex=apex).logits, lighter, rtol=1e-4, atol=1e-5)
    with_positions = tiny().eval()
    lighter = with_positions(onset=onset + 0.25, apex=apex + 0.25).logits
    assert not torch.allclose(with_positions(onset=onset, apex=apex).logits, lighter, atol=1e-3)


@torch.no_grad()
def test_independent_maps_do_not_depend_on_the_one_before() -> None:
    inputs = windows()
    shut: dict[str, Tensor] = {}
    for blocks in ("continuous", "independent"):
        model = tiny(blocks=blocks).eval()
        first = model.blocks[0]
        assert isinstance(first, CABlock)
        nn.init.constant_(first.attention[1].bias, -50)  # the first block sees nothing at all
        shut[blocks] = model(**inputs).extras["attention_2"]
    assert shut["continuous"].max() < 1e-6
    assert shut["independent"].min() > 1e-3
    assert tiny(blocks="residual").eval()(**inputs).extras == {}


@torch.no_grad()
def test_training_draws_one_of_the_frames_evaluation_takes_the_annotated_one() -> None:
    model = tiny().eval()
    inputs = windows()
    for name in inputs:  # what distinguishes the frames of a window is how bright they are
        inputs[name] = (torch.arange(4.0) / 4)[None, :, None, None, None].expand(6, 4, 3, 32, 32)
    annotated = {name: frames[:, :1].expand_as(frames) for name, frames in inputs.items()}
    assert_close(model(**inputs).logits, model(**annotated).logits)

    seen: list[Tensor] = []
    hook = model.stem.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.train()
    torch.manual_seed(5)
    for _ in range(200):
        model(**inputs)
    torch.manual_seed(5)
    model(**inputs)
    hook.remove()
    assert_close(seen[-1], seen[0], rtol=0, atol=0)
    red = torch.stack(seen[:-1])[:, :, 0, 5, 5] * STD[0] * 4  # how many frames apart, -3 ... 3
    shares = torch.bincount(red.round().long().flatten() + 3, minlength=7) / red.numel()
    # Two independent draws of four: a triangle.
    assert_close(shares, torch.tensor([1.0, 2, 3, 4, 3, 2, 1]) / 16, atol=0.05, rtol=0)


def stored(path: Path, apexes: list[int], num_frames: int) -> ClipStore:
    """Clips whose frames' grey level is their number."""
    spec = clip_specs(subjects=1, counts={"anger": 1})[0]
    clips = [
        replace(spec.clip, name=f"c{i}", onset=0, apex=apex, offset=num_frames - 1)
        for i, apex in enumerate(apexes)
    ]
    frames = np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    frames = np.broadcast_to(frames, (num_frames, 16, 16, 3)).copy()
    unknown = (np.full((num_frames, 20), np.nan, np.float32),)
    marks = np.full((num_frames, 68, 2), np.nan, np.float32)
    with StoreWriter(path, clips, 16, {"source": "phantom", "licence": "none"}) as writer:
        for _ in clips:
            writer.add(frames, *unknown, marks)
        return writer.finish()


def test_which_frames_are_near(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [20, 2, 5, 0, 110, 199], 200)
    specs = {
        name: InputSpec(name, RGB, (16, 16), 4)
        for name in (
            "near_onset",
            "near_apex",
            "near_onset_published",
            "near_apex_published",
        )
    }
    data = build_inputs(store, specs, "three")
    places = {
        name: (value[:, :, 0, 0, 0] * 255).round().int().tolist()
        for name, value in data.inputs.items()
    }
    assert places["near_onset"] == [
        [0, 1, 2, 3],
        [0, 0, 0, 0],  # frame 1 is as near to the apex
        [0, 1, 2, 0],
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [0, 1, 2, 3],
    ]
    assert places["near_apex"] == [
        [20, 19, 21, 18],
        [2, 3, 4, 5],
        [5, 4, 6, 3],
        [0, 1, 2, 3],
        [110, 109, 111, 108],
        [199, 198, 197, 196],
    ]
    # int(0.15 * distance / 4): 0, 0, 0, 0, 4, 7, of which four are spread out
    assert places["near_onset_published"][:4] == [[0] * 4] * 4
    assert places["near_onset_published"][4:] == [[0, 1, 3, 4], [0, 2, 5, 7]]
    assert places["near_apex_published"][0] == [20] * 4
    assert places["near_apex_published"][4:] == [[110, 109, 107, 106], [199, 197, 194, 192]]


def test_inputs_of_a_store_go_into_the_model(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [20, 7], 40)
    for training_frames, shape in (("paper", (2, 4, 3, 32, 32)), ("annotated", (2, 3, 32, 32))):
        model = tiny(training_frames=training_frames)
        data = build_inputs(store, model.inputs, "three")
        assert data.inputs["apex"].shape == shape
        assert model(**data.inputs).logits.shape == (2, 3)


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    clips = phantom_clips(32, 9)
    inputs = {"onset": clips[:, [0, 1, 0, 1]], "apex": clips[:, [4, 3, 5, 3]]}
    lr = model_config("mmnet_tiny")["training"]["optimizer"]["lr"]
    assert memorise(tiny(), inputs, 200, lr) == LABELS.tolist()
