"""The lights of the room."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mersynth.phantom.subject import PhantomSubject

# Light that enters skin leaves it a little beyond the terminator, red most: wrap of each channel.
_WRAP = (0.32, 0.18, 0.13)


@dataclass(frozen=True)
class Lights:
    """A key light, a fill light opposite to it, and light from all sides.

    Attributes:
        key, fill: (3,) unit directions; x right, y up, z to the camera.
        half: (3,) unit direction between the key light and the camera.
        strength: of key, fill and ambient light.
        softness: of the key light: 0 a lamp, 1 a large screen, which lights skin farther beyond
            the terminator.
    """

    key: Tensor
    fill: Tensor
    half: Tensor
    strength: tuple[float, float, float]
    softness: float

    @classmethod
    def of(cls, subject: PhantomSubject, device: torch.device) -> Lights:
        """The lights of the room that a subject sits in."""
        key = torch.tensor(subject.light, device=device)
        fill = torch.tensor([-0.8 * subject.light[0] - 0.1, 0.1, 0.7], device=device)
        half = key + torch.tensor([0.0, 0.0, 1.0], device=device)
        strength = (subject.key, subject.fill, subject.ambient)
        softness = subject.look.softness
        return cls(key, fill / fill.norm(), half / half.norm(), strength, softness)

    def shade(self, normal: Tensor, shadow: Tensor) -> tuple[Tensor, Tensor]:
        """Light that a surface returns.

        Args:
            normal: (T, 3, H, W) unit normals.
            shadow: (H, W) share of the key light that arrives.

        Returns:
            Diffuse light (T, 3, H, W), to be multiplied by the albedo, and highlights (T, 1, H, W).
        """
        key, fill, ambient = self.strength
        directions = torch.stack([self.key, self.fill, self.half])
        towards = torch.einsum("tchw,kc->tkhw", normal, directions)
        wrap = torch.tensor(_WRAP, device=normal.device)[:, None, None] + 0.4 * self.softness
        diffuse = ((towards[:, :1] + wrap) / (1 + wrap)).clamp_(min=0.0).mul_(key * shadow)
        diffuse += (towards[:, 1:2] + 0.3).clamp(min=0.0) * (fill / 1.3)
        diffuse += ambient * (0.8 + 0.2 * normal[:, 1:2])
        shine = towards[:, 2:].clamp(min=0.0).square().square().square()
        shine = (shine * shine * 0.6 + 0.08 * shine) * (key * shadow)
        return diffuse, shine * (1 - 0.5 * self.softness) if self.softness else shine
