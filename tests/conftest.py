"""What every test may use: the real annotation tables, and fake trees of the databases."""

from __future__ import annotations

from pathlib import Path

import pytest

ANNOTATIONS = Path(__file__).resolve().parents[2] / "shared" / "annotations"


@pytest.fixture(scope="session")
def annotations() -> Path:
    """Folder of the databases' real annotation tables, which are licensed and not shipped."""
    if not ANNOTATIONS.is_dir():
        pytest.skip(f"the real annotation tables are not at {ANNOTATIONS}")
    return ANNOTATIONS
