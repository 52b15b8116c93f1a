"""Which triangle each pixel shows, against a brute-force rasteriser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mersynth.phantom.optics.raster import rasterize


def test_the_rasteriser_agrees_with_brute_force() -> None:
    rng = np.random.default_rng(3)
    size, count = 24, 60
    centres = rng.uniform(0, size, (count, 1, 2))
    points = (centres + rng.uniform(-7, 7, (count, 3, 2))).reshape(-1, 2)
    depth = rng.uniform(0, 1, 3 * count)
    faces = np.arange(3 * count).reshape(count, 3)
    expected = np.full((size, size), -1)
    nearest = np.full((size, size), -np.inf)
    for f, (a, b, c) in enumerate(faces):
        pa, pb, pc = points[a], points[b], points[c]
        area = np.linalg.det([pb - pa, pc - pa])
        if area >= 0:
            continue  # y runs down: it faces away
        for y in range(size):
            for x in range(size):
                p = np.array([x, y]) + 0.5
                w = np.array(
                    [np.linalg.det([q - p, r - p]) for q, r in ((pb, pc), (pc, pa), (pa, pb))]
                )
                w = w / area
                z = w @ depth[[a, b, c]]
                if (w >= 0).all() and z > nearest[y, x]:
                    nearest[y, x], expected[y, x] = z, f
    raster = rasterize(
        torch.tensor(points, dtype=torch.float32),
        torch.tensor(depth, dtype=torch.float32),
        torch.tensor(faces),
        size,
    )
    found = torch.where(raster.covered, raster.corners[..., 0] // 3, -1).numpy()
    assert (found == expected).mean() > 0.995  # rounding may decide an edge otherwise
    ramp = raster.interpolate(torch.tensor(points[:, :1], dtype=torch.float32))[0]
    columns = torch.arange(size) + 0.5
    torch.testing.assert_close(
        ramp[raster.covered], columns.expand(size, -1)[raster.covered], atol=2e-2, rtol=0
    )


def test_the_rasteriser_sees_large_triangles() -> None:
    points = torch.tensor([[2.0, 1.0], [3.0, 190.0], [180.0, 4.0]])
    raster = rasterize(points, torch.zeros(3), torch.tensor([[0, 1, 2]]), 200)
    a, b = points[1] - points[0], points[2] - points[0]
    area = (a[0] * b[1] - a[1] * b[0]).abs().item() / 2
    assert raster.covered.sum().item() == pytest.approx(area, rel=0.01)
