"""Generation into a store beside a plain loop with the ancestor's generator (GANimation)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn

from measuring.speed.comparison import Comparison, Work
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.generator import Generator
from mersynth.phantom.population import DEFAULT_COUNTS, write_store
from mersynth.synthesis.generate import generate

SIZE = 128
_SCALE = "ancestor's generator, a frame a forward, a PNG a frame"


class Ancestor(nn.Module):
    """GANimation's generator by its published sizes: 64 channels, 6 blocks."""

    def __init__(self, aus: int = len(CONDITION_AUS), width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3 + aus, width, 7, 1, 3, bias=False), *_norm(width)]
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), *_norm(2 * width)]
            width *= 2
        layers += [_Block(width) for _ in range(blocks)]
        for _ in range(2):
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False)]
            layers += _norm(width // 2)
            width //= 2
        self.trunk = nn.Sequential(*layers)
        self.colour = nn.Conv2d(width, 3, 7, 1, 3, bias=False)
        self.mask = nn.Conv2d(width, 1, 7, 1, 3, bias=False)

    def forward(self, image: Tensor, aus: Tensor) -> Tensor:
        """Image (1, 3, H, W) in [-1, 1], aus (1, 20)."""
        tiled = aus[:, :, None, None].expand(-1, -1, *image.shape[2:])
        features = self.trunk(torch.cat([image, tiled], 1))
        mask = torch.sigmoid(self.mask(features))
        return mask * image + (1 - mask) * torch.tanh(self.colour(features))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            *_norm(width),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            _norm(width)[0],
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def _norm(width: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(width, affine=True), nn.ReLU(inplace=True)]


def comparisons(quick: bool, device: torch.device) -> Iterator[Comparison]:
    """The network alone, then clips from a store into a store."""
    frames = 2 if quick else 16
    per_class = 1 if quick else 40
    ancestor, own = Ancestor().to(device).eval(), Generator().to(device).eval()
    image, aus = torch.rand(1, 3, SIZE, SIZE).to(device), torch.rand(frames, 20, 2).to(device)

    @torch.no_grad()
    def loop() -> None:
        for at in aus:
            ancestor(2 * image - 1, at[None, :, 0])

    @torch.inference_mode()
    def batch() -> None:
        own(image, aus)

    yield Comparison(
        f"the ancestor's generator at {SIZE}",
        "frame",
        Work("a frame a forward, float32", loop, frames),
        [Work("gan.generator.Generator, a clip a forward", batch, frames)],
        wanted=1.8 if device.type == "cpu" else 15,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        real = folder / "phantom"
        write_store(real, image_size=SIZE, subjects=8, counts=dict.fromkeys(DEFAULT_COUNTS, 4))
        made = [0]

        @torch.no_grad()
        def images() -> None:
            for i, at in enumerate(aus):
                frame = ancestor(2 * image - 1, at[None, :, 0])[0]
                pixels = ((frame + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
                cv2.imwrite(str(folder / f"{i:05d}.png"), pixels)

        def store() -> None:
            made[0] += 1
            generate(
                per_class=per_class,
                store=real,
                checkpoint=Path("shipped"),
                out=folder / f"synthetic_{made[0]}",
                overrides=[f"device={device.type}"],
            )

        yield Comparison(
            f"generate into a store, frames of {SIZE}",
            "frame",
            Work(_SCALE, images, frames),
            [Work("mersynth generate", store, 5 * per_class * 16)],
            wanted=15 if device.type == "cpu" else 40,
        )
