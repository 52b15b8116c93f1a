"""Starting from a published GANimation generator."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mersynth.facs.action_units import CONDITION_AUS
from mersynth.gan.checkpoint import CheckpointError
from mersynth.gan.ganimation import GANIMATION_AUS, init_from_ganimation
from mersynth.gan.generator import Generator


def published_state(blocks: int = 1) -> dict[str, torch.Tensor]:
    """A state dict with the names that GANimation publishes, of a small generator."""
    torch.manual_seed(1)
    generator = Generator(num_aus=len(GANIMATION_AUS), channels=8, blocks=blocks)
    state = {
        name.replace("trunk.", "main."): torch.randn_like(value)
        for name, value in generator.state_dict().items()
    }
    heads = state.pop("heads.weight")
    return {**state, "img_reg.0.weight": heads[:3], "attetion_reg.0.weight": heads[3:]}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_shared_aus_take_their_channels(tmp_path: Path, prefix: str) -> None:
    state = published_state()
    torch.save({prefix + name: value for name, value in state.items()}, tmp_path / "net_G.pth")
    generator = Generator(channels=8, blocks=1)
    missing = init_from_ganimation(generator, tmp_path / "net_G.pth")
    assert missing == (11, 24, 28, 43)
    own = generator.state_dict()
    torch.testing.assert_close(own["heads.weight"][3:], state["attetion_reg.0.weight"])
    torch.testing.assert_close(own["trunk.9.main.0.weight"], state["main.9.main.0.weight"])
    for au in (1, 12, 26):
        ours, theirs = 3 + CONDITION_AUS.index(au), 3 + GANIMATION_AUS.index(au)
        torch.testing.assert_close(
            own["trunk.0.weight"][:, ours], state["main.0.weight"][:, theirs]
        )


def test_same_answer_for_shared_aus(tmp_path: Path) -> None:
    """With only shared AUs requested, ours equals the published generator."""
    state = published_state()
    save_file(state, tmp_path / "net_G.safetensors")
    ours = Generator(channels=8, blocks=1)
    init_from_ganimation(ours, tmp_path / "net_G.safetensors")
    theirs = Generator(num_aus=17, channels=8, blocks=1)
    heads = torch.cat([state.pop("img_reg.0.weight"), state.pop("attetion_reg.0.weight")])
    trunk = {name.replace("main.", "trunk.", 1): value for name, value in state.items()}
    theirs.load_state_dict({**trunk, "heads.weight": heads})
    image, wanted = torch.rand(1, 3, 16, 16), torch.zeros(1, 20, 2)
    wanted[0, CONDITION_AUS.index(12)] = 0.7
    published = torch.zeros(1, 17, 2)
    published[0, GANIMATION_AUS.index(12)] = 0.7
    torch.testing.assert_close(ours(image, wanted).image, theirs(image, published).image)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_training_scripts_file_is_read_with_what_it_keeps_beside(
    tmp_path: Path, zipped: bool
) -> None:
    """State dict in a mapping, wrapped by DataParallel, beside numbers and arrays of numpy."""
    state = published_state()
    kept = {
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "loss": np.float64(0.5),
        "epoch": np.int64(3),
        "best": [np.float32(1), np.bool_(True), np.str_("a")],
        "mean": np.ones(3),
    }
    file = tmp_path / "net_G.pth"
    torch.save(kept, file, _use_new_zipfile_serialization=zipped)
    ours, theirs = (Generator(channels=8, blocks=1) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    init_from_ganimation(ours, file)
    torch.save(state, tmp_path / "plain.pth")
    init_from_ganimation(theirs, tmp_path / "plain.pth")
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


class Executable:
    """What unpickling would call something for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_what_would_run_code_is_named_and_not_run(tmp_path: Path) -> None:
    state, generator = published_state(), Generator(channels=8, blocks=1)
    extras = {"argparse.Namespace": argparse.Namespace(), ".mkdir": Executable(tmp_path / "ran")}
    for name, extra in extras.items():
        torch.save({"state_dict": state, "extra": extra}, tmp_path / "code.pth")
        with pytest.raises(CheckpointError, match=rf"holds \w*{name}; reading that would run code"):
            init_from_ganimation(generator, tmp_path / "code.pth")
    assert not (tmp_path / "ran").exists()


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    torch.save(published_state(blocks=2), tmp_path / "large.pth")
    with pytest.raises(CheckpointError, match=r"trunk\.\S+ has shape"):
        init_from_ganimation(Generator(channels=8, blocks=1), tmp_path / "large.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(CheckpointError, match=r"text.pth"):
        init_from_ganimation(Generator(channels=8, blocks=1), tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match=r"expected named tensors in \S+list.pth, got list"):
        init_from_ganimation(Generator(channels=8, blocks=1), tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match=r"no weights at"):
        init_from_ganimation(Generator(channels=8, blocks=1), tmp_path / "none.pth")
