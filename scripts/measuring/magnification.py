"""Accuracy of magnification: obtained over wanted motion, and similarity to the rendered truth.

Phantom faces show an expression of AU intensities a, and the same at ``alpha * a``: what a
magnifier makes of the former is compared with the latter. The image motion is linear in the
intensities, the light on the skin nearly so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pytorch_msssim import ssim
from torch import Tensor

from mersynth import logs
from mersynth.motion.flow import dis
from mersynth.motion.magnify.evm import eulerian_pair
from mersynth.motion.magnify.magnet import MagNet
from mersynth.motion.magnify.phantom_pairs import draw_peak
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject

#: (onset, apex, alpha) to the magnified apex, all (B, 3, H, W) in [0, 1].
Magnifier = Callable[[Tensor, Tensor, float], Tensor]
#: (first, second), both (B, 3, H, W), to the flow (B, 2, H, W): x, y in pixels.
FlowMethod = Callable[[Tensor, Tensor], Tensor]

#: Phantom subjects that no shipped weights were trained on.
FIRST_SUBJECT = 6000
ALPHAS = (2.0, 4.0, 6.0, 10.0)
#: A pixel belongs to the moved region if the true motion there is above this share of its maximum.
_REGION_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Magnification:
    """The results of one magnifier for one alpha; means over the pairs.

    Attributes:
        magnifier: its name.
        alpha: motion wanted over true motion.
        motion: obtained motion over wanted motion in the moved region, 1 at best: the flow's
            component along the true motion, summed, over the sum of what was wanted.
        motion_of_truth: the same of the rendered truth, that is, what the flow method sees.
        ssim: structural similarity with the rendered truth, whole frame.
        ssim_moved: the same, within the bounding box of the moved region.
        pixels: mean true motion of the moved region in the input, in pixels.
    """

    magnifier: str
    alpha: float
    motion: float
    motion_of_truth: float
    ssim: float
    ssim_moved: float
    pixels: float


def magnifiers(model: MagNet) -> dict[str, Magnifier]:
    """The magnifiers of this package by name, and none at all as the baseline."""
    return {
        "none": lambda onset, apex, alpha: apex,
        "eulerian": eulerian_pair,
        "magnet": model,
    }


@torch.inference_mode()
def measure_magnification(
    candidates: Mapping[str, Magnifier],
    *,
    alphas: Sequence[float] = ALPHAS,
    subjects: int = 8,
    each: int = 3,
    image_size: int = 128,
    noise: bool = True,
    first_subject: int = FIRST_SUBJECT,
    seed: int = 0,
    flow: FlowMethod = dis,
) -> list[Magnification]:
    """Magnify phantom expressions and compare with the truth.

    Args:
        candidates: magnifiers by name.
        alphas: how much is wanted; the truth's AU intensities are the same for all of them.
        subjects: number of phantom subjects.
        each: expressions of each subject.
        image_size: side of the frames, in pixels; even, 32 at least.
        noise: add each subject's camera noise to onset and apex; the truth has none.
        first_subject: number of the first subject.
        seed: determines expressions and noise.
        flow: measures motion from the noise-free onset to the magnified apex.

    Returns:
        A row for each alpha and magnifier, in this order.
    """
    figures: dict[tuple[float, str], list[tuple[float, ...]]] = {}
    with logs.progress("measuring magnification", subjects, "subjects") as advance:
        for number in range(first_subject, first_subject + subjects):
            rng = np.random.default_rng([seed, number])
            renderer = PhantomRenderer(PhantomSubject.sample(number), image_size)
            for _ in range(each):
                peak = torch.from_numpy(draw_peak(rng))
                grain = torch.Generator().manual_seed(int(rng.integers(2**62)))
                for alpha in alphas:
                    pair = _render(renderer, peak, alpha, grain if noise else None)
                    seen = _motion(pair.truth, pair, flow)
                    for name, magnify in candidates.items():
                        made = magnify(pair.onset, pair.apex, alpha)
                        values = (
                            _motion(made, pair, flow), seen, *_likeness(made, pair),
                            pair.length[pair.moved].mean().item() / alpha,
                        )  # fmt: skip
                        figures.setdefault((alpha, name), []).append(values)
            advance(1)
    return [
        Magnification(name, alpha, *(float(x) for x in np.mean(rows, axis=0)))
        for (alpha, name), rows in figures.items()
    ]


@dataclass(frozen=True, slots=True)
class _Pair:
    onset: Tensor  # (1, 3, S, S), perhaps noisy
    apex: Tensor  # (1, 3, S, S), perhaps noisy
    still: Tensor  # (1, 3, S, S), the onset without noise
    truth: Tensor  # (1, 3, S, S)
    flow: Tensor  # (2, S, S) onset to truth
    moved: Tensor  # (S, S) bool

    @property
    def length(self) -> Tensor:
        return self.flow.norm(dim=0)


def _render(
    renderer: PhantomRenderer, peak: Tensor, alpha: float, grain: torch.Generator | None
) -> _Pair:
    share = torch.tensor([0.0, 1 / alpha, 1.0])[:, None, None]
    clean = renderer.render(share * peak, flow=True)
    assert clean.flow is not None  # asked for
    seen = clean.frames if grain is None else renderer.render(
        share * peak, noise_generator=grain
    ).frames  # fmt: skip
    seen = (seen * 255).round() / 255  # stores hold 8 bits
    length = clean.flow[-1].norm(dim=0)
    moved = length > _REGION_SHARE * length.max()
    return _Pair(seen[:1], seen[1:2], clean.frames[:1], clean.frames[2:], clean.flow[-1], moved)


def _motion(made: Tensor, pair: _Pair, method: FlowMethod) -> float:
    """Obtained over wanted motion in the moved region."""
    along = (method(pair.still, made)[0] * pair.flow).sum(0) / pair.length.clamp(min=1e-6)
    return (along[pair.moved].sum() / pair.length[pair.moved].sum()).item()


def _likeness(made: Tensor, pair: _Pair) -> tuple[float, float]:
    """SSIM with the truth over the whole frame, and around what moved."""
    rows, columns = (pair.moved.any(axis).nonzero() for axis in (1, 0))
    y, x = (_widened(int(v.min()), int(v.max()) + 1, made.shape[-1]) for v in (rows, columns))
    whole = ssim(made, pair.truth, data_range=1.0).item()
    return whole, ssim(made[..., y, x], pair.truth[..., y, x], data_range=1.0).item()


def _widened(start: int, stop: int, size: int) -> slice:
    """At least the 11 pixels of the SSIM's window."""
    margin = max(0, 11 - (stop - start))
    start = min(max(0, start - margin // 2), size - 11)
    return slice(start, max(stop, start + 11))
