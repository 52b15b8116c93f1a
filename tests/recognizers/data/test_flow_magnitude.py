"""The input of flow and its length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mersynth.features.cache import load_feature
from recognizers.data.inputs import build_inputs
from recognizers.models import InputSpec
from tests.recognizers.models.handful import phantom_store


def test_the_third_channel_is_the_length_of_the_flow(tmp_path: Path) -> None:
    store = phantom_store(tmp_path / "phantom")
    spec = InputSpec("flow_magnitude", ("u", "v", "magnitude"), (32, 32), range=None)
    built = build_inputs(store, {"image": spec}, "three").inputs["image"].numpy()
    flow = load_feature(store, "flow")
    np.testing.assert_array_equal(built[:, :2], flow)
    np.testing.assert_allclose(built[:, 2], np.hypot(flow[:, 0], flow[:, 1]), atol=1e-6)
    assert built[:, 2].max() > 0.1
