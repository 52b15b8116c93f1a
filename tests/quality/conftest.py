"""What tests of the measures share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(name="rng")
def _rng() -> np.random.Generator:
    """The same draws for every test."""
    return np.random.default_rng(0)
