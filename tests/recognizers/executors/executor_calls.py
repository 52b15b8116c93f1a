"""Calls for the tests of executors; workers import them from here."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recognizers.executors import Executor

TIMEOUT = 60.0  # seconds until a call that waits in vain gives up

logger = logging.getLogger("recognizers.fold")


@dataclass(frozen=True, slots=True)
class Clips:
    inputs: dict[str, np.ndarray]
    names: tuple[str, ...]


class OddError(Exception):
    """Cannot be made anew from its arguments, as unpickling wants to."""

    def __init__(self, fold: int, reason: str) -> None:
        super().__init__(f"fold {fold}: {reason}")


CLIPS = Clips({"apex": np.arange(300_000, dtype=np.float32).reshape(100, -1)}, ("a", "b"))


def train(clips: Clips, rows: list[int], seed: int) -> tuple[float, str]:
    x = clips.inputs["apex"][rows]
    noise = np.random.default_rng(seed).standard_normal(x.shape)
    return float(((x / 3e5 + noise) @ noise.T).sum()), clips.names[0]


CALLS = [([0, 5], 1), ([7], 2), ([99, 1, 2], 3)]


def wait_for(path: Path) -> str:
    end = time.monotonic() + TIMEOUT
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.02)
    return path.name


def mark(path: Path) -> str:
    path.touch()
    return path.name


def fail(path: Path) -> None:
    wait_for(path)
    raise FileNotFoundError(2, "no such fold", "fold.npz")


def fail_oddly() -> None:
    raise OddError(3, "no clips")


def return_a_lock() -> Any:
    return threading.Lock()


def die(path: Path) -> None:
    wait_for(path)
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(path: Path, value: int) -> int:
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def log(fold: int) -> int:
    logger.info("fold %d: begun", fold)
    logger.debug("fold %d: not of interest", fold)
    logging.getLogger("mersynth").warning("fold %d: %s", fold, "few clips")
    return fold


def act(function: Any, *arguments: Any) -> Any:
    """Different actions, by argument, for the calls of one run."""
    return function(*arguments)


def results_of_training(executor: Executor) -> dict[int, tuple[float, str]]:
    clips = executor.share(CLIPS)
    return dict(executor.run(train, [(clips, *call) for call in CALLS]))


def expected() -> dict[int, tuple[float, str]]:
    return {i: train(CLIPS, *call) for i, call in enumerate(CALLS)}


def wait_and_tell(folder: Path, number: int, clips: Clips) -> None:
    (folder / f"{number}.tmp").write_text(str(os.getpid()))
    (folder / f"{number}.tmp").rename(folder / f"{number}.pid")
    wait_for(folder / "never")
