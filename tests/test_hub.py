"""Loading and saving of trained weights: folders, the Hugging Face Hub, and ``torch.hub``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import numpy as np
import pytest
import torch
import yaml

from mersynth.clips import Clip
from mersynth.gan.checkpoint import SHIPPED, CheckpointCard, CheckpointError, save_generator
from mersynth.gan.forms import make_generator
from mersynth.gan.pretrained import PretrainedGenerator
from mersynth.hub import HubError
from mersynth.store.clip_store import StoredClip
from mersynth.synthesis.generators import IcganGenerator
from recognizers.trained.card import RecognizerError, shipped
from recognizers.trained.recognizer import TrainedRecognizer, load

REPOSITORY = Path(__file__).parents[1]
SMALL = {"num_aus": 20, "channels": 8, "blocks": 1}


def paint_checkpoint(folder: Path) -> Path:
    """A generator of the form that only paints, with random weights and some gains."""
    torch.manual_seed(0)
    card = CheckpointCard(
        image_size=32,
        aus=(1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43),
        generator=SMALL,
        training_subjects=("samm/006",),
        unseen_subjects=("samm/007",),
        groups=1,
        seed=0,
        step=3,
        config={"steps": 3},
        gains=tuple(np.linspace(0.8, 1.5, 20).tolist()),
    )
    save_generator(folder, make_generator(32, **SMALL).state_dict(), card)
    return folder


@pytest.fixture(scope="module", name="checkpoints")
def _checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"motion": SHIPPED, "paint": paint_checkpoint(tmp_path_factory.mktemp("c") / "paint")}


@pytest.mark.parametrize("form", ["motion", "paint"])
def test_a_generator_moves_faces_as_generate_does(checkpoints: dict[str, Path], form: str) -> None:
    side, chance = 32, np.random.default_rng(0)
    face = chance.integers(0, 256, (1, side, side, 3), np.uint8)
    curve = chance.random((3, 20, 2), np.float32)
    maker = IcganGenerator(checkpoints[form])
    maker.load(side, torch.device("cpu"))
    clip = Clip(source="s", subject="1", name="1", onset=0, apex=0, offset=0, emotion="anger")
    stored = StoredClip(clip, face, np.zeros((1, 20, 2)), np.zeros((1, 68, 2)))
    wanted = maker.animate([stored], curve[None])[0]
    generator = PretrainedGenerator.from_pretrained(checkpoints[form])
    image = torch.from_numpy(face).permute(0, 3, 1, 2) / 255
    aus = torch.from_numpy(curve)
    with torch.inference_mode():
        moved = generator(image, aus, aus[:1].expand_as(aus))
    torch.testing.assert_close(moved, wanted, rtol=0, atol=1e-4)
    assert (moved[1] - moved[0]).abs().max() > 0.01
    with pytest.raises(ValueError, match=r"aus must have shape \(3, 20, 2\)"):
        generator(image, aus[:, :19])


def test_a_generator_is_saved_and_loaded(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    generator = PretrainedGenerator.from_pretrained(str(checkpoints["paint"]))
    generator.save_pretrained(tmp_path / "copy")
    again = PretrainedGenerator.from_pretrained(tmp_path / "copy")
    assert again.card == generator.card  # with the SHA-256 that clips name it by
    for one, other in zip(again.parameters(), generator.parameters(), strict=True):
        assert torch.equal(one, other)
    _, front, text = (tmp_path / "copy/README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "mersynth"
    assert "| trained on | 1 people |" in text
    assert generator.card.sha256 in text
    assert "| phantom |" not in text
    with pytest.raises(HubError, match="copy exists already; remove it"):
        generator.save_pretrained(tmp_path / "copy")
    with torch.no_grad():
        next(generator.parameters())[0] += 1
    with pytest.raises(HubError, match="the weights are no longer those of"):
        generator.save_pretrained(tmp_path / "changed")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_recognizer_is_saved_and_loaded(tmp_path: Path) -> None:
    recognizer = TrainedRecognizer.from_pretrained("phantom-ststnet", "cpu")
    recognizer.save_pretrained(tmp_path / "copy")
    again = TrainedRecognizer.from_pretrained(tmp_path / "copy", "cpu")
    assert again.card == recognizer.card
    inputs = {
        name: np.random.default_rng(0).random((2, *spec.shape), np.float32)
        for name, spec in recognizer.inputs.items()
    }
    np.testing.assert_array_equal(again.predict_proba(inputs), recognizer.predict_proba(inputs))
    text = (tmp_path / "copy/README.md").read_text()
    assert "| system | ststnet |" in text
    assert "trained on rendered faces (the phantom) only" in text
    assert load(tmp_path / "copy", "cpu").card == recognizer.card


def test_what_is_wrong_is_said(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"no generator at \S+missing \(no generator.json\)"):
        PretrainedGenerator.from_pretrained(tmp_path / "missing")
    with pytest.raises(RecognizerError, match="no recognizer at missing"):
        TrainedRecognizer.from_pretrained("missing")
    with pytest.raises(CheckpointError, match="no generator at"):
        PretrainedGenerator.from_pretrained(shipped()["phantom-ststnet"])
    with pytest.raises(HubError, match="revision is for a repository of the Hub"):
        PretrainedGenerator.from_pretrained(SHIPPED, revision="main")
    broken = shutil.copytree(checkpoints["paint"], tmp_path / "broken")
    weights = broken / json.loads((broken / "generator.json").read_text())["weights"]
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="is missing or damaged"):
        PretrainedGenerator.from_pretrained(broken)


def test_a_repository_of_the_hub(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []

    def snapshot(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        assert "*.safetensors" in allow_patterns
        return str(SHIPPED if name == "lab/phantom" else shipped()["phantom-sssn"])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    generator = PretrainedGenerator.from_pretrained("lab/phantom", revision="v1")
    assert generator.card == PretrainedGenerator.from_pretrained("shipped").card
    assert TrainedRecognizer.from_pretrained("lab/sssn", "cpu").card.model == "sssn"
    assert asked == [("lab/phantom", "v1"), ("lab/sssn", None)]
    shutil.copytree(checkpoints["paint"], tmp_path / "lab/phantom")  # a folder goes first
    assert PretrainedGenerator.from_pretrained("lab/phantom").card.image_size == 32
    assert len(asked) == 2


def test_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"there is no folder no/such, .*; name a folder, or a rep"):
        TrainedRecognizer.from_pretrained("no/such")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(HubError, match="takes `pip install huggingface_hub`"):
        PretrainedGenerator.from_pretrained("no/such")


def test_torch_hub() -> None:
    generator = torch.hub.load(str(REPOSITORY), "phantom_generator", source="local")
    assert generator.card.sha256 == PretrainedGenerator.from_pretrained("shipped").card.sha256
    assert not generator.training
    for name in shipped():
        found = torch.hub.load(str(REPOSITORY), name.replace("-", "_"), "cpu", source="local")
        assert found.path == shipped()[name]
    loaded = torch.hub.load(str(REPOSITORY), "generator", str(SHIPPED), source="local")
    assert loaded.card == generator.card
