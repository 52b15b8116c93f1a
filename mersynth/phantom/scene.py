"""One subject, rasterised once: everything that frames need, as maps over the image."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from mersynth.face.template import HEAD, Framing
from mersynth.facs.landmarks import PARTS
from mersynth.phantom.appearance import Surface, hair_line, paint
from mersynth.phantom.camera import (
    Camera,
    Window,
    blur,
    fill_holes,
    frame_face,
    pixel_centres,
    sample,
    slopes,
)
from mersynth.phantom.eyes import Eyes, make_eyes
from mersynth.phantom.folds import fold_heights
from mersynth.phantom.lights import Lights
from mersynth.phantom.mesh import LANDMARK_VERTICES, HeadMesh, head_mesh, vertex_normals
from mersynth.phantom.muscles import au_fields, mouth_share
from mersynth.phantom.overlay import Overlay, paint_overlay
from mersynth.phantom.raster import Raster, rasterize
from mersynth.phantom.room import paint_mouth, paint_room
from mersynth.phantom.subject import PhantomSubject, deform

DETAIL = 2  # colours are stored at this many cells per pixel side
_FAR = -12.0  # depth of the background, cm


@dataclass(frozen=True)
class Scene:
    """A subject's maps, of the neutral face. S is the side of the camera's image, R = 2S.

    Attributes:
        window: what pictures show of that image.
        texture: (5, R, R) albedo times cover (3), cover by the head, 1 above the lips' line.
        normal: (3, S, S) normals at rest.
        normal_motion: (40, 3, S, S) their change by each AU and side at intensity 1.
        upper, lower: (42, 2, S, S) image motion in pixels by each AU and side at intensity 1, then
            by one radian of yaw and of pitch; as the upper and as the lower lip follows.
        shadow: (S, S) share of the key light that arrives.
        openness: (S, S) share of all light that arrives in hollows.
        fold_shade: (40, S, S) share of light that the folds of each AU keep out.
        gloss: (S, S) strength of the highlights.
        mouth_share: (S, S) how freely the lips part.
        inside: (3, R, R) the mouth's inside.
        room: (3, S, S) the background.
        overlay: glasses and fringe; None: neither.
        vertices: (468, 2) MediaPipe's vertices, pixels.
    """

    camera: Camera
    window: Window
    lights: Lights
    eyes: Eyes
    texture: Tensor
    normal: Tensor
    normal_motion: Tensor
    upper: Tensor
    lower: Tensor
    shadow: Tensor
    openness: Tensor
    fold_shade: Tensor
    gloss: Tensor
    mouth_share: Tensor
    inside: Tensor
    room: Tensor
    vertices: Tensor
    overlay: Overlay | None


def build_scene(
    subject: PhantomSubject, picture_size: int, device: torch.device, framing: Framing = HEAD
) -> Scene:
    """Rasterise a subject for pictures of a size and framing."""
    head = _to(head_mesh(), device)
    shape = _subject_shape(head, subject)
    landmarks = shape[list(LANDMARK_VERTICES)]
    eyes = torch.stack([landmarks[list(PARTS[eye])].mean(0) for eye in ("right_eye", "left_eye")])
    camera, window = frame_face(picture_size, framing, eyes)
    size, lights = camera.size, Lights.of(subject, device)
    points = camera.project(shape)

    fine = rasterize(points * DETAIL, shape[:, 2], head.faces, size * DETAIL)
    coarse = rasterize(points, shape[:, 2], head.faces, size)
    surface, texture = _texture(fine, head, subject)
    rows = torch.cat([shape, vertex_normals(shape, head.faces), head.vertices], 1)
    shape_map, normal, place = fill_holes(coarse.interpolate(rows), coarse.covered).split(3)
    place = torch.where(coarse.covered, place, place.clamp(-11, 11))

    motion, normal_motion = _motion(head, shape, subject, camera, coarse)
    relief = blur(surface.relief[None], 0.8)[0]
    relief = torch.nn.functional.avg_pool2d(relief[None], DETAIL)[0]
    by_au, by_age = fold_heights(place[:2])
    ear = coarse.interpolate(head.ear[:, None])[0]
    by_au = (by_au * (1 - ear)).flatten(0, 1)
    rest = relief + (0.2 + 0.5 * subject.age) * by_age * (1 - ear)
    normal = _tilt(normal, rest, camera)
    bump = slopes(by_au, camera.pixels_per_cm) * normal[2]
    normal_motion[:, :2] -= bump
    gains = torch.tensor(subject.gain, device=device).reshape(40, 1, 1, 1)

    depth = torch.where(coarse.covered, shape_map[2], torch.tensor(_FAR, device=device))
    openness = _openness(depth, normal[2], camera) * torch.exp(2.5 * rest.clamp(-0.3, 0))
    gloss = torch.nn.functional.avg_pool2d(surface.gloss[None], DETAIL)[0]
    alpha = torch.nn.functional.avg_pool2d(texture[3:4], DETAIL)[0]
    shadow = _cast_shadow(depth, lights, camera)
    lit = lights.shade(normal[None], shadow)[0][0] * openness
    overlay = paint_overlay(subject, shape, eyes, (place, shape_map[2], lit), camera, lights)
    return Scene(
        camera=camera,
        window=window,
        lights=lights,
        eyes=make_eyes(shape, subject, camera, lights),
        texture=texture,
        normal=normal,
        normal_motion=normal_motion * gains,
        upper=motion[0],
        lower=motion[1],
        shadow=shadow if overlay is None else shadow * overlay.shade,
        openness=openness,
        fold_shade=(-by_au).clamp(min=0) * gains[:, 0] * 2.2,
        gloss=gloss * 0.16,
        mouth_share=mouth_share(place[0]) * (place[1] < 0),
        inside=paint_mouth(points, camera, lights),
        room=paint_room(alpha, subject, camera, lights),
        vertices=points[:468],
        overlay=overlay,
    )


def _to(head: HeadMesh, device: torch.device) -> HeadMesh:
    return HeadMesh(*(getattr(head, n).to(device) for n in ("vertices", "faces", "ear", "below")))


def _subject_shape(head: HeadMesh, subject: PhantomSubject) -> Tensor:
    """The head in the subject's shape, its hair standing out from the skull."""
    shape = deform(head.vertices, subject)
    if subject.hair_length:
        away = hair_line(head.vertices, subject)
        thick = (0.45 + 0.3 * subject.hair_length * (away / 4).clamp(0, 1)) * (1 - head.ear)
        rise = torch.sigmoid((away - 0.25) / 0.2) * thick
        shape = shape + vertex_normals(shape, head.faces) * rise[:, None]
    return shape


