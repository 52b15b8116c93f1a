"""What holds for every test: workers share the cores, and those marked ``gpu`` need a device."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Read by numeric libraries when they are loaded: workers times threads would be too many.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Where more are asked for, those that wait leave the cores to the other workers.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


#: Folders whose tests share what takes seconds to make: one worker makes it once.
TOGETHER = ("tests/face/",)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """``--dist loadfile``, but for a folder that is one worker's (xdist's own recipe)."""
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            return next((folder for folder in TOGETHER if scope.startswith(folder)), scope)

    return ByFileOrFolder(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import without the garbage collector, which would look through what stays anyway."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Let what was imported be freed: extensions report what is left of them at the end."""
    gc.unfreeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--shift-seeds N``: whether tests of learning pass by luck."""
    parser.addoption(
        "--shift-seeds", type=int, default=0, help="Add N to every seed of torch.manual_seed."
    )


@pytest.fixture(autouse=True)
def _shifted_seeds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test that seeds itself draw other numbers than it was written with."""
    if not (shift := request.config.getoption("--shift-seeds")):
        return
    import torch

    given = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: given(seed + shift))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a ``gpu`` test where there is no device; what a test draws depends on none before it."""
    if (loaded := sys.modules.get("torch")) is not None:
        loaded.manual_seed(item.config.getoption("--shift-seeds"))
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; there is none")
