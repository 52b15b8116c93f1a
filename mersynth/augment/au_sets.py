"""AU sets: which Action Units a sample shows, on which side, as a tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mersynth.facs.action_units import ACTION_UNITS, Half, parse_au_cell

ORDER: tuple[int, ...] = tuple(ACTION_UNITS)
"""The AU of each row of an AU set."""

_ROW = {number: row for row, number in enumerate(ORDER)}

# Gaze and head turned or tilted to one side: a mirror swaps the sides.
_TURNED = {51: 52, 52: 51, 55: 56, 56: 55, 61: 62, 62: 61}

MIRROR_ROWS: tuple[int, ...] = tuple(_ROW[_TURNED.get(number, number)] for number in ORDER)
"""Row ``i`` of a mirrored face's AU set is row ``MIRROR_ROWS[i]``, its two sides swapped."""

SIDEWAYS_ROWS: tuple[int, ...] = tuple(_ROW[number] for number in _TURNED)
"""Rows of the AUs that turn gaze or head to one side."""


def au_sets(cells: Sequence[str]) -> Tensor:
    """The AUs of annotation cells.

    Only AUs that the coder was sure of count: in ``R14A or 17A`` neither does.

    Args:
        cells: AU cells as annotation tables write them (``facs.parse_au_cell``).

    Returns:
        (B, S, 2) float32: 1 where the AU of :data:`ORDER` is shown, on the subject's left and right
        side. An AU without a side, or an asymmetric one (``A12``), is on both.

    Example:
        >>> sets = au_sets(["6+L12"])
        >>> sets[0, ORDER.index(6)].tolist(), sets[0, ORDER.index(12)].tolist()
        ([1.0, 1.0], [1.0, 0.0])
    """
    sets = torch.zeros(len(cells), len(ORDER), 2)
    for i, cell in enumerate(cells):
        for group in parse_au_cell(cell).groups:
            if len(group) > 1:
                continue
            (event,) = group
            left, right = event.side != "right", event.side != "left"
            if event.asymmetric:
                left = right = True
            sets[i, _ROW[event.number]] = torch.maximum(
                sets[i, _ROW[event.number]], torch.tensor([float(left), float(right)])
            )
    return sets


def rows_of(half: Half, *, device: torch.device | str = "cpu") -> Tensor:
    """(S,) bool: the rows of the AUs that move a half of the face (``ActionUnit.half``)."""
    return torch.tensor([ACTION_UNITS[n].half == half for n in ORDER], device=device)
