from __future__ import annotations

import pytest

from mersynth.synthesis import generate


@pytest.fixture
def pictures() -> None:
    """Make the pictures of a store, for tests of these."""


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures in other tests: they take longer than a tiny store."""
    if "pictures" not in request.fixturenames:
        for name in ("draw_pictures", "write_gallery"):
            monkeypatch.setattr(generate, name, lambda *_: None)
