"""``mersynth generate --estimate``: what a generation will take, from a few batches of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mersynth.clips import Clip
from mersynth.disk.scratch import scratch_folder
from mersynth.estimate import Estimate, PeakMemory, Spent, bytes_in, now
from mersynth.pages.gallery import FILMS, MOST, write_gallery
from mersynth.store.clip_store import ClipStore
from mersynth.store.format import array_layout
from mersynth.store.writer import StoreWriter

_SECONDS = 15.0
"""Batches are measured for so long, or one batch if that takes longer."""
_HASHED = 1 << 26  # bytes


def estimate_generation(
    clips: Sequence[Clip],
    batch_clips: int,
    image_size: int,
    header: Mapping[str, Any],
    fill: Callable[[StoreWriter, Sequence[int]], None],
    furnish: Callable[[ClipStore], None] | None,
    followed: Callable[[Sequence[int]], set[str]],
    begun: Spent,
) -> Estimate:
    """Make a few batches of a plan in a folder for temporary files, and multiply.

    A head's motion is computed when a clip first follows it, and then kept. So the batches are made
    twice, and the difference is what new heads take.

    Args:
        clips: the plan's.
        batch_clips: clips of a batch.
        image_size: of the store's frames.
        header: of the store.
        fill: makes clips, by their places in the plan, and adds them to a writer.
        furnish: adds pictures and a gallery to a complete store; None for neither.
        followed: the clips whose heads are followed, by places in the plan.
        begun: when the command began; the time since is part of the estimate.
    """
    prepared = now() - begun
    batches = [
        range(i, min(i + batch_clips, len(clips))) for i in range(0, len(clips), batch_clips)
    ]

    def make(places: Sequence[int], pictures: bool = False) -> _Made:
        own = [clips[i] for i in places]
        with scratch_folder() as folder:
            path = folder / "store"
            with StoreWriter(path, own, image_size, header) as writer:
                start = now()
                fill(writer, places)
                made = now()
                writer.finish(furnish if pictures else None)
                completed = now()
            beside = bytes_in(path) - _array_bytes(own, image_size)
            gallery, films = Spent(), 0
            if pictures and furnish is not None:
                start_of_gallery = now()
                write_gallery(ClipStore.open(path))
                gallery = now() - start_of_gallery
                films = bytes_in(path / FILMS)
        return _Made(made - start, completed - made, beside, gallery, films)

    with PeakMemory() as memory:
        warm = make(batches[0]).making
        count = int(np.clip(_SECONDS / max(warm.wall, 1e-3), 1, len(batches)))
        # Batches from all over the plan, because classes and faces change along it.
        chosen = np.linspace(0, len(batches) - 1, count + 2)[1:-1].round().astype(int)
        places = [i for batch in sorted(set(chosen.tolist())) for i in batches[batch]]
        once, again = make(places), make(places, pictures=True)
    new = len(followed(places) - followed(batches[0]))
    a_head = (once.making - again.making).beyond_noise * (1 / max(1, new))
    a_clip = again.making * (1 / len(places))
    heads = len(followed(range(len(clips))))
    drawn = _shown(clips) / _shown([clips[i] for i in places])
    pictures = (again.completing - once.completing).beyond_noise * drawn
    shown = min(len(clips), MOST) / min(len(places), MOST)
    written = _array_bytes(clips, image_size)
    return Estimate(
        time=prepared
        + a_clip * len(clips)
        + a_head * heads
        + once.completing
        + _hashing(written)
        + pictures
        + again.gallery * shown,
        memory=memory.peak,
        on_gpu=memory.on_gpu,
        disk=written + round(again.beside * drawn + again.films * shown),
        steps=(
            f"{len(clips)} clips at {a_clip.wall:.3g} s, measured on {len(places)}",
            f"{heads} heads to follow at {a_head.wall:.3g} s, measured on {new}",
        ),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """What a store took: its clips, completing it, bytes beside its arrays; its gallery's films."""

    making: Spent
    completing: Spent
    beside: int
    gallery: Spent
    films: int


def _shown(clips: Sequence[Clip]) -> int:
    """Number of clips that get a GIF: up to three of a class, of different people."""
    people: dict[str, set[str]] = {}
    for clip in clips:
        people.setdefault(clip.emotion, set()).add(clip.subject)
    return sum(min(3, len(names)) for names in people.values())


def _hashing(count: int) -> Spent:
    """The checksum of so many bytes."""
    block = bytes(_HASHED)
    start = now()
    hashlib.sha256(block)
    return (now() - start) * (count / _HASHED)


def _array_bytes(clips: Sequence[Clip], image_size: int) -> int:
    layout = array_layout(image_size).values()
    each = sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in layout)
    return each * sum(clip.num_frames for clip in clips)
