"""Arms of the table of what to pretrain on, and their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mersynth.store.clip_store import ClipStore
from recognizers.evaluation.comparison import Comparison
from recognizers.report import Run

STRONG = 3  # times micro strength
SYSTEMS = ("ststnet", "off_apexnet", "nmer")
"""Small systems that read onset and apex alone, as phases apart need."""

STORES: Mapping[str, Sequence[str]] = {
    "micro": (),
    "strong": (f"strength={STRONG}",),
    "prototypes": ("curves=prototypes",),
    "early": ("curves=early",),
}
"""Overrides of ``configs/generate.yaml``, by the name of the synthetic store."""
PHASES = "phases_apart=true"
BOTH = ("micro", "strong")


@dataclass(frozen=True, slots=True)
class Arm:
    """What a system learns from.

    Attributes:
        words: in the table.
        stores: that it is pretrained on.
        overrides: of ``configs/evaluate.yaml``.
    """

    words: str
    stores: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


NONE, STEPS, MICRO = "none", "steps", "micro"
ARMS: Mapping[str, Arm] = {
    NONE: Arm("real clips alone"),
    STEPS: Arm("the same, as many steps"),
    MICRO: Arm("micro strength", ("micro",)),
    "strong": Arm(f"{STRONG} times as strong", ("strong",)),
    "mixed": Arm("both, mixed", BOTH),
    "curriculum": Arm("both, strong first", BOTH, (f"pretraining.strength=[{STRONG},1,1]",)),
    "prototypes": Arm("AU prototypes", ("prototypes",)),
    "phases": Arm("micro strength, phases apart", ("micro",), (PHASES,)),
    "steps_phases": Arm("real clips alone, as many steps, phases apart", (), (PHASES,)),
    "early": Arm("beginnings of macro-expressions", ("early",)),
}


@dataclass(frozen=True, slots=True)
class Filled:
    """A system's runs.

    Attributes:
        system: its name.
        runs: by arm.
        gains: in UF1, by the arm that others are compared with, and theirs.
    """

    system: str
    runs: Mapping[str, Run]
    gains: Mapping[str, Mapping[str, Comparison]]


def rows(filled: Filled) -> list[list[str]]:
    """A row of the table for each arm."""
    found = []
    for arm, run in filled.runs.items():
        scores = run.scores["strict"]["Full"]
        means = [
            f"{scores.mean[key]:.3f}" + (f" ± {scores.sd[key]:.3f}" if scores.sd else "")
            for key in ("uf1", "uar")
        ]
        gains: list[str] = []
        for over in (STEPS, MICRO):
            gain = filled.gains.get(over, {}).get(arm)
            told = None if gain is None else gain.difference
            gains += (
                ["", ""]
                if told is None
                else [f"{told.estimate:+.3f}", f"{told.low:+.3f} to {told.high:+.3f}"]
            )
        name = f"`{filled.system}`" if arm == NONE else ""
        found.append([name, ARMS[arm].words, *means, *gains, f"{run.results.seconds:.0f}"])
    return found


def spread(path: Path) -> list[str]:
    """Number of a store's clips, and how strong their strongest AU is."""
    store = ClipStore.open(path)
    peaks = [np.nan_to_num(item.intensities - item.intensities[:1]).max() for item in store]
    low, middle, high = np.percentile(peaks, [25, 50, 75])
    return [str(len(store)), f"{middle:.2f} ({low:.2f} to {high:.2f})"]


def figures(filled: Sequence[Filled]) -> dict[str, Any]:
    """Everything that was measured, for JSON."""
    return {
        "systems": [
            {
                "system": each.system,
                "scores": {
                    arm: {s: scores["Full"].to_dict() for s, scores in run.scores.items()}
                    for arm, run in each.runs.items()
                },
                "gains": {
                    over: {arm: asdict(gain) for arm, gain in gains.items()}
                    for over, gains in each.gains.items()
                },
                "seconds": {arm: run.results.seconds for arm, run in each.runs.items()},
            }
            for each in filled
        ]
    }
