"""The processes that train one generator together, each with its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mersynth.config import ConfigError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Processes:
    """The processes that ``torchrun`` started, or this one alone.

    Every process draws the same global batch and noise and takes its share, losses are means over
    the shares of all, and gradients are averaged before each update: so the weights are those of
    one process with the whole batch, to rounding, and alike everywhere.

    Networks are not wrapped in ``DistributedDataParallel``, whose hooks a gradient penalty's double
    backward would pass twice.

    Args:
        fabric: launched; None for this process alone.

    Attributes:
        rank: of this process; 0 writes and logs.
        count: number of processes.
    """

    def __init__(self, fabric: Fabric | None = None) -> None:
        self._fabric = fabric
        self.rank = 0 if fabric is None else fabric.global_rank
        self.count = 1 if fabric is None else fabric.world_size

    @classmethod
    def of(cls, device: torch.device) -> Processes:
        """Join the processes that ``torchrun`` started; alone without it.

        Args:
            device: where to train; only its type counts with several processes.

        Raises:
            ConfigError: if ``torchrun`` started several and the extra ``multi`` is not installed.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        try:
            from lightning_fabric import Fabric
        except ImportError as error:
            raise ConfigError(
                "training with several processes needs Lightning Fabric: "
                "pip install 'mersynth[multi]', or train without torchrun"
            ) from error
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        machines = int(os.environ["WORLD_SIZE"]) // here
        fabric = Fabric(accelerator=device.type, strategy="ddp", devices=here, num_nodes=machines)
        fabric.launch()
        return cls(fabric)

    def device(self, device: torch.device) -> torch.device:
        """This process's own device; ``device`` if it is alone."""
        return device if self._fabric is None else self._fabric.device

    def share(self, whole: Tensor) -> Tensor:
        """This process's part of a global batch (B, ...): (B / count, ...)."""
        each = len(whole) // self.count
        return whole[self.rank * each : (self.rank + 1) * each]

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the processes; no gradient passes through it."""
        if self._fabric is None:
            return value
        reduced = self._fabric.all_reduce(value.detach().clone(), reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return reduced

    def divisor(self, number: Tensor, least: float = 1.0) -> Tensor:
        """What to divide a process's sum by, so that the mean over processes is the global mean.

        Args:
            number: how many summands count in this process, or their weights' sum.
            least: the least global number.
        """
        return self.mean(number.float()).clamp(min=least / self.count)

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients by their means over the processes."""
        if self._fabric is None:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([each.flatten() for each in gradients]))
        for each, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            each.copy_(mean.view_as(each))


ALONE = Processes()
