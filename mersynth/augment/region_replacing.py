"""Region Replacing (Ruan et al., ACM MM 2022, 3.2): half of the face from another sample."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from mersynth.augment.au_sets import rows_of
from mersynth.augment.bank import ClipBank
from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.halves import Region, in_region, region_mask, seam_of
from mersynth.checks import check_choice
from mersynth.facs.action_units import ACTION_UNITS, CONDITION_AUS

Mixing = Literal["halves", "union"]
Boundary = Literal["middle", "landmarks"]


class RegionReplacing(Augmentation):
    """Give a sample the mouth (or the eyes) of another sample of its class (``docs/augment.md``).

    Args:
        p: probability that a sample is changed (paper: 0.5).
        region: the half that is replaced, ``"mouth"`` (paper) or ``"eyes"``.
        mixing: how ``"aus"`` and ``"au_set"`` are mixed. ``"halves"`` (paper): AUs of the replaced
            half (``ActionUnit.half``) are the donor's, all others the receiver's. ``"union"``
            (published code): the stronger of both. NaN where a value used was not measured.
        boundary: ``"middle"`` (paper): the image's middle row; ``"landmarks"``: the receiver's
            :func:`mersynth.augment.halves.seam_of`.
        feather: height of the band in which both halves are blended linearly, centred on the
            boundary, as a share of the image's height; 0: a hard cut.
        different_subject: only use donors of another subject.
        bank: donors to draw from instead of the batch. A receiver that is in the bank may get its
            own half, unless ``different_subject``.
        generator: see :class:`Augmentation`.

    Inputs:
        A mapping with ``"image"`` or ``"clip"`` in any range, and ``"label"``; ``"subject"`` for
        ``different_subject``, ``"landmarks"`` for ``boundary="landmarks"``.

    Attributes:
        params: ``"donor"`` (B,) int64, the donor's position in the batch or the bank, -1 if there
            is none; ``"seam"`` (B, 2), the boundary's height at the image's left and right edge as
            a share of its height, NaN without landmarks; ``"on"`` (B,), False for samples without
            donor or seam, which are not changed.

    Raises:
        ValueError: if an argument is out of range; in the call, if an input is missing, the bank
            does not fit, or landmarks are implausible.

    Example:
        >>> replace_region = RegionReplacing(p=1.0)
        >>> batch = {"image": torch.rand(4, 3, 64, 64), "label": torch.tensor([0, 0, 1, 2])}
        >>> mixed = replace_region(batch)
        >>> replace_region.params["donor"].tolist()
        [1, 0, -1, -1]
        >>> torch.equal(mixed["image"][0, :, 32:], batch["image"][1, :, 32:])
        True
    """

    def __init__(
        self,
        p: float = 0.5,
        region: Region = "mouth",
        mixing: Mixing = "halves",
        boundary: Boundary = "middle",
        feather: float = 0.0,
        different_subject: bool = False,
        bank: ClipBank | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(p, generator)
        for name, value, kind in (
            ("region", region, Region),
            ("mixing", mixing, Mixing),
            ("boundary", boundary, Boundary),
        ):
            check_choice(f"RegionReplacing: {name}", value, get_args(kind))
        if not 0 <= feather <= 1:
            raise ValueError(
                "RegionReplacing: feather is a share of the image's height and must lie in [0, 1], "
                f"got {feather}"
            )
        if different_subject and bank is not None and bank.subject is None:
            raise ValueError("RegionReplacing: different_subject needs a bank with subjects")
        self.region, self.mixing, self.boundary = region, mixing, boundary
        self.feather, self.different_subject, self.bank = feather, different_subject, bank

    def draw(self, batch: Batch) -> Params:
        """Donors and boundaries."""
        donor = pick(self._eligible(batch), self.uniform(batch, 0, 1))
        if self.boundary == "landmarks":
            seam = seam_of(_needed(batch, "landmarks"), batch.frames.shape[-2:])
        else:
            seam = batch.frames.new_full((len(batch), 2), 0.5, dtype=torch.float32)
        return {"donor": donor, "seam": seam, "on": (donor >= 0) & seam.isfinite().all(1)}

    def transform(self, batch: Batch, params: Params) -> Batch:
        """The batch with the half of each sample's donor."""
        rows = params["donor"].clamp(min=0)
        donor = _rows(batch, rows) if self.bank is None else self.bank.take(rows, batch)
        mask = region_mask(params["seam"], batch.frames.shape[-2:], self.region, self.feather)
        mask = mask[:, None, None].to(batch.frames.dtype)
        mixed: dict[str, Any] = {"frames": torch.lerp(batch.frames, donor.frames, mask)}
        if batch.aus is not None and donor.aus is not None:
            mixed["aus"] = mix_intensities(batch.aus, donor.aus, self.region, self.mixing)
        if batch.au_set is not None and donor.au_set is not None:
            mixed["au_set"] = mix_au_sets(batch.au_set, donor.au_set, self.region, self.mixing)
        if batch.landmarks is not None and donor.landmarks is not None:
            size = batch.frames.shape[-2:]
            theirs = in_region(batch.landmarks, donor.landmarks, params["seam"], size, self.region)
            mixed["landmarks"] = torch.where(
                theirs[:, None, :, None], donor.landmarks, batch.landmarks
            )
        return replace(batch, **mixed)

    def extra_repr(self) -> str:
        """The options."""
        donors = "" if self.bank is None else f", bank of {len(self.bank)}"
        return (
            f"{super().extra_repr()}, region={self.region}, mixing={self.mixing}, "
            f"boundary={self.boundary}, feather={self.feather}, "
            f"different_subject={self.different_subject}{donors}"
        )

    def _eligible(self, batch: Batch) -> Tensor:
        """(B, N) bool: the possible donors of each sample."""
        label = _needed(batch, "label")
        pool: Batch | ClipBank = batch if self.bank is None else self.bank
        assert pool.label is not None  # a bank has one, the batch's was asked for
        eligible = label[:, None] == pool.label.to(batch.device)
        if self.bank is None:
            eligible = eligible & ~torch.eye(len(batch), dtype=torch.bool, device=batch.device)
        if self.different_subject:
            subject = _needed(batch, "subject")
            assert pool.subject is not None  # likewise
            eligible = eligible & (subject[:, None] != pool.subject.to(batch.device))
        return eligible


