"""Class balancing by sampling and by class weights."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from mersynth.checks import listed


def balanced_order(
    groups: Sequence[Hashable] | Tensor, num_samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """Positions in random order; the counts of the groups differ by at most one.

    A group's members come in shuffled rounds: none is repeated before all others of its group have
    come, so that a small group repeats no more than necessary.

    Args:
        groups: the group of each position.
        num_samples: length of the order.
        generator: a generator on the CPU; None: torch's own.

    Returns:
        (num_samples,) int64.
    """
    # Tensors hash by identity, so each would be its own group.
    names = [name.item() if isinstance(name, Tensor) else name for name in groups]
    members: dict[Hashable, list[int]] = {}
    for position, name in enumerate(names):
        members.setdefault(name, []).append(position)
    share, spare = divmod(num_samples, len(members))
    lucky = set(torch.randperm(len(members), generator=generator)[:spare].tolist())
    chosen = []
    for i, positions in enumerate(members.values()):
        wanted = share + (i in lucky)
        rounds = -(-wanted // len(positions))
        order = [torch.randperm(len(positions), generator=generator) for _ in range(rounds)]
        drawn = torch.cat([torch.empty(0, dtype=torch.int64), *order])[:wanted]
        chosen.append(torch.tensor(positions)[drawn])
    together = torch.cat(chosen)
    return together[torch.randperm(num_samples, generator=generator)]


class _BalancedSampler(Sampler[int]):
    """Sampler over :func:`balanced_order`; every pass draws a new order."""

    def __init__(
        self,
        groups: Sequence[Hashable] | Tensor,
        num_samples: int | None,
        generator: torch.Generator | None,
    ) -> None:
        if not len(groups):
            raise ValueError(f"{type(self).__name__}: there is nothing to draw from")
        if num_samples is not None and num_samples < 1:
            raise ValueError(
                f"{type(self).__name__}: num_samples must be 1 or more, got {num_samples}"
            )
        self.groups = groups
        self.num_samples = len(groups) if num_samples is None else num_samples
        self.generator = generator

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        yield from balanced_order(self.groups, self.num_samples, self.generator).tolist()


class ClassBalancedSampler(_BalancedSampler):
    """Draw equally many samples of each class, for a DataLoader.

    Args:
        labels: the class of each sample, as in ``ClipDataset.labels``; (N,) numbers or names.
        num_samples: samples per pass; None: N.
        generator: a generator on the CPU; None: torch's own.

    Raises:
        ValueError: if there is no sample, or ``num_samples`` is not positive.

    Example:
        >>> sampler = ClassBalancedSampler([0, 0, 0, 1], num_samples=6)
        >>> list(sampler).count(3)
        3
    """

    def __init__(
        self,
        labels: Sequence[Hashable] | Tensor,
        num_samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(labels, num_samples, generator)


class SubjectBalancedSampler(_BalancedSampler):
    """Draw equally many samples of each subject, for a DataLoader.

    Args:
        subjects: the subject of each sample, for instance ``clip.subject_id``; (N,) names or
            numbers.
        num_samples: samples per pass; None: N.
        generator: a generator on the CPU; None: torch's own.

    Raises:
        ValueError: if there is no sample, or ``num_samples`` is not positive.

    Example:
        >>> sampler = SubjectBalancedSampler(["samm/006", "samm/006", "samm/007"], num_samples=4)
        >>> list(sampler).count(2)
        2
    """

    def __init__(
        self,
        subjects: Sequence[Hashable] | Tensor,
        num_samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(subjects, num_samples, generator)


def class_weights(
    labels: Sequence[int] | Tensor | None = None,
    *,
    num_classes: int | None = None,
    counts: Sequence[int] | Tensor | None = None,
) -> Tensor:
    """Weights of the classes in a loss (Ruan et al. 2022, eq. 6).

    ``w_c = max(n_1, ..., n_C) / n_c``, with n_c samples of class c. The paper balances by this
    instead of sampling, which repeats samples in a small training set.

    Args:
        labels: class of each training sample, (N,) integers from 0.
        num_classes: C; None: up to the largest label.
        counts: n_1..n_C themselves, instead of ``labels``.

    Returns:
        (C,) float32, 1 for the largest class. A class without samples, for which the equation is
        undefined, gets 0; the loss never uses that weight.

    Raises:
        ValueError: if neither or both of ``labels`` and ``counts`` are given, there is no sample,
            or a label lies outside 0..C-1.

    Example:
        >>> class_weights([0, 0, 0, 0, 1, 2, 2])
        tensor([1., 4., 2.])
    """
    if (labels is None) == (counts is None):
        raise ValueError("class_weights: give either labels or counts")
    if labels is not None:
        known = torch.as_tensor(labels, dtype=torch.int64)
        top = int(known.max()) + 1 if num_classes is None and known.numel() else num_classes or 0
        if not known.numel() or known.min() < 0 or known.max() >= top:
            raise ValueError(
                f"class_weights: labels must be one or more numbers in 0..{top - 1}, got "
                f"{listed(known.tolist()) or 'none'}"
            )
        counts = torch.bincount(known, minlength=top)
    n = torch.as_tensor(counts, dtype=torch.float32)
    if num_classes not in (None, len(n)) or not n.numel() or n.min() < 0 or not n.max() > 0:
        raise ValueError(
            f"class_weights: counts must be {num_classes or 'one or more'} numbers from 0, not all "
            f"0, got {n.tolist()}"
        )
    # w_c = max(n_1, n_2, ..., n_C) / n_c
    return torch.where(n > 0, n.max() / n.clamp(min=1), 0.0)
