"""A call with torch, for tests of executors; apart, since importing torch takes seconds."""

from __future__ import annotations

import os
from typing import Any

import torch

from tests.recognizers.executors.executor_calls import Clips


def describe(clips: Clips) -> dict[str, Any]:
    array = clips.inputs["apex"]
    return {
        "file": str(getattr(array, "filename", "")),
        "address": array.__array_interface__["data"][0],
        "writable": array.flags.writeable,
        "sum": float(array.sum()),
        "process": os.getpid(),
        "threads": torch.get_num_threads(),
        "omp": os.environ.get("OMP_NUM_THREADS"),
    }
