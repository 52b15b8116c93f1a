"""What holds for every test: workers share the cores, and those marked ``gpu`` need a device."""

from __future__ import annotations

import os

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Read by numeric libraries when they are loaded: workers times threads would be too many.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a ``gpu`` test where there is no device for it."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; there is none")
