"""Self-attention graph pooling (Lee et al., ICML 2019) for graphs of one size, as matrices."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recognizers.models.au_graph import GraphConvolution


class Pooled(NamedTuple):
    """A graph's selected nodes, the highest score first.

    Attributes:
        nodes: (B, K, d), X_out of eq. 3.
        adjacency: (B, K, K), Adj_out of eq. 3.
        selected: (B, K) int64, idx of eq. 2.
        scores: (B, N) in (-1, 1), Z of all nodes.
    """

    nodes: Tensor
    adjacency: Tensor
    selected: Tensor
    scores: Tensor


class SAGPool(nn.Module):
    """Keeps the nodes with the highest self-attention scores (eq. 2 and 3 of AU-GACN).

    ``Z = tanh(Adj H W)`` scores the nodes, with H their embeddings (Lee et al., eq. 3; AU-GACN
    names no formula). Nodes are sorted by Z before tanh, so that scores that tanh rounds to 1
    still differ; of equal nodes the earlier one comes first. Where eq. 2 prints [kN], K = ceil(pN)
    nodes are kept, as in Lee et al., with the p of the text.

    Args:
        embedding: size of H, which the scores are computed from.
        ratio: p in (0, 1], the share of nodes to keep.

    Shape:
        - nodes: (B, N, d), X, the features to pool
        - embedded: (B, N, embedding), H
        - adjacency: (N, N)

    Raises:
        ValueError: if ``ratio`` lies outside of (0, 1].
    """

    def __init__(self, embedding: int, ratio: float = 0.5) -> None:
        super().__init__()
        if not 0 < ratio <= 1:
            raise ValueError(f"ratio must lie in (0, 1], got {ratio}")
        self.ratio = ratio
        self.attention = GraphConvolution(embedding, 1)

    def forward(self, nodes: Tensor, embedded: Tensor, adjacency: Tensor) -> Pooled:
        """Select and weight nodes; see the class for the shapes."""
        raw = self.attention(embedded, adjacency).squeeze(2)  # (B, N)
        keep = math.ceil(round(self.ratio * raw.shape[1], 6))  # 0.28 * 25 is 7 and no more
        scores = raw.tanh()
        selected = raw.argsort(dim=1, descending=True, stable=True)[:, :keep]  # (B, K)
        rows = selected[:, :, None]
        mask = scores.gather(1, selected)[:, :, None]  # Z_mask
        picked = nodes.gather(1, rows.expand(-1, -1, nodes.shape[2])) * mask
        return Pooled(picked, adjacency[rows, selected[:, None, :]], selected, scores)


def readout(nodes: Tensor) -> Tensor:
    """Mean and maximum over the nodes: (B, K, d) to (B, 2 d)."""
    return torch.cat([nodes.mean(1), nodes.amax(1)], dim=1)