def pick(eligible: Tensor, chance: Tensor) -> Tensor:
    """One of the eligible columns for each row.

    Args:
        eligible: (B, N) bool.
        chance: (B,) in [0, 1), uniform.

    Returns:
        (B,) int64, each of a row's eligible columns with the same probability; -1 if it has none.
    """
    count = eligible.sum(1)  # (B,)
    rank = (chance * count).long().clamp(max=(count - 1).clamp(min=0))
    chosen = (eligible.cumsum(1) > rank[:, None]).to(torch.uint8).argmax(1)
    return torch.where(count > 0, chosen, -1)


def mix_au_sets(receiver: Tensor, donor: Tensor, region: Region, mixing: Mixing) -> Tensor:
    """AUs of samples whose region was replaced; see :class:`RegionReplacing`.

    Args:
        receiver: (B, S, 2), rows as ``au_sets.ORDER``.
        donor: (B, S, 2).
        region: the half that was replaced.
        mixing: ``"halves"`` or ``"union"``.

    Returns:
        (B, S, 2).

    Example:
        >>> from mersynth.augment.au_sets import au_sets
        >>> mixed = mix_au_sets(au_sets(["4+12"]), au_sets(["1+17"]), "mouth", "halves")
        >>> torch.equal(mixed, au_sets(["4+17"]))
        True
    """
    if mixing == "union":
        return torch.maximum(receiver, donor)
    return torch.where(rows_of(region, device=receiver.device)[:, None], donor, receiver)


def mix_intensities(receiver: Tensor, donor: Tensor, region: Region, mixing: Mixing) -> Tensor:
    """AU intensities of samples whose region was replaced; see :class:`RegionReplacing`.

    Args:
        receiver: (B, T, 20) in [0, 1], columns as ``CONDITION_AUS``; NaN: not measured.
        donor: (B, T, 20).
        region: the half that was replaced.
        mixing: ``"halves"`` or ``"union"``; the stronger of a known and an unknown intensity is
            unknown.

    Returns:
        (B, T, 20).
    """
    if mixing == "union":
        return torch.maximum(receiver, donor)  # NaN if either is
    theirs = [ACTION_UNITS[number].half == region for number in CONDITION_AUS]
    return torch.where(torch.tensor(theirs, device=receiver.device), donor, receiver)


def _rows(batch: Batch, rows: Tensor) -> Batch:
    """The samples of the batch at these rows."""
    known = {
        field.name: value[rows]
        for field in fields(batch)
        if (value := getattr(batch, field.name)) is not None
    }
    return replace(batch, **known)


def _needed(batch: Batch, name: str) -> Tensor:
    value = getattr(batch, name)
    if value is None:
        raise ValueError(
            f"RegionReplacing needs {name!r} with these options: give a mapping with 'image' or "
            f"'clip', and {name!r}"
        )
    return value
