"""Everything but the head: neck and shoulders, the background, the inside of the mouth."""

from __future__ import annotations

import torch
from torch import Tensor

from mersynth.phantom.head.appearance import Noise
from mersynth.phantom.optics.camera import Camera, blur, pixel_centres
from mersynth.phantom.optics.lights import Lights
from mersynth.phantom.subject import PhantomSubject

_CORNERS = (78, 308)
_MIDDLE = (13, 14)


def paint_room(cover: Tensor, subject: PhantomSubject, camera: Camera, lights: Lights) -> Tensor:
    """Wall, shoulders, neck and long hair, lit: (3, S, S) linear light.

    Args:
        cover: (S, S) cover by the head, which casts a shadow on the neck.
        subject: whose room.
        camera: which sees it.
        lights: which light it.
    """
    size, device = camera.size, cover.device
    k = camera.pixels_per_cm
    x, y = camera.plane(*pixel_centres(size, device))
    noise = Noise(subject.seed + 1, device)

    def colour(rgb: tuple[float, float, float]) -> Tensor:
        return torch.tensor(rgb, device=device)[:, None, None]

    key_side = 1 + 0.012 * x * (1 if subject.light[0] > 0 else -1)
    out = colour(subject.background) * (key_side + 0.008 * y + 0.006 * noise(x, y, 5.0))
    if subject.look.backdrop != "wall":
        out = _furnish(out, colour(subject.look.accent), x, y, subject, noise)

    soft = 1 / k
    if subject.hair_length == 2:
        locks = 0.6 * noise(x, y, 0.3, 6.0) + 0.5 * noise(x, y, 0.8, 8.0)
        edge = 8.9 + 0.5 * subject.curl * torch.sin(y * 1.3 + subject.seed) + 0.1 * (3 - y)
        behind = torch.sigmoid((edge - x.abs()) / soft) * torch.sigmoid((5 - y) / 0.5)
        shade = (0.35 + 0.35 * (x.abs() / 9).clamp(0, 1) ** 2) * (1 + 0.45 * locks).clamp(0.2)
        out = torch.lerp(out, colour(subject.hair) * shade, behind)

    radius = 4.7 + 0.15 * subject.shape[0] + 0.5 * (-9.6 - y).clamp(min=0) ** 2
    across = (x / radius).clamp(-0.98, 0.98)
    normal = torch.stack([across, torch.full_like(x, -0.1), (1 - across**2).sqrt()])
    normal = torch.nn.functional.normalize(normal, dim=0)
    light, _ = lights.shade(normal[None], torch.ones_like(x))
    drop = int(1.3 * k)
    under = torch.nn.functional.pad(cover, (0, 0, drop, 0), value=1.0)[:size]
    shadow = 1 - 0.62 * blur(under[None], 0.7 * k)
    cords = 1 - 0.10 * torch.exp(-(((x.abs() - 2.6 + 0.25 * (y + 10)) / 0.5) ** 2))
    neck = colour(subject.skin) * 0.9 * light[0] * shadow * cords * (1 + 0.02 * noise(x, y, 0.8))
    column = torch.sigmoid((radius - x.abs()) / soft) * torch.sigmoid((-4 - y) / 0.3)
    out = torch.lerp(out, neck, column)

    collar = -10.15 - 0.75 * (1 - (x / 5.2) ** 2).clamp(min=0) - 0.1 * (x.abs() - 5).clamp(min=0)
    folds = 1 + 0.08 * noise(x, y, 1.2, 3.0)
    shirt = colour(subject.shirt) * (light[0] * 0.8 + 0.1) * folds
    body = torch.sigmoid((collar - y) / soft) * torch.sigmoid((19 - x.abs()) / soft)
    return torch.lerp(out, shirt, body)


def _furnish(
    wall: Tensor, accent: Tensor, x: Tensor, y: Tensor, subject: PhantomSubject, noise: Noise
) -> Tensor:
    """A curtain in front of the wall, or shelves out of focus on it: (3, S, S)."""
    if subject.look.backdrop == "curtain":
        pleats = torch.sin(1.9 * x + 1.2 * noise(x, y, 2.5, 30.0) + subject.seed)
        return accent * (1 + 0.3 * pleats + 0.05 * noise(x, y, 0.5, 9.0)).clamp(min=0.2)
    height = (y + 0.37 * (subject.seed % 10)).remainder(6.5)
    board = torch.exp(-(((height - 0.4) / 0.35) ** 2))
    backs = noise(torch.floor(x / 1.1) * 2.3, torch.floor(y / 6.5) * 3.1, 1.0)
    things = torch.sigmoid((3.4 + backs - height) / 0.3) * torch.sigmoid((height - 0.6) / 0.2)
    soft = blur((things * (0.6 + 0.4 * torch.tanh(backs)))[None], 0.35 * len(x) / 20)[0]
    out = torch.lerp(wall, accent * torch.ones_like(wall), (0.8 * soft).clamp(0, 1))
    return out * (1 - 0.45 * board)


def paint_mouth(points: Tensor, camera: Camera, lights: Lights) -> Tensor:
    """The inside of the mouth behind the lips: (3, R, R) linear light.

    Args:
        points: (V, 2) the vertices in pixels, the first 468 MediaPipe's.
        camera: which sees it.
        lights: which light it.
    """
    left, right = points[list(_CORNERS)]
    middle = points[list(_MIDDLE)].mean(0)
    px, py = pixel_centres(camera.size, points.device, 2 * camera.size)
    unit = (right[0] - left[0]) / 4.4  # pixels per canonical centimetre
    x, y = (px - middle[0]) / unit, (middle[1] - py) / unit
    power = lights.strength[0] * 0.7 + lights.strength[2]

    def colour(r: float, g: float, b: float) -> Tensor:
        return torch.tensor([r, g, b], device=px.device)[:, None, None]

    out = colour(0.07, 0.018, 0.016) * torch.ones_like(x)
    tongue = torch.sigmoid((-0.75 - y - 0.12 * x**2) / 0.12) * torch.sigmoid((1.5 - x.abs()) / 0.2)
    out = torch.lerp(out, colour(0.26, 0.08, 0.07) * torch.ones_like(x), tongue * 0.8)
    edge = 0.3 - 0.04 * x**2
    gaps = 1 - 0.25 * torch.exp(-(((x.abs() % 0.82 - 0.41).abs() - 0.41) ** 2) / 0.0015)
    teeth = torch.sigmoid((y + edge) / 0.05) * torch.sigmoid((2.0 - x.abs()) / 0.15)
    ivory = colour(0.66, 0.6, 0.5) * (1 - 0.14 * x**2).clamp(min=0.15) * gaps
    out = torch.lerp(out, ivory, teeth)
    return out * power
