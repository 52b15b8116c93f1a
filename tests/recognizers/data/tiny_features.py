"""Feature files of a few people, whose classes a shallow network learns in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ("negative", "positive", "surprise")
SIZE = 8
# The people of a feature file, by the generator that never sees them.
GROUPS = [["samm/00", "samm/01"], ["samm/02", "samm/03"], ["samm/04", "samm/05"]]


def features(
    people: int = 6, each: int = 5, seed: int = 0, strength: float = 1.5, **arrays: Any
) -> dict[str, np.ndarray]:
    """Arrays of a feature file: flow and strain of ``people`` with ``each`` clips of all classes.

    Each class moves its own part of the face; ``arrays`` adds to or replaces what is there, and
    None takes an array away.
    """
    rng = np.random.default_rng(seed)
    count = people * each
    y = np.arange(count) % len(CLASSES)
    x = rng.normal(size=(count, 3, SIZE, SIZE)).astype(np.float32)
    for i, label in enumerate(y):
        x[i, label, 2 * label : 2 * label + 3] += strength
    given = {
        "x": x,
        "y": y,
        "subject": np.array([f"{i // each:02}" for i in range(count)]),
        "dataset": np.full(count, "samm"),
        "clip": np.array([f"clip{i:03}" for i in range(count)]),
        "classes": np.array(CLASSES),
        "channels": np.array(["u", "v", "strain"]),
        **{name: None if v is None else np.asarray(v) for name, v in arrays.items()},
    }
    return {name: value for name, value in given.items() if value is not None}


def write(path: Path, **changes: Any) -> Path:
    """A feature file, see :func:`features`."""
    np.savez(path, **features(**changes))
    return path


def synthetic(path: Path, groups: list[list[str]], seed: int = 1, **changes: Any) -> Path:
    """A feature file of synthetic clips: one generator per group of people whom it never saw.

    Faces and curves are those of the other people, as ``mersynth generate`` chooses them.
    """
    everybody = [person for group in groups for person in group]
    rows = []
    for number, group in enumerate(groups):
        others = [person for person in everybody if person not in group]
        for i in range(9):
            face, curve = others[i % len(others)], others[(i + 1) % len(others)]
            rows.append((face, f"{curve}/t{i}", f"sha{number}", ";".join(group)))
    arrays = features(people=len(rows), each=1, seed=seed)
    arrays["subject"] = np.array([face.split("/")[1] for face, *_ in rows])
    arrays["clip"] = np.array([f"synthetic_{i:05}" for i in range(len(rows))])
    for column, name in enumerate(("template", "generator", "unseen"), start=1):
        arrays[name] = np.array([row[column] for row in rows])
    arrays |= {name: np.asarray(value) for name, value in changes.items()}
    np.savez(path, **arrays)
    return path
