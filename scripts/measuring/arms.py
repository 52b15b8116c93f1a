"""The arms of a table of gains: real clips alone, or pretraining on synthetic ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from measuring.pretraining import as_many_steps, pretraining
from measuring.small_forms import Form

NONE, STEPS = "none", "steps"
"""The arms of real clips alone: for their own epochs, and for as many steps as all other arms."""


@dataclass(frozen=True, slots=True)
class Clips:
    """Synthetic clips.

    Attributes:
        name: a part of their store's name.
        generator: ``icgan`` or ``warp``.
        overrides: of ``configs/generate.yaml``.
    """

    name: str
    generator: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """A line of the table.

    Attributes:
        words: as the table shows it.
        pretrained_on: these clips together; none: real clips alone.
        overrides: of ``configs/evaluate.yaml``, besides the budget's.
    """

    words: str
    pretrained_on: tuple[Clips, ...] = ()
    overrides: tuple[str, ...] = ()


WARP, ICGAN = Clips("warp", "warp"), Clips("icgan", "icgan")
STRONG = Clips("strong", "icgan", ("strength=3",))
ARMS: Mapping[str, Arm] = {
    NONE: Arm("real clips alone"),
    STEPS: Arm("real clips alone, as many steps"),
    "warp": Arm("AU warp", (WARP,)),
    "icgan": Arm("AU-ICGAN", (ICGAN,)),
    "both": Arm("AU warp and AU-ICGAN", (WARP, ICGAN)),
    "curriculum": Arm(
        "AU-ICGAN, strong clips first", (ICGAN, STRONG), ("pretraining.strength=[3,1,1]",)
    ),
}
"""All but ``NONE`` see the same number of clips, in equally many steps."""

PRETRAINED = tuple(name for name, arm in ARMS.items() if arm.pretrained_on)


def budget(name: str, form: Form) -> list[str]:
    """Overrides that give an arm its number of clips."""
    if name == NONE:
        return []
    return as_many_steps(form) if name == STEPS else pretraining(form)
