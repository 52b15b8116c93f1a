from __future__ import annotations

import pytest

from mersynth.synthesis import generate


@pytest.fixture
def pictures() -> None:
    """For a test of the pictures that a store is shown by."""


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures where nobody looks at them: they take longer than a tiny store."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(generate, "draw_gallery", lambda *_: None)
