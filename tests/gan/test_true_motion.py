"""True motion: it agrees with the frames, and is batched together with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mersynth.curves import ConditionSettings
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.data import TrainingClips, draw_image_batch
from mersynth.gan.losses import RESTING_MOTION, flow_loss
from mersynth.gan.true_motion import FILE, SIZE, load_true_motion, save_true_motion, where_from
from mersynth.motion.warp import warp
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject
from mersynth.store.clip_store import StoreError
from tests.tiny_store import tiny_clips, write_tiny_store


def test_frames_come_from_where_it_says() -> None:
    aus = torch.zeros(3, len(CONDITION_AUS), 2)
    aus[1, CONDITION_AUS.index(12)] = 1
    aus[2, CONDITION_AUS.index(4)] = 1
    rendered = PhantomRenderer(PhantomSubject.sample(3), 96).render(
        aus, torch.zeros(3, 5), flow=True
    )
    assert rendered.flow is not None
    fields = torch.from_numpy(where_from(rendered.flow)).float()
    assert fields.shape == (3, 2, SIZE, SIZE)
    assert not fields[0].any()
    large = 96 * F.interpolate(fields, (96, 96), mode="bilinear")
    start = rendered.frames[:1].expand(3, -1, -1, -1)
    off = (warp(start, large) - rendered.frames).abs().mean((1, 2, 3))
    unmoved = (start - rendered.frames).abs().mean((1, 2, 3))
    assert (off[1:] < 0.8 * unmoved[1:]).all()


def test_pairs_from_the_first_frame_have_it(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)
    assert load_true_motion(store) is None
    fields = np.zeros((len(store.frames), 2, SIZE, SIZE), np.float16)
    fields[:] = np.arange(len(store.frames))[:, None, None, None] / 1000
    ends = np.cumsum([clip.num_frames for clip in store.clips])[:-1]
    save_true_motion(store, np.split(fields, ends))
    people = store.filter(lambda clip: clip.subject_id != store.clips[0].subject_id)
    clips = TrainingClips(people, ConditionSettings())
    rng = np.random.default_rng(0)
    batch = draw_image_batch([(clips, 40)], rng, own_share=1.0, noise=0.0, each=2)
    known = ~batch.flow.flatten(1).isnan().any(1)
    assert 20 < known.sum() < 60
    number = (1000 * batch.flow[:, 0, 0, 0]).round()
    frames = torch.tensor(store.frames).permute(0, 3, 1, 2).float() / 255
    for i in known.nonzero().flatten().tolist():
        torch.testing.assert_close(batch.truth[i], frames[int(number[i])])


@pytest.mark.parametrize("content", [b"rubbish", None])
def test_a_file_of_other_frames_is_refused(tmp_path: Path, content: bytes | None) -> None:
    store = write_tiny_store(tmp_path / "s", tiny_clips(subjects=1))
    if content is None:
        save_true_motion(store, [np.zeros((3, 2, SIZE, SIZE), np.float16)])
    else:
        (store.path / FILE).write_bytes(content)
    with pytest.raises(StoreError, match=r"true_motion.npy .*remove it"):
        load_true_motion(store)


def test_the_loss_is_the_share_of_motion_that_is_missed() -> None:
    flow = torch.full((3, 2, 8, 8), 0.01)
    flow[2] = torch.nan
    motion = 16 * flow.nan_to_num(9.0).repeat_interleave(2, 2).repeat_interleave(2, 3)
    every = torch.tensor([True, True, True])
    assert flow_loss(motion, flow, every) == pytest.approx(0, abs=1e-6)
    whole = 0.01 / (0.01 + RESTING_MOTION)
    assert flow_loss(0 * motion, flow, every) == pytest.approx(whole)
    assert flow_loss(motion * 0.5, flow, every[[0]].expand(3)) == pytest.approx(0.5 * whole)
    assert flow_loss(0 * motion, flow, ~every) == 0
    flow[:, :, :4] = torch.nan  # places that are not known count nothing
    motion[..., :8, :] = 7.0
    assert flow_loss(motion, flow, every) == pytest.approx(0, abs=1e-6)
    assert flow_loss(0 * motion, flow, every) == pytest.approx(whole)
