"""The baseline, against torchvision's own network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor

from recognizers.models import create_model, describe
from recognizers.models.imagenet import MEAN, STD
from recognizers.models.resnet18 import ResNet18
from tests.recognizers.models.handful import LABELS, memorise, model_config, phantom_clips


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("image", ["apex_minus_onset", "apex"])
def test_forward_is_torchvision_s_network_on_normalised_images(image: str) -> None:
    model = create_model("resnet18", 5, image=image, image_size=64).eval()
    theirs = torchvision.models.resnet18(num_classes=5).eval()
    state = {name.removeprefix("trunk."): tensor for name, tensor in model.state_dict().items()}
    theirs.load_state_dict({n.replace("classifier.", "fc."): tensor for n, tensor in state.items()})
    onset, apex = torch.rand(2, 2, 3, 64, 64)

    def normalised(frame: Tensor) -> Tensor:
        parts = [(frame[:, i] - MEAN[i]) / STD[i] for i in range(3)]
        return torch.stack(parts, dim=1)

    given = apex if image == "apex" else apex - onset
    wanted = normalised(apex) if image == "apex" else normalised(apex) - normalised(onset)
    output = model(**{image: given})
    torch.testing.assert_close(output.logits, theirs(wanted), rtol=1e-3, atol=1e-4)
    assert output.features.shape == (2, 512)


def test_it_is_resnet18() -> None:
    told = describe("resnet18")
    whole = 11_689_512  # of torchvision's documentation, with 1000 classes
    assert told.parameters == whole - 513 * 1000 + 513 * 3
    assert told.multiply_adds == pytest.approx(1.814e9, rel=0.01)  # 1.81 GFLOPS, likewise
    assert told.inputs["apex_minus_onset"].shape == (3, 224, 224)
    assert told.inputs["apex_minus_onset"].range == (-1, 1)
    assert describe("resnet18", image="apex").inputs["apex"].range == (0, 1)


def test_imagenet_weights_start_the_trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    given = torchvision.models.resnet18().state_dict()
    torch.save(given, folder / "resnet18-f37072fd.pth")
    own = create_model("resnet18", 3, weights="imagenet").state_dict()
    for name, tensor in given.items():
        if not name.startswith("fc."):
            assert torch.equal(own[f"trunk.{name}"], tensor), name
    assert own["classifier.weight"].shape == (3, 512)


def test_the_other_image_is_refused() -> None:
    with pytest.raises(ValueError, match="inputs are apex_minus_onset; got apex"):
        ResNet18(3, image_size=32)(apex=torch.rand(1, 3, 32, 32))


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    model = create_model("resnet18", 3, **model_config("resnet18_tiny")["options"])
    clips = phantom_clips(32, 3)
    inputs = {"apex_minus_onset": clips[:, 1] - clips[:, 0]}
    assert memorise(model, inputs, steps=50, lr=1e-3) == LABELS.tolist()
