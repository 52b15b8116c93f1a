"""One subject, rasterised once: everything that frames need, as maps over the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mersynth.face.template import HEAD, Framing
from mersynth.facs.landmarks import PARTS
from mersynth.phantom.head.appearance import Surface, hair_line, paint
from mersynth.phantom.head.eyes import Eyes, make_eyes
from mersynth.phantom.head.folds import fold_heights
from mersynth.phantom.head.mesh import LANDMARK_VERTICES, HeadMesh, head_mesh, vertex_normals
from mersynth.phantom.head.muscles import mouth_share
from mersynth.phantom.head.overlay import Overlay, paint_overlay
from mersynth.phantom.optics.camera import (
    Camera,
    Window,
    blur,
    fill_holes,
    frame_face,
    pixel_centres,
    sample,
    slopes,
)
from mersynth.phantom.optics.lights import Lights
from mersynth.phantom.optics.raster import Raster, rasterize
from mersynth.phantom.response import Responses
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
        responses: changes by each AU and side.
        turns: (2, 2, S, S) image motion in pixels by one radian of yaw and of pitch.
        shadow: (S, S) share of the key light that arrives.
        openness: (S, S) share of all light that arrives in hollows.
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
    responses: Responses
    turns: Tensor
    shadow: Tensor
    openness: Tensor
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

    relief = blur(surface.relief[None], 0.8)[0]
    relief = torch.nn.functional.avg_pool2d(relief[None], DETAIL)[0]
    by_au, by_age = fold_heights(place[:2])
    ear = coarse.interpolate(head.ear[:, None])[0]
    by_au = (by_au * (1 - ear)).flatten(0, 1)
    rest = relief + (0.2 + 0.5 * subject.age) * by_age * (1 - ear)
    normal = _tilt(normal, rest, camera)
    responses = Responses(shape, head, subject, camera, coarse, by_au, normal[2])

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
        responses=responses,
        turns=responses.turns(),
        shadow=shadow if overlay is None else shadow * overlay.shade,
        openness=openness,
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
