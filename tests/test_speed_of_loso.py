"""The plain loops that leave-one-subject-out and MMNet are timed beside do the same work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mersynth import config
from recognizers.models import create_model
from tests.script_modules import script


def test_the_plain_loop_tests_every_clip_of_its_folds(tmp_path: Path) -> None:
    loso = script("measuring.speed.loso")
    loso.write_flow(tmp_path / "flow.npz", people=5)
    subjects = np.load(tmp_path / "flow.npz")["subject"]
    found = loso.plain_loso(tmp_path / "flow.npz", folds=2, epochs=1, device=torch.device("cpu"))
    assert [len(fold) for fold in found] == [(subjects == name).sum() for name in ("00", "01")]
    assert all(np.allclose(fold.sum(1), 1, atol=1e-5) for fold in found)
    ours, plain = create_model("ststnet", 3), loso.PlainSTSTNet()
    sizes = [sum(p.numel() for p in model.parameters()) for model in (ours, plain)]
    assert sizes[0] == sizes[1]


def test_the_plain_data_set_decodes_the_frames_of_the_store(tmp_path: Path) -> None:
    loso = script("measuring.speed.loso")
    store = loso.write_store(tmp_path / "store", 3, 32)
    block = config.load("evaluate", ["model=mmnet_tiny"]).model
    data = loso.JPEGs(tmp_path / "frames", store, block)
    data.change = torch.nn.Identity()
    onset, apex, label = data[1]
    frames = torch.from_numpy(np.array(store[1].frames)).movedim(-1, 1).float() / 255
    for image, near in ((onset, range(4)), (apex, range(loso.APEX - 3, loso.APEX + 1))):
        distance = (frames - image).abs().mean((1, 2, 3))
        assert int(distance.argmin()) in near
        assert distance.min() < 0.05  # JPEG loses little of smooth frames
    assert label == 1
