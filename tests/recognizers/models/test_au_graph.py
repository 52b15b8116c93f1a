"""Tests of the AU graph: labels, edges, adjacency."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recognizers.models.au_graph import au_edges, au_labels, normalise_edges

NAN = float("nan")


def test_labels_of_cells() -> None:
    cells = ["4+L12A", "4 or 9", "?", "", "R14A or 17A + 12", "4 + 4 or 9"]
    wanted = [
        [1, 0, 1],
        [NAN, NAN, 0],
        [NAN] * 3,
        [NAN] * 3,
        [0, 0, 1],
        [1, NAN, 0],
    ]
    np.testing.assert_array_equal(au_labels(cells, (4, 9, 12)), wanted)


def test_edges_by_hand() -> None:
    labels = torch.tensor(
        [
            [1, 1, 0, 0],
            [1, 1, 0, 0],
            [1, 0, 1, 0],
            [1, 0, 0, NAN],
            [0, 1, NAN, 0],
        ]
    )
    # P(0|1) = 2/3, P(1|0) = 2/4; P(0|2) = 1, P(2|0) = 1/4; P(1|2) = 0; AU 3 is never there.
    at_half = [[0, 2 / 3, 1, 0], [2 / 3, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(au_edges(labels, 0.5), torch.tensor(at_half))
    at_most = [[0, 0, 1.0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(au_edges(labels, 0.7), torch.tensor(at_most))
    torch.testing.assert_close(au_edges(labels, 1), torch.tensor(at_most))


def test_an_edge_counts_the_clips_in_which_both_aus_are_known() -> None:
    # P(1|0) = 1/2, of the clips 0 and 2; P(0|1) = 1/3.
    labels = torch.tensor([[1, 1], [1, NAN], [1, 0], [0, 1], [0, 1]])
    torch.testing.assert_close(au_edges(labels, 0), torch.tensor([[0, 0.5], [0.5, 0]]))


def test_adjacency_by_loops() -> None:
    edges = au_edges((torch.rand(30, 6, generator=torch.Generator().manual_seed(1)) < 0.4) * 1, 0.3)
    looped = (edges.numpy() + np.eye(6)).astype(float)
    wanted = np.empty((6, 6))
    for i in range(6):
        for j in range(6):
            wanted[i, j] = looped[i, j] / math.sqrt(looped[i].sum() * looped[j].sum())
    np.testing.assert_allclose(normalise_edges(edges), wanted, rtol=1e-5)
    assert np.linalg.eigvalsh(wanted).max() == pytest.approx(1)


def test_labels_and_thresholds_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="labels must be 0, 1 or NaN"):
        au_edges(torch.full((2, 3), 0.5), 0.4)
    with pytest.raises(ValueError, match=r"threshold of AU edges must lie in \[0, 1\], got 2"):
        au_edges(torch.ones(2, 3), 2)
