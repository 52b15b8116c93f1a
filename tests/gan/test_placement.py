"""The steps of a training, and generating, on another device give what they give on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mersynth.clips import Clip
from mersynth.face.template import HEAD
from mersynth.gan.checkpoint import SHIPPED
from mersynth.gan.data import ImageBatch, VideoBatch
from mersynth.gan.settings import load_settings
from mersynth.gan.trainer import Trainer
from mersynth.store.clip_store import StoredClip
from mersynth.synthesis.generators import ClipGenerator, IcganGenerator
from mersynth.synthesis.warp_generator import WarpGenerator
from tests.pretend_device import DEVICE, pretend_device

CPU = torch.device("cpu")
FACES, EACH, FRAMES, SIDE = 2, 2, 4, 32
of_both_forms = pytest.mark.parametrize("gan", ["tiny", "tiny_motion"])


def batches() -> tuple[ImageBatch, VideoBatch]:
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    every = FACES * EACH
    images = ImageBatch(
        image=rand(FACES, 3, SIDE, SIDE),
        image_aus=rand(FACES, 20, 2),
        truth=rand(every, 3, SIDE, SIDE),
        truth_aus=rand(every, 20, 2),
        target_aus=rand(every, 20, 2),
        own=torch.tensor([True, True, False, False]),
        noise=rand(every) / 100,
        flow=rand(every, 2, 48, 48) / 10,
    )
    video = VideoBatch(
        clip=rand(FACES, FRAMES, 3, SIDE, SIDE),
        labels=torch.arange(FACES),
        curves=rand(FACES, FRAMES, 20, 2),
        curve_labels=torch.arange(FACES).flip(0),
        noise=rand(FACES) / 100,
    )
    return images, video


def steps(gan: str, device: torch.device) -> tuple[Trainer, list[dict[str, torch.Tensor]]]:
    """One step of each kind, with all losses."""
    overrides = [f"gan={gan}", f"conditions_each={EACH}", "precision=32-true"]
    overrides += ["gan.losses.true_frame=1", "gan.losses.ssim_relative=true"]
    torch.manual_seed(0)
    trainer = Trainer(load_settings(overrides), num_classes=FACES, device=device)
    images, video = (batch.map(lambda value: value.to(device)) for batch in batches())
    randomness = torch.Generator().manual_seed(0)
    return trainer, [
        trainer.au_reading_step(images),
        trainer.true_frame_step(images, 0),
        trainer.critic_step(images, video, randomness),
        trainer.generator_step(images, video, randomness, 1),
        trainer.health(images),
    ]


@pytest.mark.slow
@of_both_forms
def test_training_steps(gan: str, elsewhere: torch.device) -> None:
    trainer, found = steps(gan, elsewhere)
    _, wanted = steps(gan, CPU)
    parts = [*trainer.networks.values(), trainer.average]
    assert all(p.device == elsewhere for part in parts for p in part.parameters())
    for there, here in zip(found, wanted, strict=True):
        assert there.keys() == here.keys()
        for name, value in there.items():
            assert value.device == elsewhere, name
            # Adam's first steps are as long for a gradient of rounding errors as for any other.
            torch.testing.assert_close(value.cpu(), here[name], rtol=1e-2, atol=1e-3, msg=name)


def test_a_step_does_not_wait_for_the_device() -> None:
    with pretend_device() as device:
        steps("tiny_motion", DEVICE)
    assert device.waits == []


@pytest.mark.parametrize("make", [lambda: IcganGenerator(SHIPPED), WarpGenerator])
def test_generating(make: Callable[[], ClipGenerator], elsewhere: torch.device) -> None:
    rng, side = np.random.default_rng(0), 48
    face = StoredClip(
        clip=Clip(
            source="samm",
            subject="006",
            name="a",
            onset=0,
            apex=1,
            offset=2,
            emotion="anger",
            aus="4+7",
        ),
        frames=rng.integers(0, 256, (3, side, side, 3), dtype=np.uint8),
        intensities=np.zeros((3, 20, 2), np.float32),
        landmarks=HEAD.landmarks(side, side)[None].repeat(3, 0).astype(np.float32),
    )
    curves = rng.uniform(0, 0.5, (1, 3, 20, 2)).astype(np.float32)
    curves[:, 0] = 0
    made = []
    for device in (CPU, elsewhere):
        generator = make()
        generator.load(side, device)
        made.append((generator.animate([face], curves), *generator.show(face, curves[0], 2)))
    for here, there in zip(*made, strict=True):
        assert there.device == elsewhere
        assert (there.cpu() - here).abs().mean() < 1e-3
