from __future__ import annotations

from pathlib import Path

import pytest

from mersynth.gan.train import train
from mersynth.synthesis import generate
from tests.tiny_store import tiny_clips, write_tiny_store


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, a generator for it, and a pair of generators for two groups."""
    folder = tmp_path_factory.mktemp("generate")
    store = write_tiny_store(folder / "samm", tiny_clips(subjects=6, each=2))
    one = ["gan=tiny", "batch_size=4", "critic_steps=1", "au_reading_steps=0", "steps=1"]
    one.append("device=cpu")
    train(store_path=store.path, out=folder / "one", overrides=one)
    train(store_path=store.path, out=folder / "two", subject_groups=2, overrides=one)
    return folder


@pytest.fixture
def pictures() -> None:
    """Make the pictures of a store, for tests of these."""


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures in other tests: they take longer than a tiny store."""
    if "pictures" not in request.fixturenames:
        for name in ("draw_pictures", "write_gallery"):
            monkeypatch.setattr(generate, name, lambda *_: None)
