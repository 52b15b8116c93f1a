"""A curriculum of pretraining: strong expressions first, micro-expressions at the end.

Synthetic clips can be as strong as one likes. A schedule says how strong the clips of each epoch
are on average; they are drawn from stores of two or more strengths (``generate strength=3``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mersynth.config import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class Curriculum:
    """The strengths that pretraining goes through.

    Attributes:
        schedule: mean strengths at even steps of pretraining, from its first epoch to its last;
            linear between them.
        strengths: (N,) of the pool's clips.
    """

    schedule: tuple[float, ...]
    strengths: np.ndarray

    @classmethod
    def of(cls, schedule: Any, stores: Mapping[Path, tuple[float | None, int]]) -> Curriculum:
        """The curriculum of a config, checked.

        Args:
            schedule: ``pretraining.strength``.
            stores: of the pool: the strength that each records, and its number of clips.

        Raises:
            ConfigError: if the schedule is not two or more strengths above 0, there is no store to
                pretrain on, one records no strength, all have the same, or the schedule asks for
                more, or less, than they have.
        """
        key = "pretraining.strength"
        if not isinstance(schedule, Sequence) or isinstance(schedule, str) or len(schedule) < 2:
            raise ConfigError(
                f"{key} must be null or two strengths or more, such as [3, 1], got {schedule!r}"
            )
        if not stores:
            raise ConfigError(f"{key} orders clips to pretrain on: give their stores (--pretrain)")
        if unknown := [str(path) for path, (strength, _) in stores.items() if strength is None]:
            raise ConfigError(
                f"{key} needs to know how strong clips are, and {', '.join(unknown)} does not say: "
                "pretrain on stores of `mersynth generate strength=...`"
            )
        values, counts = zip(*stores.values(), strict=True)
        per_clip = np.repeat(np.array(values, float), counts)
        made = cls(tuple(float(value) for value in schedule), per_clip)
        made.check(range(len(per_clip)))
        return made

    def check(self, rows: Sequence[int], where: str = "the clips to pretrain on") -> None:
        """Refuse rows of the pool that have not all strengths of the schedule.

        Args:
            rows: what a pretraining may use.
            where: names them in the error.

        Raises:
            ConfigError: with the strengths that there are.
        """
        found = np.unique(self.strengths[list(rows)])
        wanted = f"pretraining.strength goes through {', '.join(f'{s:g}' for s in self.schedule)}"
        if len(found) < 2:
            raise ConfigError(
                f"{wanted}, but {where} have one strength, {found[0]:g}: give stores of two or "
                "more (`mersynth generate strength=...`)"
            )
        if min(self.schedule) < found[0] or max(self.schedule) > found[-1]:
            raise ConfigError(
                f"{wanted}, but {where} have the strengths {', '.join(f'{s:g}' for s in found)}: "
                "stay between them, or generate another store"
            )

    def strength(self, epoch: int, epochs: int) -> float:
        """The mean strength that an epoch, from 1, shall have."""
        place = (epoch - 1) / max(1, epochs - 1) * (len(self.schedule) - 1)
        return float(np.interp(place, range(len(self.schedule)), self.schedule))

    def draw(self, rows: Tensor, epoch: int, epochs: int) -> Tensor:
        """The clips of an epoch: shares of the two strengths on either side of the wanted one.

        Of a strength that is wanted exactly, all clips are taken; of two between which it lies,
        shares by which their mean is the wanted one, if there are as many clips of both. Chance is
        torch's own.

        Args:
            rows: (n,) rows of the pool that may be used.
            epoch: its number, from 1.
            epochs: how many there are.
        """
        own = self.strengths[rows.cpu().numpy()]
        found = np.unique(own)
        wanted = self.strength(epoch, epochs)
        shares = [np.interp(wanted, found, row) for row in np.eye(len(found))]
        chosen = []
        for strength, share in zip(found, shares, strict=True):
            these = torch.from_numpy(np.flatnonzero(own == strength))
            chosen.append(these[torch.randperm(len(these))[: round(share * len(these))]])
        return rows[torch.cat(chosen).to(rows.device)]

    def mean(self, rows: Tensor) -> float:
        """The mean strength of rows of the pool."""
        return float(self.strengths[rows.cpu().numpy()].mean())
