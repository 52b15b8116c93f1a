"""Tests of ELRCN: its encoder against torchvision's VGG-16, its enrichments, its loss."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models import vgg16
from torchvision.models.vgg import make_layers

import recognizers
from recognizers.data.input_kinds import INPUT_KINDS
from recognizers.models.elrcn.encoder import FrameEncoder
from recognizers.models.elrcn.model import ELRCN, flow_image
from tests.recognizers.models.handful import LABELS, memorise, model_config, phantom_clips

CHANNELS = {"none": 2, "spatial": 4, "temporal": 4}
ENRICHMENTS = list(CHANNELS)
VGG16 = 64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tiny(num_classes: int = 3, **options: Any) -> ELRCN:
    options = {**model_config("elrcn_tiny")["options"], **options}
    model = recognizers.create_model("elrcn", num_classes, **options)
    assert isinstance(model, ELRCN)
    return model


def movement(enrichment: str, count: int = 2, frames: int = 3) -> Tensor:
    x = torch.rand(count, frames, CHANNELS[enrichment], 32, 32)
    return torch.cat([12 * x[:, :, :2] - 6, x[:, :, 2:]], 2)


# --- the encoder ---------------------------------------------------------------------------------


def test_the_encoder_is_torchvision_s_vgg16() -> None:
    """Names and shapes of its weights, but for the last layer."""
    with torch.device("meta"):
        theirs = {name: p.shape for name, p in vgg16().named_parameters()}
        ours = {n: p.shape for n, p in FrameEncoder(3, 64, 4096, "none", False).named_parameters()}
    assert [theirs.pop(f"classifier.6.{part}")[0] for part in ("weight", "bias")] == [1000, 1000]
    renamed = {
        n.replace("classifier.0", "fc6").replace("classifier.3", "fc7"): s
        for n, s in theirs.items()
    }
    assert ours == renamed


@pytest.mark.parametrize("size", [32, 64])
def test_the_encoder_computes_what_torchvision_s_does(size: int) -> None:
    ours = FrameEncoder(3, 8, 16, "none", False).eval()
    features = make_layers([v if v == "M" else int(v) // 8 for v in VGG16])
    features.load_state_dict(ours.features.state_dict())
    pictures = torch.randn(2, 3, size, size)
    maps = F.adaptive_avg_pool2d(features(pictures), 7).flatten(1)
    wanted = ours.fc7(ours.fc6(maps).relu()).relu()
    assert wanted.std() > 0.01
    for code in ours(pictures):
        torch.testing.assert_close(code, wanted)


def test_what_reads_the_codes_sees_no_dropout_and_sends_no_gradient_back() -> None:
    encoder = FrameEncoder(3, 8, 64, "none", False)
    pictures = torch.randn(4, 3, 32, 32)
    trained, code = encoder(pictures)
    assert trained.requires_grad
    assert not code.requires_grad
    torch.testing.assert_close(code, encoder.eval()(pictures)[1])
    assert ((trained == 0) & (code > 0)).float().mean() > 0.1


def test_imagenet_weights_find_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow VGG-16; they are for three channels and the full width."""
    weights = {
        f"features.{name}": torch.rand_like(p)
        for name, p in FrameEncoder(3, 8, 16, "none", False).features.state_dict().items()
    }
    for number, shape in ((0, (16, 64 * 49)), (3, (16, 16)), (6, (1000, 16))):
        weights[f"classifier.{number}.weight"] = torch.rand(shape)
        weights[f"classifier.{number}.bias"] = torch.rand(shape[0])
    monkeypatch.setattr("recognizers.models.elrcn.encoder.imagenet_weights", lambda name: weights)
    monkeypatch.setattr("recognizers.models.elrcn.encoder._VGG16", (3, 8, 16))
    model = tiny(enrichment="temporal", code_width=16, weights="imagenet", freeze=True)
    for encoder in model.encoders.values():
        assert isinstance(encoder, FrameEncoder)
        assert torch.equal(encoder.features[28].weight, weights["features.28.weight"])
        assert torch.equal(encoder.fc6.weight, weights["classifier.0.weight"])
        assert torch.equal(encoder.fc7.bias, weights["classifier.3.bias"])
    model.loss(model(movement=movement("temporal", 6)), LABELS).backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    kept = {n for n, _ in model.named_parameters() if ".features." in n or ".fc6." in n}
    assert trained == {n for n, _ in model.named_parameters()} - kept
    with pytest.raises(ValueError, match=r"for 3 channels, .* not for 5, 8 and 16"):
        tiny(enrichment="spatial", code_width=16, weights="imagenet")


def test_imagenet_weights_that_cannot_be_had_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("recognizers.models.elrcn.encoder._VGG16", (3, 8, 64))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(ValueError, match=r"ImageNet weights of vgg16: .*weights=none"):
        tiny(weights="imagenet")


# --- the whole -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enrichment", "streams", "channels"), [("none", 1, 3), ("spatial", 1, 5), ("temporal", 3, 3)]
)
def test_the_layers_are_as_large_as_the_paper_s(
    enrichment: Any, streams: int, channels: int
) -> None:
    with torch.device("meta"):
        model = ELRCN(3, enrichment=enrichment)
    vgg = 138_357_544 - (4096 * 1000 + 1000) + (channels - 3) * 64 * 9  # VGG-16 but for its last
    codes = streams * 4096
    lstm = 4 * (3000 * (codes + 3000) + 2 * 3000)
    last = 3000 * 128 + 128 + 128 * 3 + 3
    wanted = streams * (vgg + 4096 * 3 + 3) + lstm + last
    assert sum(p.numel() for p in model.parameters()) == wanted
    assert model.inputs["movement"].shape == (9, CHANNELS[enrichment], 224, 224)


