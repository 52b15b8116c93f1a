"""A small store of random frames, for tests that need clips but not faces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mersynth.clips import Clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter

EMOTIONS = {
    "anger": "4+7",
    "contempt": "L14",
    "happiness": "6+12",
    "surprise": "1+2B",
    "other": "24",
}
HEADER = {"source": "samm", "licence": "none"}


def tiny_clips(subjects: int = 5, each: int = 1, num_frames: int = 6) -> list[Clip]:
    """``each`` clips of every emotion for every subject, laid out as SAMM's."""
    return [
        Clip(
            source="samm",
            subject=f"{subject:03d}",
            name=f"{emotion}_{i}",
            onset=10,
            apex=10 + num_frames // 2,
            offset=9 + num_frames,
            emotion=emotion,
            aus=aus,
        )
        for subject in range(subjects)
        for emotion, aus in EMOTIONS.items()
        for i in range(each)
    ]


def frames_of(clip: Clip, value: int, side: int = 8) -> np.ndarray:
    """Frames of one grey."""
    return np.full((clip.num_frames, side, side, 3), value, np.uint8)


def write_tiny_store(
    path: Path,
    clips: list[Clip] | None = None,
    image_size: int = 32,
    measured: bool = False,
    header: Mapping[str, object] = HEADER,
) -> ClipStore:
    """Random frames; AU intensities as measured ones if ``measured``, else NaN."""
    rng = np.random.default_rng(0)
    clips = tiny_clips() if clips is None else clips
    with StoreWriter(path, clips, image_size, header) as writer:
        for clip in clips:
            shape = (clip.num_frames, image_size, image_size, 3)
            curve = rng.uniform(0, 0.4, (clip.num_frames, 20)).astype(np.float32)
            writer.add(rng.integers(0, 256, shape, dtype=np.uint8), curve if measured else None)
        return writer.finish()
