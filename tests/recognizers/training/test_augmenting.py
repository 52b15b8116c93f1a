"""Augmentation by config: all inputs of a sample alike, from the fold's training clips only."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mersynth.augment import ClipBank, au_sets
from mersynth.config import ConfigError
from recognizers.models.base import InputSpec
from recognizers.training.augmenting import Augmenting, needs_bank

RGB = ("red", "green", "blue")
SPECS = {
    "apex": InputSpec("apex", RGB, (8, 8)),
    "clip": InputSpec("clip", RGB, (8, 8), 4),
    "flow": InputSpec("flow", ("v", "u"), (8, 8), range=None),
}


def batch(count: int = 6) -> dict[str, Any]:
    torch.manual_seed(3)
    return {
        **{name: torch.rand(count, *spec.shape) for name, spec in SPECS.items()},
        "label": torch.arange(count) % 2,
        "au_set": au_sets(["L12", "4", "R12+4", "", "9", "1"][:count]),
        "subject": torch.arange(count),
        "aus": torch.ones(count, 2),
    }


def test_inputs_of_a_sample_are_flipped_together_and_flow_turns() -> None:
    given = batch()
    flipped = Augmenting({"RandomHorizontalFlip": {"p": 0.5}}, SPECS)(given)
    on = [not torch.equal(a, b) for a, b in zip(flipped["apex"], given["apex"], strict=True)]
    assert 0 < sum(on) < 6
    for i, changed in enumerate(on):
        for name in ("apex", "clip"):
            wanted = given[name][i].flip(-1) if changed else given[name][i]
            assert torch.equal(flipped[name][i], wanted)
        mirrored = given["flow"][i].flip(-1) * torch.tensor([1.0, -1.0])[:, None, None]
        assert torch.equal(flipped["flow"][i], mirrored if changed else given["flow"][i])
        sides = given["au_set"][i].flip(-1) if changed else given["au_set"][i]
        assert torch.equal(flipped["au_set"][i][:30], sides[:30])
    assert flipped["aus"] is given["aus"]  # what no augmentation knows passes


def test_region_replacing_takes_one_donor_for_all_inputs() -> None:
    given = batch()
    changed = Augmenting({"RegionReplacing": {"p": 1.0}}, SPECS)(given)
    for i in range(6):
        donors = [
            j
            for j in range(6)
            if all(torch.equal(changed[n][i][..., 4:, :], given[n][j][..., 4:, :]) for n in SPECS)
        ]
        assert len(donors) == 1
        assert donors[0] != i
        assert given["label"][donors[0]] == given["label"][i]
        assert torch.equal(changed["apex"][i][:, :4], given["apex"][i][:, :4])


def test_a_bank_of_the_clips_that_are_learned_from() -> None:
    blocks = {"RegionReplacing": {"p": 1.0, "bank": "training"}}
    assert needs_bank(blocks)
    assert not needs_bank({"RegionReplacing": {"p": 1.0}, "MixUp": None})
    given = batch()
    bank = ClipBank(
        frames=torch.full((1, 1, 3, 8, 8), 0.5),
        label=torch.tensor([1]),
        au_set=au_sets(["17"]),
        subject=torch.tensor([9]),
    )
    specs = {"apex": SPECS["apex"]}
    changed = Augmenting(blocks, specs, {"apex": bank})(given)
    lower = changed["apex"][..., 4:, :]
    assert ((lower == 0.5).flatten(1).all(1) == (given["label"] == 1)).all()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"Flip": {}}, "augment: there is no 'Flip'; there are ColorJitter, .*RegionReplacing"),
        ({"Augmentation": {}}, "there is no 'Augmentation'"),
        ({"EMR": {}}, "there is no 'EMR'"),
        ({"MixUp": {"q": 1}}, r"augment.MixUp: .*'q'"),
        ({"MixUp": {"p": 2.0}}, r"augment.MixUp: .*p must lie in \[0, 1\]"),
        ({"RegionReplacing": {"bank": "everything"}}, "bank must be training, got 'everything'"),
    ],
)
def test_what_does_not_fit_is_refused(blocks: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augmenting(blocks, SPECS)
