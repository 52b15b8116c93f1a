"""TV-L1 optical flow in torch: Zach, Pock and Bischof (2007), coarse to fine.

Scheme, parameters and stop criterion are those of scikit-image's ``optical_flow_tvl1``, which
follows Sanchez Perez et al. (IPOL 2013), so that the two agree; here a batch is computed at once,
on any device. :func:`mersynth.motion.flow.tvl1` is the public function.

In the paper's symbols, u is the flow, v the flow after the data term alone, rho the linearised
difference of brightness, p the dual variable of the total variation of each component of u, lambda
the attachment, theta the tightness and tau the time step. Flow has its two components (x, y) first
here, (2, B, H, W), and p the direction of the derivative before them, (2, 2, B, H, W), so that each
operation works on contiguous memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mersynth.motion.warp import warp
from mersynth.threads import map_ahead

_TAU = 0.25  # 1 / (2 * dimensions)
_DUAL_STEPS = 2  # projections of p in each iteration of u
_MAX_LEVELS = 10
_MIN_SIZE = 16  # a level is halved only if its shorter side is more than twice this
_BLUR_SIGMA = 2 / 3  # before an image is halved, pixels
_BLUR_REACH = 3  # 4 sigma
# Pixels computed at once. A CPU is slowed by cache misses, but also by the overhead of torch on
# small tensors; on other devices only memory sets a limit (about 100 bytes per pixel).
_CPU_PIXELS = 1 << 17
_DEVICE_PIXELS = 1 << 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """Parameters of TV-L1, named as in scikit-image; see :func:`mersynth.motion.flow.tvl1`."""

    attachment: float
    tightness: float
    num_warp: int
    num_iter: int
    tol: float
    prefilter: bool

    def __post_init__(self) -> None:
        for name in ("attachment", "tightness"):
            if not getattr(self, name) > 0:
                raise ValueError(f"tvl1: {name} must be positive, got {getattr(self, name)}")
        for name in ("num_warp", "num_iter"):
            if getattr(self, name) < 1:
                raise ValueError(f"tvl1: {name} must be 1 or more, got {getattr(self, name)}")
        if not self.tol >= 0:
            raise ValueError(f"tvl1: tol must be 0 or more, got {self.tol}")


@torch.no_grad()
def coarse_to_fine(first: Tensor, second: Tensor, scheme: Scheme) -> Tensor:
    """Flow (B, 2, H, W) from ``first`` to ``second``, grey images (B, H, W) in [0, 1]."""
    pyramid = [(first, second)]
    while len(pyramid) < _MAX_LEVELS and min(pyramid[-1][0].shape[-2:]) > 2 * _MIN_SIZE:
        pyramid.append((_halve(pyramid[-1][0]), _halve(pyramid[-1][1])))
    flow = first.new_zeros(2, *pyramid[-1][0].shape)
    at_once = _CPU_PIXELS if first.device.type == "cpu" else _DEVICE_PIXELS
    for coarse_first, coarse_second in reversed(pyramid):
        flow = _resize(flow, *coarse_first.shape[-2:])
        pairs = max(1, at_once // coarse_first[0].numel())
        chunks = zip(
            coarse_first.split(pairs), coarse_second.split(pairs), flow.split(pairs, 1), strict=True
        )
        flow = torch.cat(_solve_all(list(chunks), scheme), dim=1)
    return flow.transpose(0, 1).contiguous()


def _solve_all(chunks: Sequence[tuple[Tensor, Tensor, Tensor]], scheme: Scheme) -> list[Tensor]:
    """The flow of every chunk; a CPU's threads take a chunk each.

    Operations take microseconds here. Threads that synchronise after each of them save little, and
    on a busy machine wait for one another: there two took more than four times as long as one.
    """
    inference = torch.is_inference_mode_enabled()

    def solve(chunk: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        with torch.inference_mode(inference), torch.no_grad():  # modes are a thread's own
            return _solve(*chunk, scheme)

    threads = torch.get_num_threads()
    alone = chunks[0][0].device.type != "cpu" or len(chunks) == 1 or threads == 1
    with _one_thread():
        return list(map(solve, chunks) if alone else map_ahead(solve, chunks, threads))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run each of torch's operations in one thread, also those of threads begun meanwhile."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _solve(first: Tensor, second: Tensor, flow: Tensor, scheme: Scheme) -> Tensor:
    """Improve the flow on one level of the pyramid; each pair stops when it has converged."""
    answer = torch.empty_like(flow)
    pairs = torch.arange(len(first), device=first.device)  # those that have not converged
    dual = flow.new_zeros(2, *flow.shape)
    enough = scheme.tol * first[0].numel()
    for _ in range(scheme.num_warp):
        if scheme.prefilter:
            flow = _median(flow)
        flow, change = _linearise_and_iterate(first, second, flow, dual, scheme)
        answer[:, pairs] = flow
        going = (change >= enough).nonzero()[:, 0]
        if not len(going):
            break
        if len(going) < len(pairs):
            pairs, first, second = pairs[going], first[going], second[going]
            flow, dual = flow[:, going], dual[:, :, going]
    return answer


def _linearise_and_iterate(
    first: Tensor, second: Tensor, flow: Tensor, dual: Tensor, scheme: Scheme
) -> tuple[Tensor, Tensor]:
    """Warp once, iterate: the new flow and each pair's squared change (B,). Updates ``dual``."""
    warped = warp(second[:, None], flow.transpose(0, 1))[:, 0]
    gradient = torch.stack(torch.gradient(warped, dim=(2, 1)))  # (2, B, H, W): x, y
    square = gradient.square().sum(0)
    square[square == 0] = 1  # no gradient: u stays whatever it is divided by
    # u is held times tau / theta, so that p is updated without a factor.
    scale = _TAU / scheme.tightness
    # rho / |grad I|^2 = offset + slope . u
    offset = (warped - first - (gradient * flow).sum(0)).div_(square)
    slope_x, slope_y = gradient / (square * scale)
    limit = scheme.attachment * scheme.tightness
    step = gradient * -scale
    ratio = torch.empty_like(offset)
    smoother = _Smoother(flow * scale, dual)
    u, v = smoother.u, smoother.v
    # As in scikit-image, change is counted from before the warp if the flow was filtered, else
    # from after the first data term.
    start = u.clone() if scheme.prefilter else None
    for _ in range(scheme.num_iter):
        # v = u - clip(rho / |grad I|^2, -lambda theta, lambda theta) grad I
        torch.addcmul(offset, slope_x, u[0], out=ratio)
        ratio.addcmul_(slope_y, u[1]).clamp_(-limit, limit)
        torch.addcmul(u, ratio, step, out=v)
        if start is None:
            start = v.clone()
        smoother.run()
    assert start is not None  # num_iter is 1 or more
    change = (start - u).div_(scale).square_().sum((0, 2, 3))
    return u / scale, change


