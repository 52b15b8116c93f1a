"""py-feat with small random weights, and frames with and without a face that it finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mersynth.face.feat_models import import_feat
from tests.face import random_weights

SIDE = 96


def _picture(waves: np.ndarray) -> np.ndarray:
    return np.round(waves).astype(np.uint8)[..., None].repeat(3, 2)


def _pictures() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    seen = 127 + 100 * np.sin(x / 5) * np.cos(y / 7)
    unseen = 200 * np.exp(-((x - 50) ** 2 + (y - 40) ** 2) / 400)
    return _picture(seen), _picture(unseen)


@pytest.fixture(autouse=True)
def _autograd_as_before() -> Iterator[None]:
    """Restore autograd, which py-feat's detectors switch off permanently."""
    yield
    torch.set_grad_enabled(True)


@pytest.fixture(scope="session", name="frames")
def _frames() -> np.ndarray:
    """(5, 96, 96, 3) uint8; the random RetinaFace sees a face in all but frames 1 and 4."""
    seen, unseen = _pictures()
    return np.stack([seen, unseen, seen, seen, unseen])


@pytest.fixture(scope="session", name="py_feat")
def _py_feat() -> None:
    """Skip where py-feat cannot be imported: the lowest torch has no torchcodec that it takes."""
    try:
        import_feat()
    except ValueError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", name="random_folder")
def _random_folder(tmp_path_factory: pytest.TempPathFactory, py_feat: None) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    seen, unseen = (torch.from_numpy(p).permute(2, 0, 1)[None] for p in _pictures())
    random_weights.write_retinaface(folder, seen, unseen)
    random_weights.write_multitask(folder)
    random_weights.write_mobilefacenet(folder)
    random_weights.write_trees(folder)
    return folder


@pytest.fixture(name="feat_weights")
def _feat_weights(random_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All weights are on this machine."""
    monkeypatch.setenv("MERSYNTH_WEIGHTS", str(random_folder))
    monkeypatch.delenv("FEAT_MULTITASK_WEIGHTS", raising=False)
    return random_folder


@pytest.fixture(name="no_weights")
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights are on this machine."""
    monkeypatch.setenv("MERSYNTH_WEIGHTS", str(tmp_path))
    monkeypatch.delenv("FEAT_MULTITASK_WEIGHTS", raising=False)
    return tmp_path