def test_flow_images_are_those_of_the_published_code() -> None:
    """round(16 d + 128), cut to 0..255, of u, v and their length."""
    flow = torch.tensor([[3.0, -4.0], [-20.0, 0.0]])[..., None, None]
    image = flow_image(flow)[..., 0, 0]
    grey = [[16 * 3 + 128, 128 - 16 * 4, 16 * 5 + 128], [0, 128, 255]]
    torch.testing.assert_close(image, torch.tensor(grey) / 255)


@pytest.mark.parametrize("enrichment", ENRICHMENTS)
def test_forward_is_the_chain(enrichment: Any) -> None:
    """Frame by frame through the encoders, step by step through the LSTM."""
    model = tiny(4, enrichment=enrichment).eval()
    clips = movement(enrichment)
    clips[0, 0, 2:] *= 3  # what lies above 1 is white
    output = model(movement=clips)
    w_ih, w_hh, b_ih, b_hh = model.lstm.parameters()
    for b in range(2):
        h = c = torch.zeros(32)
        for t in range(3):
            flow, others = clips[b, t, :2], clips[b, t, 2:].clamp(max=1)
            length = (flow[:1] ** 2 + flow[1:] ** 2) ** 0.5
            painted = ((torch.cat([flow, length]) * 16 + 128) / 255).clamp(0, 1)
            seen = {"flow": painted}
            if enrichment == "spatial":
                seen = {"stack": torch.cat([painted, others])}
            elif enrichment == "temporal":
                seen |= {"strain": others[:1].repeat(3, 1, 1), "grey": others[1:].repeat(3, 1, 1)}
            codes = [model.encoders[n](4 * p[None] - 2)[1][0] for n, p in seen.items()]
            for name, code in zip(seen, codes, strict=True):
                torch.testing.assert_close(
                    output.extras[f"{name}_logits"][b, t], model.heads[name](code)
                )
            gates = w_ih @ torch.cat(codes) + b_ih + w_hh @ h + b_hh
            i, f, g, o = gates.split(32)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        features = torch.relu(model.dense(h))
        torch.testing.assert_close(output.features[b], features)
        torch.testing.assert_close(output.logits[b], model.classifier(features))


def test_the_loss_counts_clips_and_frames() -> None:
    model = tiny(enrichment="temporal").eval()
    output = model(movement=movement("temporal"))
    labels = torch.tensor([2, 0])
    wanted = F.cross_entropy(output.logits, labels).item()
    for name in ("flow", "strain", "grey"):
        log_p = output.extras[f"{name}_logits"].detach().log_softmax(2)
        wanted -= sum(float(log_p[b, t, labels[b]]) for b in range(2) for t in range(3)) / 6
    assert model.loss(output, labels).item() == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(ValueError, match=r"the loss of \w+ needs nothing; got aus"):
        model.loss(output, labels, aus=torch.zeros(2))


def test_clips_train_the_lstm_and_frames_the_encoders() -> None:
    model = tiny()
    output = model(movement=movement("none", 6))
    F.cross_entropy(output.logits, LABELS).backward()
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {"lstm", "dense", "classifier"}


@pytest.mark.parametrize(
    ("enrichment", "steps", "lr"),
    [
        pytest.param("none", 400, 1e-3, marks=pytest.mark.slow),
        pytest.param("spatial", 500, 1e-3, marks=pytest.mark.slow),
        pytest.param("temporal", 200, 2e-3, marks=pytest.mark.slow),
    ],
)
def test_a_handful_of_phantom_clips_is_memorised(enrichment: Any, steps: int, lr: float) -> None:
    model = tiny(enrichment=enrichment, num_frames=2)
    spec = model.inputs["movement"]
    clips = phantom_clips(64, 5)[:, :3]
    x = INPUT_KINDS[spec.made_of].build([], {"tim": clips}, spec)
    x = F.avg_pool3d(x, (1, 2, 2))
    assert memorise(model, {"movement": x}, steps=steps, lr=lr) == LABELS.tolist()


@pytest.mark.parametrize(
    ("name", "made_of"),
    [
        ("elrcn", "flow_clip"),
        ("elrcn_published", "step_flow_clip"),
        ("elrcn_se", "flow_strain_grey_clip"),
        ("elrcn_te", "flow_strain_grey_clip"),
    ],
)
def test_a_config_says_what_is_read_and_imagenet_weights_fit(name: str, made_of: str) -> None:
    options = model_config(name)["options"]
    weights = options["weights"]
    with torch.device("meta"):
        model = ELRCN(3, **{**options, "weights": "none", "freeze": False})
    spec = model.inputs["movement"]
    assert (spec.made_of, spec.channels) == (made_of, INPUT_KINDS[made_of].channels)
    assert (weights == "imagenet") == (name != "elrcn_se")
    for encoder in model.encoders.values() if weights == "imagenet" else ():
        assert encoder.features[0].weight.shape == (64, 3, 3, 3)
        assert encoder.fc7.weight.shape == (4096, 4096)