class _Smoother:
    """Computes u from v and p, both components at once, in buffers allocated once per warp.

    Images are treated as flat arrays, so that every operation runs over contiguous memory;
    differences across the right and the lower border are then wrong, and are set to 0.

    Attributes:
        u: (2, B, H, W), the flow times tau / theta.
        v: likewise, the target of ``u``.
    """

    def __init__(self, u: Tensor, dual: Tensor) -> None:
        width = u.shape[-1]
        self.u = u
        self.v = u.clone()
        self.dual = dual
        self.gradient = torch.zeros_like(dual)
        self.norm = torch.empty_like(u)
        flat_u, (flat_x, flat_y), (flat_px, flat_py) = (
            u.view(-1),
            self.gradient.view(2, -1),
            dual.view(2, -1),
        )
        self.flat_u, self.flat_v = flat_u, self.v.view(-1)
        self.flat_px, self.flat_py = flat_px, flat_py
        self.right_of, self.left_of = flat_u[1:], flat_u[:-1]
        self.below, self.above = flat_u[width:], flat_u[:-width]
        self.along_x, self.along_y = flat_x[:-1], flat_y[:-width]
        self.across_right, self.across_low = self.gradient[0, ..., -1], self.gradient[1, ..., -1, :]
        self.px_before, self.py_before = flat_px[:-1], flat_py[:-width]

    def run(self) -> None:
        """A few dual steps from ``v``; the result is in ``u``."""
        self.u.copy_(self.v)
        for _ in range(_DUAL_STEPS):
            # p = (p + tau / theta grad u) / (1 + tau / theta |grad u|)
            torch.sub(self.right_of, self.left_of, out=self.along_x)
            self.across_right.zero_()
            torch.sub(self.below, self.above, out=self.along_y)
            self.across_low.zero_()
            torch.mul(self.gradient[0], self.gradient[0], out=self.norm)
            self.norm.addcmul_(self.gradient[1], self.gradient[1]).sqrt_().add_(1)
            self.dual.add_(self.gradient).div_(self.norm)
            # u = v + theta div p, all of it times tau / theta
            torch.add(self.flat_v, self.flat_px, alpha=_TAU, out=self.flat_u)
            self.right_of.sub_(self.px_before, alpha=_TAU)
            self.flat_u.add_(self.flat_py, alpha=_TAU)
            self.below.sub_(self.py_before, alpha=_TAU)


def _halve(images: Tensor) -> Tensor:
    """(B, H, W) blurred and sampled at half the resolution, odd sides rounded up."""
    at = torch.arange(-_BLUR_REACH, _BLUR_REACH + 1)
    weights = torch.exp(-0.5 * (at / _BLUR_SIGMA) ** 2)
    for dim in (1, 2):
        size = images.shape[dim]
        place = torch.arange(-_BLUR_REACH, size + _BLUR_REACH, device=images.device)
        place = torch.where(place < 0, -1 - place, place)  # mirrored, the border counted twice
        place = torch.where(place >= size, 2 * size - 1 - place, place)
        padded = images.index_select(dim, place)
        blurred = torch.zeros_like(images)
        # Not a convolution: those may round to 10 bits (TF32) on a GPU.
        for start, weight in enumerate((weights / weights.sum()).tolist()):
            blurred.add_(padded.narrow(dim, start, size), alpha=weight)
        images = blurred
    half = [(side + 1) // 2 for side in images.shape[1:]]
    return F.interpolate(images[:, None], half, mode="bilinear", align_corners=False)[:, 0]


def _resize(flow: Tensor, height: int, width: int) -> Tensor:
    """(2, B, h, w) for a finer level: the nearest value, in that level's pixels."""
    old_height, old_width = flow.shape[-2:]

    def nearest(new: int, old: int) -> Tensor:
        place = torch.arange(new, device=flow.device)
        return (2 * place * (old - 1) + new - 1) // (2 * (new - 1))  # corners on corners

    flow = flow[..., nearest(height, old_height), :][..., nearest(width, old_width)]
    return torch.stack([flow[0] * (width / old_width), flow[1] * (height / old_height)])


def _median(flow: Tensor) -> Tensor:
    """Median of the 3 by 3 neighbours of each value of (2, B, H, W)."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    low, middle, high = _sort(padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :])

    def columns(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return values[..., :-2], values[..., 1:-1], values[..., 2:]

    # Of sorted columns, the median of nine is that of these three.
    return _sort(_sort(*columns(low))[2], _sort(*columns(middle))[1], _sort(*columns(high))[0])[1]


def _sort(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.minimum(low, c), torch.maximum(low, torch.minimum(high, c)), torch.maximum(high, c)
