"""Cards and weights of generators: what no training writes is refused, whatever its checksum."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from mersynth.disk.files import checksum_of, sha256_of_file
from mersynth.gan.checkpoint import CARD, SHIPPED, CheckpointError, load_card, load_generator


def resealed(folder: Path, **changes: object) -> None:
    """Change a card, and its checksum as whoever wrote it would."""
    facts = json.loads((folder / CARD).read_text()) | changes
    weights, sha256 = facts.pop("weights"), facts.pop("sha256")
    del facts["checksum"]
    facts |= {"checksum": checksum_of(facts), "weights": weights, "sha256": sha256}
    (folder / CARD).write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": {"blocks": 10**7}}, "generator.blocks must be in 0..64, got 10000000"),
        ({"generator": {"blocks": None}}, "Expected `int | float | bool | str`, got `null`"),
        ({"generator": {"form": "motion", "more": 1}}, "options .*'more': 1.* are not those of"),
        ({"image_size": 10**9}, "image_size must be in 8..4096, got 1000000000"),
        ({"step": -1}, "step is -1: Expected `int` >= 0"),
        ({"gains": [1.0]}, "there are 1 gains for 20 AUs"),
        ({"training_subjects": ["nobody"]}, "training_subjects.* is 'nobody'"),
        ({"weights": "../generator.safetensors"}, "weights is '../generator.safetensors'"),
        ({"config": {"steps": "many"}}, "config.steps must be a whole number, got 'many'"),
    ],
)
def test_cards_that_no_training_writes_are_refused(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "c")
    resealed(tmp_path / "c", **changes)
    with pytest.raises(CheckpointError, match=said):
        load_generator(tmp_path / "c")


def test_a_changed_card_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "c")
    card = (tmp_path / "c" / CARD).read_text()
    (tmp_path / "c" / CARD).write_text(card.replace("phantom/p1000", "phantom/p9000"))
    with pytest.raises(CheckpointError, match="its checksum is not that of its content"):
        load_card(tmp_path / "c")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "c")
    file = next((tmp_path / "c").glob("*.safetensors"))
    tensors = load_file(file)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] = value
    save_file(tensors, file)
    resealed(tmp_path / "c", sha256=sha256_of_file(file))
    with pytest.raises(CheckpointError, match=f"holds NaN or infinite weights, in {name}"):
        load_generator(tmp_path / "c")
