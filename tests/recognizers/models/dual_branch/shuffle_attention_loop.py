"""Shuffle attention as a loop."""

from __future__ import annotations

import itertools

import numpy as np


def slow_attention(x: np.ndarray, p: dict[str, np.ndarray], groups: int) -> np.ndarray:
    """A loop over samples, groups' channels and groups; parameters are (groups, C / (2 groups))."""
    b, c, _, _ = x.shape
    size, half = c // groups, c // groups // 2
    out = np.zeros_like(x)
    for n, k in itertools.product(range(b), range(half)):
        first = [x[n, g * size + k] for g in range(groups)]
        second = [x[n, g * size + half + k] for g in range(groups)]
        gates = np.array([p["cw"][g, k] * first[g].mean() + p["cb"][g, k] for g in range(groups)])
        gates = np.exp(gates) / np.exp(gates).sum()
        normed = [
            (s - s.mean()) / np.sqrt(s.var() + 1e-5) * p["nw"][k] + p["nb"][k] for s in second
        ]
        maps = np.exp([p["sw"][g, k] * normed[g] + p["sb"][g, k] for g in range(groups)])
        maps /= maps.sum(0)
        for g in range(groups):
            out[n, g * size + k] = first[g] * gates[g]
            out[n, g * size + half + k] = second[g] * maps[g]
    # Two groups dealt out in turns: the first channel of each, the second of each, ...
    order = [i for pair in zip(range(c // 2), range(c // 2, c), strict=True) for i in pair]
    return out[:, order]
