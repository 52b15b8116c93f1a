"""Tiny stores and samples whose quality is known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mersynth.clips import Clip
from mersynth.curves import expression_course
from mersynth.facs.action_units import CONDITION_AUS
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import PhantomSubject, subject_name
from mersynth.quality.sample import Sample
from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import to_uint8
from mersynth.store.writer import StoreWriter

QUICK = [
    "moments=5",
    "reader.subjects=2",
    "reader.each=32",
    "reader.epochs=1",
    "reader.min_steps=1",
    "extractor.epochs=1",
    "distribution.subsets=3",
    "distribution.splits=2",
    "distribution.min_clips=4",
    "control.min_clips=2",
    "control.min_readable=-1",
    "worst=1",
    "device=cpu",
]
CELLS = {"anger": (4, 7), "happiness": (6, 12), "surprise": (1, 2)}
FRAMES = 7
FOUR, TWELVE = CONDITION_AUS.index(4), CONDITION_AUS.index(12)  # columns of these AUs


def phantom_store(
    path: Path,
    *,
    subjects: int = 3,
    each: int = 2,
    size: int = 32,
    synthetic: bool = False,
    source: str = "phantom",
    measured: bool = True,
    first: int = 0,
    cells: dict[str, tuple[int, ...]] = CELLS,
) -> ClipStore:
    """``each`` clips of every class for every subject, at twice a micro-expression's strength."""
    clips, made = [], []
    course = expression_course(FRAMES, 3)
    for number in range(first, first + subjects):
        renderer = PhantomRenderer(PhantomSubject.sample(number), size)
        for emotion, aus in cells.items():
            for i in range(each):
                curve = np.zeros((FRAMES, len(CONDITION_AUS)), np.float32)
                for au in aus:
                    curve[:, CONDITION_AUS.index(au)] = (0.5 + 0.1 * i) * course
                other = first + (number - first + 1) % subjects
                clips.append(
                    Clip(
                        source=source,
                        subject=subject_name(number),
                        name=f"{'made' if synthetic else 'real'}_{emotion}_{i}",
                        onset=0,
                        apex=3,
                        offset=FRAMES - 1,
                        emotion=emotion,
                        aus="+".join(map(str, aus)),
                        template=f"{source}/{subject_name(other)}/x" if synthetic else None,
                        generator="a" * 64 if synthetic else None,
                    )
                )
                noise = torch.Generator().manual_seed(len(clips) + 1000 * synthetic)
                sides = torch.from_numpy(curve)[..., None].expand(-1, -1, 2)
                frames = renderer.render(sides, noise_generator=noise).frames
                made.append((to_uint8(frames), curve if measured else None))
    header = {"source": source, **({"scheme": "five", "synthetic": True} if synthetic else {})}
    with StoreWriter(path, clips, size, header) as writer:
        for frames_of, curve_of in made:
            writer.add(frames_of, curve_of)
        return writer.finish()


def sample_of(
    frames: np.ndarray,
    moved: np.ndarray | None = None,
    subjects: list[str] | None = None,
    classes: list[str] | None = None,
    apex: int = 1,
    aus: str = "",
    templates: list[str | None] | None = None,
) -> Sample:
    """A sample of frames (N, K, H, W, 3) without a store."""
    count, moments = frames.shape[:2]
    people = subjects or ["a"] * count
    made = templates or [None] * count
    clips = tuple(
        Clip(
            source="samm",
            subject=people[i],
            name=str(i),
            onset=0,
            apex=apex,
            offset=moments - 1,
            emotion="anger",
            aus=aus,
            template=made[i],
        )
        for i in range(count)
    )
    if moved is None:
        moved = np.full((count, moments, len(CONDITION_AUS), 2), np.nan, np.float32)
    return Sample(clips, tuple(classes or ["anger"] * count), frames, moved, np.full(count, apex))
