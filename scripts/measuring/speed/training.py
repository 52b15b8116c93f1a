"""How fast AU-ICGAN trains with all seven losses."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from measuring.speed.comparison import Comparison, Work
from mersynth.curves import ConditionSettings
from mersynth.devices import choose_precision
from mersynth.gan import losses
from mersynth.gan.batches import Batches
from mersynth.gan.critics import ImageCritic, VideoCritic
from mersynth.gan.data import ImageBatch, TrainingClips, VideoBatch, draw_image_batch
from mersynth.gan.forms import make_generator
from mersynth.gan.processes import ALONE
from mersynth.gan.run import train_step
from mersynth.gan.settings import load_settings
from mersynth.gan.trainer import Trainer
from mersynth.phantom.population import write_store

WANTED = {"cpu": 2.0, "cuda": 6.0}
STEPS = {"cpu": 1, "cuda": 10}


def comparisons(quick: bool, device: torch.device) -> Iterator[Comparison]:
    """Whole steps: five critic steps and one of the generator, whose images are counted."""
    form = "tiny" if quick else {"cpu": "small"}.get(device.type, "au_icgan")
    config = load_settings([f"gan={form}", f"device={device}"])
    if quick:
        config.batch_size = 4
    config.precision = choose_precision("auto", device)
    with tempfile.TemporaryDirectory() as folder:
        clips = _clips(Path(folder), config)
        plain, trainer = _Plain(config, clips, device), _trainer(config, clips, device)
        steps = STEPS[device.type]
        images = steps * config.batch_size
        batches = Batches([(clips, config.batch_size)], config, 0, device, ALONE)
        numbers = itertools.count()

        def ours() -> None:
            first = next(numbers) * steps
            for drawn in batches.ahead(range(first, first + steps)):
                train_step(trainer, drawn, [batches.to_device(each) for each in drawn.batches])
            trainer.check_finite()

        def scale() -> None:
            for _ in range(steps):
                plain.step()

        yield Comparison(
            f"AU-ICGAN training, {form}",
            "image",
            Work("plain steps", scale, images),
            [Work("mersynth train", ours, images)],
            WANTED[device.type],
        )


def _clips(folder: Path, config: DictConfig) -> TrainingClips:
    counts = {"anger": 2, "happiness": 2}
    size = config.gan.image_size
    store = write_store(folder / "s", image_size=size, subjects=2, counts=counts, max_frames=6)
    return TrainingClips(store, ConditionSettings(**config.conditions))


def _trainer(config: DictConfig, clips: TrainingClips, device: torch.device) -> Trainer:
    torch.manual_seed(0)
    return Trainer(config, len(clips.emotions), device)


class _Plain:
    """The usual loop: float32, one optimiser a network, a forward pass wherever one is needed.

    Critic and penalty are separate passes, each of fakes of its own, and the generator's is a third
    one; every loss is read with ``item``.
    """

    def __init__(self, config: DictConfig, clips: TrainingClips, device: torch.device) -> None:
        gan = config.gan
        self.config, self.clips, self.device = config, clips, device
        self.rng = np.random.default_rng(0)
        torch.manual_seed(0)
        self.generator = make_generator(gan.image_size, **gan.generator).to(device)
        self.image_critic = ImageCritic(gan.image_size, **gan.image_critic)
        self.video_critic = VideoCritic(len(clips.emotions), **gan.video_critic)
        for critic in (self.image_critic, self.video_critic):
            _with_usual_relus(critic.to(device))
        networks = (self.generator, self.image_critic, self.video_critic)
        self.optimisers = [torch.optim.Adam(n.parameters(), 1e-4, (0.5, 0.999)) for n in networks]
        self.average = [p.detach().clone() for p in self.generator.parameters()]

    def step(self) -> list[float]:
        """Five critic steps and one of the generator."""
        logged = []
        for _ in range(self.config.critic_steps):
            logged += self._critics(*self._draw())
        logged += self._generator(*self._draw())
        for kept, new in zip(self.average, self.generator.parameters(), strict=True):
            kept.lerp_(new.detach(), 1e-3)
        return logged

    def _draw(self) -> tuple[ImageBatch, VideoBatch]:
        config, gan = self.config, self.config.gan
        sets = [(self.clips, config.batch_size)]
        images = draw_image_batch(sets, self.rng, config.own_share, config.condition_noise)
        video = self.clips.video_batch(self.rng, config.video_batch_size, gan.num_frames)
        return images.map(lambda x: x.to(self.device)), video.map(lambda x: x.to(self.device))

    def _make(self, image: Tensor, aus: Tensor) -> tuple[Tensor, Tensor]:
        """The paper's generator: face and tiled intensities joined, through trunk and heads."""
        generator, signed = self.generator, 2 * image - 1
        left, right = aus.nan_to_num()[..., None, None].unbind(2)
        half = torch.arange(image.shape[-1], device=self.device) >= image.shape[-1] / 2
        tile = torch.where(half, left, right).expand(-1, -1, image.shape[-2], -1)
        features = generator.trunk(torch.cat([signed, tile], 1))
        colour, mask = generator.heads(features).split([3, 1], 1)
        colour, mask = (torch.tanh(colour) + 1) / 2, torch.sigmoid(mask)
        return mask * image + (1 - mask) * colour, mask

    def _clip(self, video: VideoBatch) -> Tensor:
        each = video.curves.shape[1]
        start = video.clip[:, 0].repeat_interleave(each, 0)
        return self._make(start, video.curves.flatten(0, 1))[0].unflatten(0, (-1, each))

    def _critics(self, images: ImageBatch, video: VideoBatch) -> list[float]:
        weights, start = self.config.gan.losses, images.start
        with torch.no_grad():
            fake, clip = self._make(start, images.target_aus)[0], self._clip(video)
        real_verdict, fake_verdict = (
            self.image_critic(each, start) for each in (images.truth, fake)
        )
        real_sequence, fake_sequence = (self.video_critic(each) for each in (video.clip, clip))
        parts = [
            losses.critic_loss(fake_verdict.realness, real_verdict.realness),
            weights.au_intensity * losses.au_intensity_loss(real_verdict.aus, images.truth_aus),
            losses.critic_loss(fake_sequence.realness, real_sequence.realness),
            losses.micro_expression_loss(real_sequence.expression, video.labels),
        ]
        with torch.no_grad():
            fake, clip = self._make(start, images.target_aus)[0], self._clip(video)
        mixes = [torch.rand(len(x), device=self.device) for x in (fake, clip)]
        parts += [
            weights.gradient_penalty * losses.gradient_penalty(realness, real, made, mix)
            for realness, real, made, mix in (
                (lambda x: self.image_critic(x, start).realness, images.truth, fake, mixes[0]),
                (lambda x: self.video_critic(x).realness, video.clip, clip, mixes[1]),
            )
        ]
        return self._update(parts, self.optimisers[1:])

    def _generator(self, images: ImageBatch, video: VideoBatch) -> list[float]:
        weights, start = self.config.gan.losses, images.start
        made, mask = self._make(start, images.target_aus)
        verdict, some = self.image_critic(made, start), slice(None, None, weights.consistency_every)
        back, _ = self._make(made[some], images.image_aus[some])
        sequence = self.video_critic(self._clip(video))
        parts = [
            losses.adversarial_loss(verdict.realness),
            weights.consistency * F.l1_loss(back, start[some]),
            weights.attention * losses.attention_loss(mask, weights.attention_smoothness),
            weights.au_intensity * losses.au_intensity_loss(verdict.aus, images.target_aus),
            weights.ssim * losses.ssim_loss(made, images.truth, images.own),
            losses.micro_expression_loss(sequence.expression, video.curve_labels),
            losses.adversarial_loss(sequence.realness),
        ]
        return self._update(parts, self.optimisers[:1])

    def _update(self, parts: list[Tensor], optimisers: list[torch.optim.Optimizer]) -> list[float]:
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        torch.stack(parts).sum().backward()
        for optimiser in optimisers:
            optimiser.step()
        return [part.item() for part in parts]


def _with_usual_relus(critic: ImageCritic | VideoCritic) -> None:
    for i in range(1, len(critic.main), 2):
        critic.main[i] = torch.nn.LeakyReLU(0.01)
