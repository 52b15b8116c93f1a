"""Tests of the graph pooling of AU-GACN."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recognizers.models.au_gacn.sagpool import SAGPool, readout
from recognizers.models.au_graph import GraphConvolution


def brute_force_pool(
    nodes: Tensor, embedded: Tensor, adjacency: Tensor, weight: Tensor, keep: int
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Eq. 2 and 3 for one graph, by loops."""
    count, size = embedded.shape
    z = [
        math.tanh(
            sum(
                float(adjacency[i, j] * embedded[j, f] * weight[f, 0])
                for j in range(count)
                for f in range(size)
            )
        )
        for i in range(count)
    ]
    selected = sorted(range(count), key=lambda i: -z[i])[:keep]
    picked = np.array([[float(value) * z[i] for value in nodes[i]] for i in selected])
    linked = np.array([[float(adjacency[i, j]) for j in selected] for i in selected])
    return selected, picked, linked


@pytest.mark.parametrize(("ratio", "keep"), [(0.5, 4), (0.1, 1), (1.0, 7), (3 / 7, 3)])
def test_pooling_against_loops(ratio: float, keep: int) -> None:
    generator = torch.Generator().manual_seed(3)
    nodes = torch.randn(4, 7, 5, generator=generator)
    embedded = torch.randn(4, 7, 3, generator=generator)
    adjacency = torch.rand(7, 7, generator=generator)
    pool = SAGPool(3, ratio)
    pooled = pool(nodes, embedded, adjacency)
    for b in range(4):
        selected, picked, linked = brute_force_pool(
            nodes[b], embedded[b], adjacency, pool.attention.weight.detach(), keep
        )
        assert pooled.selected[b].tolist() == selected
        np.testing.assert_allclose(pooled.nodes[b].detach(), picked, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(pooled.adjacency[b], linked)


def test_0_28_of_25_is_7_and_scores_that_round_to_one_keep_their_order() -> None:
    pool = SAGPool(1, 0.28)  # in binary, 0.28 * 25 is a little more than 7
    nn.init.ones_(pool.attention.weight)
    embedded = torch.arange(25.0).view(1, 25, 1)
    pooled = pool(embedded, embedded, torch.eye(25))
    assert pooled.selected.tolist() == [[24, 23, 22, 21, 20, 19, 18]]
    assert (pooled.scores[0, 18:] == 1).all()


def test_renumbered_nodes_are_the_same_graph() -> None:
    generator = torch.Generator().manual_seed(5)
    order = torch.randperm(8, generator=generator)
    nodes = torch.randn(2, 8, 3, generator=generator)
    adjacency = torch.rand(8, 8, generator=generator)
    layer, pool = GraphConvolution(3, 4), SAGPool(4)
    hidden = layer(nodes, adjacency)
    renumbered = layer(nodes[:, order], adjacency[order][:, order])
    torch.testing.assert_close(renumbered, hidden[:, order])
    before = pool(hidden, hidden, adjacency)
    after = pool(renumbered, renumbered, adjacency[order][:, order])
    assert torch.equal(order[after.selected], before.selected)
    torch.testing.assert_close(after.nodes, before.nodes)
    torch.testing.assert_close(after.adjacency, before.adjacency)
    torch.testing.assert_close(readout(after.nodes), readout(before.nodes))
