"""Augmentations of a batch beside a loop over its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from measuring.speed.comparison import Comparison, Work
from mersynth import augment
from mersynth.augment.au_warp import au_warp, template_landmarks


def comparisons(quick: bool, device: torch.device) -> Iterator[Comparison]:
    """64 images of 224 x 224 pixels; 8 pairs for EMR; 8 faces into 8 frames for the AU warp."""
    count, few, size = (4, 2, 64) if quick else (64, 8, 224)
    wanted = 3 if device.type == "cpu" else 20
    randomness = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=randomness)
    images = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear").to(device)
    transforms: dict[str, Callable[[Tensor], Any]] = {
        "flip": augment.RandomHorizontalFlip(p=1),
        "half-face mirror": augment.HalfFaceMirror(p=1),
        "erasing": augment.RandomErasing(p=1),
        "crop": augment.RandomCrop(padding=15),
        "affine": augment.RandomAffine(),
        "colour jitter": augment.ColorJitter(),
        "sensor noise": augment.SensorNoise(p=1),
        "JPEG": augment.RandomJPEG(p=1),
    }
    for name, transform in transforms.items():

        def each(transform: Callable[[Tensor], Any] = transform) -> None:
            for i in range(count):
                transform(images[i : i + 1])

        def whole(transform: Callable[[Tensor], Any] = transform) -> None:
            transform(images)

        scale = Work("a sample at a time", each, count)
        yield Comparison(name, "image", scale, [Work("a batch", whole, count)], wanted)
    yield _emr(images[:few], wanted)
    yield _warp(images[:few], wanted)


def _emr(onset: Tensor, wanted: float) -> Comparison:
    apex = torch.lerp(onset, onset.roll(1, -1), 0.7)
    emr = augment.EMR(target=2.0, magnifier="eulerian")

    def magnify(some: slice) -> None:
        emr({"onset": onset[some], "apex": apex[some], "strength": ["micro"] * len(onset[some])})

    return Comparison(
        "EMR, Eulerian",
        "pair",
        Work("a pair at a time", lambda: [magnify(slice(i, i + 1)) for i in range(len(onset))],
             len(onset)),
        [Work("a batch", lambda: magnify(slice(None)), len(onset))],
        wanted,
    )  # fmt: skip


def _warp(faces: Tensor, wanted: float) -> Comparison:
    frames, randomness = 8, torch.Generator().manual_seed(0)
    curves = torch.rand(len(faces), frames, 20, generator=randomness).to(faces) / 4
    points = template_landmarks((faces.shape[-2], faces.shape[-1])).to(faces)

    def each() -> None:
        for face, curve in zip(faces, curves, strict=True):
            for at in curve:
                au_warp(face[None], points[None], at[None, None])

    def whole() -> None:
        au_warp(faces, points.expand(len(faces), -1, -1), curves)

    units = len(faces) * frames
    scale = Work("a frame at a time", each, units)
    return Comparison("AU warp", "frame", scale, [Work("a batch", whole, units)], wanted)
