"""Where the folds of an experiment run: on this machine's cores, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mersynth.checks import check_choice
from mersynth.config import ConfigError
from recognizers.executors.base import Executor, ExecutorError
from recognizers.executors.local import LocalExecutor
from recognizers.executors.ray_cluster import RayExecutor

__all__ = ["Executor", "ExecutorError", "LocalExecutor", "RayExecutor", "make_executor"]

_EXECUTORS: dict[str, tuple[Callable[..., Executor], tuple[str, ...]]] = {
    "local": (LocalExecutor, ("workers", "threads")),
    "ray": (RayExecutor, ("address", "num_cpus", "num_gpus", "threads", "retries")),
}


def make_executor(settings: Mapping[str, Any]) -> Executor:
    """The executor of the config group ``executor``; nothing starts before it is entered.

    Args:
        settings: ``name``, one of ``local`` and ``ray``, and arguments of its constructor.

    Raises:
        ConfigError: if the name or a setting is unknown, or a value does not fit.

    Example:
        >>> with make_executor({"name": "local", "workers": 1}) as executor:
        ...     sorted(executor.run(max, [(1, 2), (4, 3)]))
        [(0, 2), (1, 4)]
    """
    options = {str(key): value for key, value in settings.items()}
    name = options.pop("name", None)
    check_choice("executor.name", name, _EXECUTORS, ConfigError)
    executor, known = _EXECUTORS[name]
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(
            f"executor {name!r} has no setting {', '.join(unknown)}; it has {', '.join(known)}"
        )
    return executor(**options)
