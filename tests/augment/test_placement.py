"""Augmentations and the AU warp on a device, where a tensor left on the CPU is found."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mersynth import augment
from mersynth.augment.au_warp import au_flow, au_warp, fit_faces, template_landmarks
from tests.augment.samples import AUGMENTATIONS, clips
from tests.pretend_device import DEVICE, pretend_device

MIXED = ["micro", "macro", "micro", "macro"]


def moved(given: dict[str, Any]) -> dict[str, Any]:
    return {k: v.to(DEVICE) if isinstance(v, torch.Tensor) else v for k, v in given.items()}


def check(there: dict[str, Any], here: dict[str, Any]) -> None:
    """All tensors are on the device, and have the values that they have on the CPU."""
    assert there.keys() == here.keys()
    for name, value in there.items():
        if isinstance(value, torch.Tensor):
            assert value.device == DEVICE, name
            torch.testing.assert_close(value.cpu(), here[name], equal_nan=True)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_an_augmentation(name: str) -> None:
    here = AUGMENTATIONS[name](p=0.5, generator=torch.Generator().manual_seed(2))
    wanted = here(clips())
    there = AUGMENTATIONS[name](p=0.5, generator=torch.Generator().manual_seed(2))
    with pretend_device():
        check(there(moved(clips())), wanted)
        check(there.params, here.params)
        check(there(moved(clips()), params=here.params), wanted)  # those of the CPU are brought


@pytest.mark.parametrize("reduction", ["paper", "nearest"])
@pytest.mark.parametrize("magnifier", ["magnet", "eulerian"])
def test_emr(magnifier: Any, reduction: Any) -> None:
    given = {k: v for k, v in clips(size=(32, 32)).items() if k != "au_set"}
    given["strength"] = MIXED
    emr = augment.EMR(target=1.5, reduction=reduction, magnifier=magnifier, alpha_max=4)
    wanted = emr(given)
    params = emr.params
    with pretend_device():
        check(emr.to(DEVICE)(moved(given)), wanted)
        check(emr.params, params)


def test_the_au_warp() -> None:
    size, generator = (48, 48), torch.Generator().manual_seed(0)
    face = torch.rand(2, 3, *size, generator=generator)
    curves = torch.rand(2, 3, 20, generator=generator) / 3
    points = template_landmarks(size).expand(2, -1, -1)
    wanted = {"warp": au_warp(face, None, curves), "flow": au_flow(None, curves, size)}
    with pretend_device():
        face, curves = face.to(DEVICE), curves.to(DEVICE)
        fit = fit_faces(points, size, DEVICE)
        for landmarks in (None, points, points.to(DEVICE), fit):
            frames, flow = au_warp(face, landmarks, curves), au_flow(landmarks, curves, size)
            check({"warp": frames, "flow": flow}, wanted)
