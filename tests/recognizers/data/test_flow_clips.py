"""Sequences of flow as inputs, against the phantom's true flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.clips import Clip
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import to_uint8
from mersynth.store.writer import StoreWriter
from recognizers.data.inputs import build_inputs
from recognizers.models import InputSpec

SIZE = 80
FRAMES = 6  # one more than the inputs have, so that interpolation leaves them as they are


@pytest.fixture(scope="module", name="frown")
def _frown(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipStore, Tensor, Tensor]:
    """A store of one frown; its frames (T, 3, H, W) and the true flow (T, 2, H, W) from frame 0."""
    aus = torch.zeros(FRAMES, 20, 2)
    aus[:, CONDITION_AUS.index(4)] = torch.linspace(0, 0.4, FRAMES)[:, None]
    rendered = PhantomRenderer(PhantomSubject.sample(3), SIZE).render(aus, flow=True)
    assert rendered.flow is not None
    clip = Clip(
        source="phantom",
        subject="1",
        name="frown",
        onset=0,
        apex=FRAMES - 1,
        offset=FRAMES - 1,
        emotion="anger",
    )
    path = tmp_path_factory.mktemp("stores") / "frown"
    header = {"source": "phantom", "licence": "none"}
    with StoreWriter(path, [clip], SIZE, header) as writer:
        writer.add(to_uint8(rendered.frames))
        store = writer.finish()
    return store, rendered.frames, rendered.flow


def build(store: ClipStore, made_of: str, size: int = SIZE) -> Tensor:
    enriched = "strain" in made_of
    channels = ("u", "v", "strain", "grey") if enriched else ("u", "v")
    spec = InputSpec(made_of, channels, (size, size), FRAMES - 1, range=None)
    return build_inputs(store, {"x": spec}, "three").inputs["x"][0]


def check_movement(found: Tensor, true: Tensor) -> None:
    """Flow (2, H, W) is the true one as far as TV-L1, which smooths, can tell."""
    agree = torch.corrcoef(torch.cat([found.flatten(1), true.flatten(1)]))[:2, 2:]
    assert agree[0, 0] > 0.45  # u, by which the brows come together
    assert agree[1, 1] > 0.85  # v, by which they go down
    assert agree[0, 1].abs() < 0.2
    assert agree[1, 0].abs() < 0.2


def test_flow_from_the_onset_is_the_phantom_s(frown: tuple[ClipStore, Tensor, Tensor]) -> None:
    store, _, true = frown
    flow = build(store, "flow_clip")
    assert flow.shape == (FRAMES - 1, 2, SIZE, SIZE)
    for found, wanted in zip(flow[1:], true[2:], strict=True):  # the first step is a tenth of all
        check_movement(found, wanted)
    lengths = flow.norm(dim=1).mean((1, 2))
    assert (lengths.diff() > 0.1 * lengths[0]).all()  # it grows towards the apex


def test_flow_from_the_frame_before_is_the_phantom_s_difference(
    frown: tuple[ClipStore, Tensor, Tensor],
) -> None:
    store, _, true = frown
    flow = build(store, "step_flow_clip")
    torch.testing.assert_close(flow[0], build(store, "flow_clip")[0])
    # Steps are small, so that a step begins close to the onset.
    check_movement(flow.sum(0), true[-1])
    lengths = flow.norm(dim=1).mean((1, 2))
    assert lengths.max() < 1.5 * lengths.min()  # the frown grows evenly


@pytest.mark.parametrize("prefix", ["", "step_"])
def test_strain_and_grey_stand_behind_their_flow(
    frown: tuple[ClipStore, Tensor, Tensor], prefix: str
) -> None:
    store, frames, _ = frown
    stack = build(store, f"{prefix}flow_strain_grey_clip")
    assert torch.equal(stack[:, :2], build(store, f"{prefix}flow_clip"))
    for u, v, strain in stack[:, :3].double().numpy():
        u_y, u_x = np.gradient(u)
        v_y, v_x = np.gradient(v)
        by_hand = np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)
        np.testing.assert_allclose(strain, by_hand, atol=1e-5)
    red, green, blue = frames[1:].unbind(1)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    torch.testing.assert_close(stack[:, 3], grey, atol=3e-3, rtol=0)  # stored in 8 bits


def test_flow_is_resized_but_stays_in_pixels_of_the_store(
    frown: tuple[ClipStore, Tensor, Tensor],
) -> None:
    store, _, _ = frown
    half = F.avg_pool2d(build(store, "flow_clip"), 2)
    torch.testing.assert_close(build(store, "flow_clip", SIZE // 2), half)


def test_the_frames_are_interpolated_once(
    frown: tuple[ClipStore, Tensor, Tensor], tmp_path: Path
) -> None:
    store, _, _ = frown
    for made_of in ("flow_clip", "step_flow_clip", "flow_strain_grey_clip"):
        build(store, made_of)
    assert len(list((store.path / "features").glob("tim-*.npy"))) == 1