def _texture(fine: Raster, head: HeadMesh, subject: PhantomSubject) -> tuple[Surface, Tensor]:
    rows = torch.cat([head.vertices, head.ear[:, None], head.below[:, None]], 1)
    maps = fill_holes(fine.interpolate(rows), fine.covered)
    surface = paint(maps[:3], maps[3], subject)
    cover = fine.covered.to(maps)[None]
    above = (maps[4:] < 0.5).to(maps)
    soft = blur(torch.cat([surface.albedo * cover, cover, above]), 0.75)
    return surface, soft


def _motion(
    head: HeadMesh, shape: Tensor, subject: PhantomSubject, camera: Camera, coarse: Raster
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    size = camera.size
    yaw = torch.stack([shape[:, 2], torch.zeros_like(shape[:, 0]), -shape[:, 0]], -1)
    pitch = torch.stack([torch.zeros_like(shape[:, 0]), shape[:, 2], -shape[:, 1]], -1)
    turns = torch.stack([yaw, pitch])
    gains = torch.tensor(subject.gain, device=shape.device).reshape(40, 1, 1)
    both = [f.flatten(0, 1).to(shape.device) * (1 - head.ear[:, None]) for f in _fields()]
    maps = []
    for field in both:
        moves = torch.cat([field * gains, turns])  # (42, V, 3)
        flat = camera.project_motion(shape, moves).permute(1, 0, 2).flatten(1)  # (V, 84)
        full = fill_holes(coarse.interpolate(flat), coarse.covered)
        maps.append(full.reshape(42, 2, size, size))
    true = torch.where((head.below > 0.5)[:, None], both[1], both[0])
    at_rest = vertex_normals(shape, head.faces)
    turned = (vertex_normals(shape + 0.5 * true, head.faces) - at_rest) * 2
    turned = turned.permute(1, 0, 2).flatten(1)
    turned = fill_holes(coarse.interpolate(turned), coarse.covered)
    return (maps[0], maps[1]), turned.reshape(40, 3, size, size)


@functools.cache
def _fields() -> tuple[Tensor, Tensor]:
    return au_fields(head_mesh().vertices)


def _tilt(normal: Tensor, height: Tensor, camera: Camera) -> Tensor:
    slope = slopes(height, camera.pixels_per_cm)
    tilted = torch.cat([normal[:2] - slope * normal[2:].clamp(min=0.2), normal[2:]])
    return torch.nn.functional.normalize(tilted, dim=0)


def _openness(depth: Tensor, facing: Tensor, camera: Camera) -> Tensor:
    """Ambient occlusion: a place that lies deeper than the mean of its surroundings is darker."""
    near = fill_holes(depth[None], depth > _FAR)
    total = torch.zeros_like(near)
    for reach, strength in ((0.45, 0.9), (1.1, 0.4), (2.4, 0.16)):
        behind = blur(near, reach * camera.pixels_per_cm) - near
        total = total + strength * behind.clamp(min=0.0)
    steep = ((facing - 0.15) * 2.5).clamp(0, 1)  # at the outline the surroundings form no hollow
    return torch.exp(-total[0] * steep).clamp(min=0.4)


def _cast_shadow(depth: Tensor, lights: Lights, camera: Camera) -> Tensor:
    """March from every place to the key light; what lies in between blocks it."""
    size, key = camera.size, lights.key
    at = pixel_centres(size, depth.device)[None]
    step = 0.22  # cm
    blocked = torch.zeros_like(depth)
    for k in range(1, 34):
        reach = step * k
        shift = torch.stack([key[0], -key[1]]) * reach * camera.pixels_per_cm
        height = sample(depth[None, None], at + shift[None, :, None, None], size)[0, 0]
        ray = depth + key[2] * reach + 0.06 * reach + 0.08
        blocked = torch.maximum(blocked, (height - ray) / (0.12 + 0.16 * reach))
    lit = 1 - (0.85 - 0.45 * lights.softness) * blocked.clamp(0, 1)
    return blur(lit[None], (0.12 + 0.5 * lights.softness) * camera.pixels_per_cm)[0]
