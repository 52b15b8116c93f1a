"""One critic step and one generator step of AU-ICGAN (eq. 9, 10)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mersynth.gan import losses
from mersynth.gan.critics import ImageCritic, ImageVerdict, VideoCritic, VideoVerdict
from mersynth.gan.data import ImageBatch, VideoBatch
from mersynth.gan.forms import make_generator
from mersynth.gan.generator import Fakes, Generated
from mersynth.gan.processes import ALONE, Processes
from mersynth.gan.warm_start import Start, start_from


class TrainingError(Exception):
    """The training cannot continue."""


_FUSED = ("cpu", "cuda")  # devices with a fused Adam
_TINT = (1.03, 1.0, 0.97)  # about the change of light within a clip

Figures = dict[str, Tensor]
"""Figures that a step measured, by name: detached scalars."""


class Trainer:
    """Generator, critics, their optimisers and the moving average of the generator.

    Args:
        config: the resolved training configuration (``configs/train.yaml``).
        num_classes: number of micro-expression classes for the video critic.
        device: where to train, in the precision of ``config``.
        processes: those that train together; batches are this one's share.

    Nothing in a step waits for the device: figures stay on it, and :meth:`check_finite` is asked
    now and then.
    """

    def __init__(
        self,
        config: DictConfig,
        num_classes: int,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        gan = config.gan
        self.config = config
        self.weights = gan.losses
        self.device, self.processes = device, processes
        bare = make_generator(gan.image_size, **gan.generator)
        self.networks: dict[str, nn.Module] = {
            "generator": bare.to(device),
            "image_critic": ImageCritic(gan.image_size, **gan.image_critic).to(device),
            "video_critic": VideoCritic(num_classes, **gan.video_critic).to(device),
        }
        self.average = copy.deepcopy(bare).requires_grad_(False).eval()
        critics = [
            *self.networks["image_critic"].parameters(),
            *self.networks["video_critic"].parameters(),
        ]
        # Fused: one pass over all weights.
        kind: dict[str, Any] = {"betas": tuple(config.betas), "fused": device.type in _FUSED}
        self.optimisers = {
            "generator": torch.optim.Adam(
                self.networks["generator"].parameters(), config.learning_rate, **kind
            ),
            "critics": torch.optim.Adam(critics, config.critic_learning_rate, **kind),
        }
        self._finite = {name: torch.tensor(True, device=device) for name in self.optimisers}

    def start_from(self, source: str) -> Start:
        """Start generator and average from :func:`mersynth.gan.warm_start.start_from`.

        Raises:
            CheckpointError: if it does not fit.
        """
        start = start_from(self.average, source)
        self.networks["generator"].load_state_dict(self.average.state_dict())
        return start

    def set_learning_rate(self, step: int) -> None:
        """Constant, then falling linearly to zero over the last third of the steps."""
        share = min(1.0, 3 * (1 - step / self.config.steps))
        rates = {
            "generator": self.config.learning_rate,
            "critics": self.config.critic_learning_rate,
        }
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = share * rates[name]

    def check_finite(self) -> None:
        """Wait for the device, and see whether every loss so far was a number.

        Call it before anything is saved.

        Raises:
            TrainingError: if one was not.
        """
        for name, finite in self._finite.items():
            if self.processes.mean(finite.float()) < 1:
                raise TrainingError(
                    f"the {name} loss became infinite or NaN: lower learning_rate or the weights "
                    "in gan.losses and train again, with another --out"
                )

    def generate(
        self, images: ImageBatch, video: VideoBatch | None, randomness: torch.Generator
    ) -> Fakes:
        """What the generator makes of a batch, for a critic's step and the generator's."""
        clip = None if video is None else self._generate_clip(video, randomness)
        return Fakes(self._generate(images), clip)

    def critic_step(
        self,
        images: ImageBatch,
        video: VideoBatch | None,
        randomness: torch.Generator,
        fakes: Fakes | None = None,
    ) -> Figures:
        """max_D: the image critic, and with a video batch the video critic too.

        Args:
            images: real and input images.
            video: real clips and curves, or None.
            randomness: draws the points of the gradient penalty, and noise.
            fakes: of these batches; made here if None.
        """
        weights = self.weights
        with torch.no_grad():
            fakes = fakes or self.generate(images, video, randomness)
            fake = self._grained(fakes.images.image, images.noise, randomness)
        start = images.start
        one = slice(None, None, images.each)  # one condition per input: double backward is costly
        real_verdict = self._ask_image(images.truth, start)
        fake_verdict = self._ask_image(fake, start)
        figures = {
            "critic/L_adv": losses.critic_loss(fake_verdict.realness, real_verdict.realness),
            "critic/L_AI": self._intensity_loss(real_verdict, images.truth_aus),
            "critic/penalty": self._penalty(
                "image_critic", images.truth[one], fake[one], randomness, start[one]
            ),
        }
        total = (
            weights.adversarial * figures["critic/L_adv"]
            + weights.adversarial * weights.gradient_penalty * figures["critic/penalty"]
            + weights.au_intensity * figures["critic/L_AI"]
        )
        if video is not None and fakes.clip is not None:
            fake = fakes.clip.detach()
            real_sequence = self._ask_video(video.clip)
            fake_sequence = self._ask_video(fake)
            figures |= {
                "critic/L_sa": losses.critic_loss(fake_sequence.realness, real_sequence.realness),
                "critic/L_ME": losses.micro_expression_loss(real_sequence.expression, video.labels),
                "critic/penalty_sa": self._penalty("video_critic", video.clip, fake, randomness),
            }
            total = (
                total
                + weights.sequence * figures["critic/L_sa"]
                + weights.sequence * weights.gradient_penalty * figures["critic/penalty_sa"]
                + weights.micro_expression * figures["critic/L_ME"]
            )
        self._update("critics", total)
        return {name: value.detach() for name, value in figures.items()}

    def au_reading_step(self, images: ImageBatch) -> Figures:
        """Train the image critic to read AUs from real frames, before the generator uses it."""
        verdict = self._ask_image(images.truth, images.start)
        loss = self._intensity_loss(verdict, images.truth_aus)
        self._update("critics", self.weights.au_intensity * loss)
        return {"critic/L_AI": loss.detach()}

    @torch.no_grad()
    def health(self, images: ImageBatch) -> Figures:
        """Mean intensity that the image critic reads from tinted faces that do not move.

        A critic that mistakes tints for movements teaches the generator to tint.
        """
        start = images.image
        tinted = (start * start.new_tensor(_TINT).view(3, 1, 1)).clamp(0, 1)
        return {"critic/tint": self._ask_image(tinted, start).aus.abs().mean()}

    def true_frame_step(self, images: ImageBatch, step: int) -> Figures:
        """A step with the losses that need no critic: those of truth, mask and motion."""
        weights = self.weights
        out = self._generate(images)
        figures = {
            "L_att": losses.attention_loss(out.mask, weights.attention_smoothness),
            **self._of_truth(out, images),
            **self._of_motion(out, images),
        }
        total = (
            weights.attention * figures["L_att"]
            + weights.ssim * figures["L_SSIM"]
            + weights.true_frame * figures["L_true"]
            + self._weighted_motion(figures)
        )
        return self._learn(figures, total, out, images, step)

    def generator_step(
        self,
        images: ImageBatch,
        video: VideoBatch | None,
        randomness: torch.Generator,
        step: int,
        fakes: Fakes | None = None,
    ) -> Figures:
        """min_G of eq. 9; L_ME and L_sa when there is a video batch.

        Args:
            images: input images.
            video: input clips and curves, or None.
            randomness: draws noise.
            step: counted from 0.
            fakes: of these batches, with their graph; made here if None.
        """
        weights = self.weights
        fakes = fakes or self.generate(images, video, randomness)
        out = fakes.images
        verdict = self._ask_image(self._grained(out.image, images.noise, randomness), images.start)
        some = slice(None, None, weights.consistency_every)
        own = images.image_aus.nan_to_num().repeat_interleave(images.each, 0)[some]
        back = self._make(out.image[some], own, images.target_aus[some].nan_to_num())
        figures = {
            "L_adv": losses.adversarial_loss(verdict.realness),
            "L_c": losses.consistency_loss(back.image, images.start[some]),
            "L_att": losses.attention_loss(out.mask, weights.attention_smoothness)
            + losses.attention_loss(back.mask, weights.attention_smoothness),
            "L_AI": self._intensity_loss(verdict, images.target_aus),
            **self._of_truth(out, images),
            **self._of_motion(out, images),
        }
        total = (
            weights.adversarial * figures["L_adv"]
            + weights.consistency * figures["L_c"]
            + weights.attention * figures["L_att"]
            + weights.au_intensity * figures["L_AI"]
            + weights.ssim * figures["L_SSIM"]
            + weights.true_frame * figures["L_true"]
            + self._weighted_motion(figures)
        )
        if video is not None and fakes.clip is not None:
            sequence = self._ask_video(fakes.clip)
            figures |= {
                "L_ME": losses.micro_expression_loss(sequence.expression, video.curve_labels),
                "L_sa": losses.adversarial_loss(sequence.realness),
            }
            total = (
                total
                + weights.micro_expression * figures["L_ME"]
                + weights.sequence * figures["L_sa"]
            )
        return self._learn(figures, total, out, images, step)

    def _learn(
        self,
        figures: dict[str, Tensor],
        total: Tensor,
        out: Generated,
        images: ImageBatch,
        step: int,
    ) -> Figures:
        self._update("generator", total)
        self._update_average(step)
        moved, true = ((x - images.start).abs().mean() for x in (out.image, images.truth))
        figures |= {"total": total, "mask/mean": out.mask.mean(), "mask/std": out.mask.std()}
        figures["moved"] = moved / true.clamp(min=1e-6)
        return {name: value.detach() for name, value in figures.items()}

    def _intensity_loss(self, verdict: ImageVerdict, wanted: Tensor) -> Tensor:
        return losses.au_intensity_loss(verdict.aus, wanted, self.processes.divisor)

    def _of_motion(self, out: Generated, images: ImageBatch) -> dict[str, Tensor]:
        """Losses of the form with motion; none for the form that only paints."""
        if out.motion is None:
            return {}
        divisor, truth = self.processes.divisor, images.truth
        return {
            "L_paint": losses.painting_loss(out.mask),
            "L_mo": losses.motion_loss(out.motion),
            "L_col": losses.colour_loss(out.colour, out.image, truth, images.own, divisor),
            "L_flow": losses.flow_loss(out.motion, images.flow, images.own, divisor),
        }

    def _weighted_motion(self, figures: Figures) -> Tensor | float:
        if "L_mo" not in figures:
            return 0.0
        weights = self.weights
        return (
            weights.painting * figures["L_paint"]
            + weights.motion * figures["L_mo"]
            + weights.colour * figures["L_col"]
            + weights.flow * figures["L_flow"]
        )

    def _of_truth(self, out: Generated, images: ImageBatch) -> dict[str, Tensor]:
        start, divisor = images.start, self.processes.divisor
        true = losses.true_frame_loss(out.image, images.truth, images.own, start, divisor)
        figures = {"L_true": true}
        if self.weights.ssim_target == "input":
            return figures | {"L_SSIM": losses.ssim_loss(out.image, start)}
        relative = start if self.weights.ssim_relative else None
        ssim = losses.ssim_loss(out.image, images.truth, images.own, relative, divisor)
        return figures | {"L_SSIM": ssim}

    def _generate(self, images: ImageBatch) -> Generated:
        own = images.image_aus.nan_to_num().repeat_interleave(images.each, 0)
        return self._make(images.image, images.target_aus.nan_to_num(), own)

    def _generate_clip(self, video: VideoBatch, randomness: torch.Generator) -> Tensor:
        batch, frames = video.curves.shape[:2]
        own = video.curves[:, :1].expand_as(video.curves)
        made = self._make(video.clip[:, 0], video.curves.flatten(0, 1), own.flatten(0, 1))
        # Every frame but the first, the input, differs from it by camera noise.
        noise = video.noise[:, None] * (torch.arange(frames, device=video.noise.device) > 0)
        grained = self._grained(made.image, noise.flatten(), randomness)
        return grained.unflatten(0, (batch, frames))  # (B, K, 3, H, W)

    def _make(self, image: Tensor, target: Tensor, own: Tensor) -> Generated:
        return self._run("generator", image, target, own)

    def _ask_image(self, image: Tensor, start: Tensor) -> ImageVerdict:
        return self._run("image_critic", image, start)

    def _ask_video(self, clip: Tensor) -> VideoVerdict:
        return self._run("video_critic", clip)

    def _run(self, name: str, *inputs: Tensor) -> Any:
        """A network's named outputs in float32, computed in the run's precision."""
        mixed = self.config.precision == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            out = self.networks[name](*inputs)
        return type(out)(*(value if value is None else value.float() for value in out))

    def _penalty(
        self, critic: str, real: Tensor, fake: Tensor, randomness: torch.Generator, *beside: Tensor
    ) -> Tensor:
        # A double backward needs full precision.
        mix = self._draw(torch.rand, (len(real),), randomness).to(real)
        module = self.networks[critic]
        with torch.autocast(real.device.type, enabled=False):
            return losses.gradient_penalty(
                lambda x: module(x, *beside).realness, real.float(), fake.float(), mix
            )

    def _update(self, name: str, total: Tensor) -> None:
        self._finite[name] &= total.detach().isfinite()
        optimiser = self.optimisers[name]
        optimiser.zero_grad()
        # Only for this network: the generator's loss also passes through the critics.
        weights = [p for group in optimiser.param_groups for p in group["params"]]
        total.backward(inputs=weights)
        self.processes.average_gradients(weights)
        optimiser.step()

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        # In the first steps a long average would mainly hold the initialisation.
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        kept, new = (list(m.parameters()) for m in (self.average, self.networks["generator"]))
        get_ema_multi_avg_fn(decay)(kept, new, None)

    def _grained(self, frames: Tensor, noise: Tensor, randomness: torch.Generator) -> Tensor:
        """Add camera noise to frames (B, 3, H, W) made from one frame.

        A generator copies the first frame's noise, which then cancels in the magnified differences
        of frames: from that alone a critic could tell generated from real frames.
        """
        grain = self._draw(torch.randn, tuple(frames.shape), randomness).to(frames)
        return frames + 2**0.5 * noise.view(-1, 1, 1, 1) * grain

    def _draw(
        self, draw: Callable[..., Tensor], shape: tuple[int, ...], randomness: torch.Generator
    ) -> Tensor:
        """This process's share of numbers drawn for all, on the device of ``randomness``."""
        whole = (self.processes.count * shape[0], *shape[1:])
        numbers = draw(whole, generator=randomness, device=randomness.device)
        return self.processes.share(numbers)
