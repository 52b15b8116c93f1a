"""A child of the test's own process, which need not import torch anew for seconds."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import cv2
import torch


def forked(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """A process that calls the function; backward passes have no place in it."""
    call = (function, *arguments)
    process = multiprocessing.get_context("fork").Process(target=_alone, args=call, daemon=True)  # type: ignore[attr-defined]
    process.start()
    return process


def _alone(function: Callable[..., Any], *arguments: Any) -> None:
    torch.set_num_threads(1)  # the parent's threads are not here, and would be waited for
    cv2.setNumThreads(1)
    function(*arguments)
