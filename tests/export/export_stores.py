"""Small stores to export: smooth frames, so that they differ even after lossy coding."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mersynth.clips import Clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.writer import StoreWriter

SIDE = 32
TERMS = {"licence": "research only", "citation": "Somebody et al. (2020)"}
REAL_SAMM = (
    Clip(source="samm", subject="006", name="006_1_2", onset=5562, apex=5564, offset=5566,
         emotion="anger", aus="4+7"),
    Clip(source="samm", subject="006", name="006_1_3", onset=98, apex=100, offset=101,
         emotion="other", aus="4"),
    Clip(source="samm", subject="007", name="007_6_1", onset=9998, apex=9999, offset=10002,
         emotion="happiness", aus="(R6 or R12)+R15A"),
)  # fmt: skip
REAL_CASME2 = (
    Clip(source="casme2", subject="sub01", name="EP02_01f", onset=46, apex=48, offset=51,
         emotion="happiness", aus="12"),
    Clip(source="casme2", subject="sub26", name="EP19_05f", onset=396, apex=398, offset=399,
         emotion="disgust", aus="4+L10"),
    Clip(source="casme2", subject="sub26", name="EP01_11f", onset=9, apex=None, offset=11,
         emotion="others", aus="?"),
)  # fmt: skip


def synthetic(clip: Clip, number: int, emotion: str | None = None, **changes: Any) -> Clip:
    """What `mersynth generate` makes of a real clip's face, in four frames."""
    made = replace(
        clip,
        name=f"synthetic_{number:05d}",
        onset=0,
        apex=2,
        offset=3,
        emotion=emotion or clip.emotion,
        template="samm/020/020_1_1",
        generator="ab" * 32,
        unseen=("samm/009", "samm/010"),
    )
    return replace(made, **changes)


def write_store(
    path: Path,
    clips: Sequence[Clip],
    side: int = SIDE,
    header: Mapping[str, Any] | None = None,
) -> ClipStore:
    """A soft blob on a slope of colours; it moves right and down until the apex."""
    rows, columns = np.mgrid[:side, :side] / side
    facts = {"source": clips[0].source, **TERMS, **(header or {})}
    with StoreWriter(path, clips, side, facts) as writer:
        for number, clip in enumerate(clips):
            peak = clip.num_frames - 1 if clip.apex_index is None else clip.apex_index
            frames = []
            for i in range(clip.num_frames):
                shift = 0.06 * (1 - abs(i - peak) / clip.num_frames)
                blob = (columns - 0.4 - shift) ** 2 + (rows - 0.45 - shift / 2) ** 2
                red = 60 + 150 * np.exp(-blob / 0.02)
                green = 40 + 100 * rows + 7 * (number % 5)
                blue = 30 + 120 * columns
                frames.append(np.stack([red, green, blue], axis=-1).astype(np.uint8))
            writer.add(np.stack(frames))
        return writer.finish()


def read_provenance(folder: Path) -> list[dict[str, str]]:
    """The lines of an export's provenance."""
    with (folder / "provenance.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def checksums(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file in a folder, by name."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }
