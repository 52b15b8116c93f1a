"""Saving what was made on the page: clips of a synthetic store, MP4, GIF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mersynth import __version__, paths
from mersynth.clips import Clip
from mersynth.export.video import save_film
from mersynth.marks import mark_of
from mersynth.store.clip_store import ClipStore, StoreError
from mersynth.store.writer import StoreWriter
from mersynth.studio.faces import Face
from mersynth.studio.looking import apex_of, film
from mersynth.studio.motion import NUM_FRAMES, Wish
from mersynth.synthesis.generate import landmarks_at_rest
from mersynth.synthesis.generators import ClipGenerator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, eq=False)
class MadeClip:
    """A synthetic clip that waits to be written.

    Attributes:
        clip: its annotation, with its provenance.
        frames: (K, S, S, 3) uint8.
        curve: (K, 20, 2) intensities that were asked for.
        landmarks: (K, 68, 2), of the first frame alone.
        header: of the store that gave the face.
        generator: what its store's header says of the generator.
    """

    clip: Clip
    frames: np.ndarray
    curve: np.ndarray
    landmarks: np.ndarray
    header: dict[str, Any]
    generator: dict[str, Any]


def make_clip(face: Face, generator: ClipGenerator, wish: Wish, emotion: str) -> MadeClip:
    """Let a face follow a wish, with everything that its store will say of it.

    Args:
        face: the face.
        generator: one of the face's.
        wish: what it shall show; something, or there is no clip to keep.
        emotion: the label that it bears, one of ``face.emotions``.

    Raises:
        ValueError: if nothing moves.
    """
    curve = wish.curve(face.item)
    apex = apex_of(curve)
    if apex == 0:
        raise ValueError("nothing moves: raise an AU or the strength before the clip is kept")
    followed = wish.followed
    known = sorted({*face.people, *([followed.clip.subject_id] if followed else [])})
    clip = Clip(
        source=face.item.clip.source,
        subject=face.item.clip.subject,
        name="studio",
        onset=0,
        apex=apex,
        offset=NUM_FRAMES - 1,
        emotion=emotion,
        aus=wish.aus,
        fps=wish.fps,
        strength="micro" if followed is None else followed.clip.strength,
        template=None if followed is None else followed.clip.id,
        generator=generator.sha256,
        unseen=tuple(name for name in known if name not in generator.training_subjects),
    )
    frames = film(face.item, generator, curve)
    landmarks = landmarks_at_rest(face.item, NUM_FRAMES)
    facts = {"name": generator.name, **generator.facts()}
    return MadeClip(clip, frames, curve, landmarks, face.header, facts)


def write_store(name: str, made: Sequence[MadeClip]) -> ClipStore:
    """Write clips into a new store, ``./stores/<name>``, numbered in their order.

    Raises:
        ValueError: if the name is no plain one.
        StoreError: if there are no clips, their sizes differ, or there is such a store already.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a store's name is made of letters, digits, - and _, got {name!r}")
    sizes = sorted({each.frames.shape[1] for each in made})
    if len(sizes) != 1:
        raise StoreError(
            f"a store needs clips of one image size, these have {sizes or 'none'}: keep a clip "
            "first, or begin anew and keep faces of one size"
        )
    clips = [replace(each.clip, name=f"studio_{i:03d}") for i, each in enumerate(made)]
    path = paths.store_path(name)
    with StoreWriter(path, clips, sizes[0], _header(made)) as writer:
        for each in made:
            writer.add(each.frames, each.curve, each.landmarks)
        return writer.finish()


def _header(made: Sequence[MadeClip]) -> dict[str, Any]:
    """The card of the store; the faces' licences and citations follow into it."""

    def each(key: str) -> list[Any]:
        found = [m.header[key] for m in made if m.header.get(key) is not None]
        return [v for i, v in enumerate(found) if v not in found[:i]]

    def one(key: str) -> Any:
        values = each(key)
        return values[0] if len(values) == 1 and all(key in m.header for m in made) else None

    generators = {m.generator["sha256"]: m.generator for m in made}
    return {
        "source": "+".join(dict.fromkeys(m.clip.source for m in made)),
        "licence": "; ".join(each("licence")) or None,
        "citation": "; ".join(each("citation")) or None,
        "synthetic": True,
        "framing": one("framing"),
        "phantom": one("phantom"),
        "scheme": "native",
        "intensities": "as asked for",
        # Neither is added here: a clip shows what its sliders say, and nothing else.
        "config": {"head_motion": False, "camera_noise": False, "num_frames": NUM_FRAMES},
        "generators": list(generators.values()),
        "versions": {"mersynth": __version__, "torch": torch.__version__},
    }


def write_film(made: MadeClip, path: Path) -> Path:
    """Write a clip to a file that ends in ``.gif``, slowed down, or ``.mp4``, at its own speed.

    Raises:
        OSError: if OpenCV cannot write such a video.
    """
    save_film(path, made.frames, made.clip.fps, mark_of([made.clip]))
    return path
