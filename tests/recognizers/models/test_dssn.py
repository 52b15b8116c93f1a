"""DSSN: two of SSSN's trunks, and their merger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recognizers.data.inputs import build_inputs
from recognizers.models import create_model, describe
from recognizers.models.dssn import DSSN
from tests.recognizers.models.handful import (
    LABELS,
    memorise,
    model_config,
    phantom_flow,
    phantom_store,
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_the_sizes_are_those_of_the_figure_and_of_a_port() -> None:
    told = describe("dssn", num_classes=5)
    convolutions = 96 * (3 * 11**2 + 1) + 256 * (48 * 5**2 + 1)
    assert told.parameters == 2 * convolutions + 5 * (57600 + 1)  # 57600 stands in the figure
    assert round(told.parameters / 1e6, 2) == 0.97  # of a port in PyTorch, by its README
    assert list(told.inputs) == ["flow_magnitude", "flow_strain"]
    assert told.inputs["flow_strain"].shape == (3, 227, 227)


@pytest.mark.parametrize("merger", ["multiply", "add", "concatenate"])
def test_the_merger_joins_the_maps_of_both_streams(merger: str) -> None:
    model = create_model("dssn", 4, merger=merger, image_size=67).eval()
    # Each stream alone is an SSSN, whose trunk is tested by itself.
    maps = {}
    inputs = {name: torch.randn(2, 3, 67, 67) for name in ("flow_magnitude", "flow_strain")}
    for name, image in inputs.items():
        single = create_model("sssn", 4, image=name, image_size=67).eval()
        prefix = f"streams.{name}."
        state = {n: t for n, t in model.state_dict().items() if n.startswith(prefix)}
        single.get_submodule("trunk").load_state_dict(
            {n.removeprefix(prefix): t for n, t in state.items()}
        )
        maps[name] = single(**{name: image}).features.double().detach().numpy()
    first, second = maps["flow_magnitude"], maps["flow_strain"]
    if merger == "concatenate":
        wanted = np.concatenate([first, second], axis=1)
    else:
        wanted = first * second if merger == "multiply" else first + second
    output = model(**inputs)
    torch.testing.assert_close(output.features.double(), torch.from_numpy(wanted))
    p = model.state_dict()
    logits = output.features @ p["classifier.weight"].T + p["classifier.bias"]
    torch.testing.assert_close(output.logits, logits)


def test_a_handful_of_phantom_clips_is_memorised() -> None:
    config = model_config("dssn_tiny")
    assert config["training"]["standardise"]
    model = DSSN(3, **config["options"])
    flow_strain = phantom_flow(63)
    length = flow_strain[:, :2].norm(dim=1, keepdim=True)
    inputs = {"flow_magnitude": torch.cat([flow_strain[:, :2], length], 1)}
    inputs["flow_strain"] = flow_strain
    assert memorise(model, inputs, steps=50, lr=1e-4) == LABELS.tolist()


def test_it_reads_a_store(tmp_path: Path) -> None:
    model = DSSN(3, image_size=63)
    data = build_inputs(phantom_store(tmp_path / "phantom"), model.inputs, "three")
    assert model(**data.inputs).logits.shape == (len(data.clips), 3)
