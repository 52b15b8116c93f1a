"""Where the figures of a training go: TensorBoard, Weights & Biases or MLflow, by a config word.

The word is ``logger`` in ``configs/train.yaml`` and ``configs/evaluate.yaml``. TensorBoard's files
are written by torch; the other two are reached through their Lightning Fabric loggers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from mersynth.config import ConfigError

logger = logging.getLogger(__name__)

Kind = Literal["none", "tensorboard", "wandb", "mlflow"]

LOGS = "logs"
"""Folder of TensorBoard's files, in that of a training or run."""

PROJECT = "mersynth"
"""The project of Weights & Biases, and the experiment of MLflow."""

_PROBED = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


class Tracker(Protocol):
    """Takes the figures of one training."""

    def log(self, figures: Mapping[str, float], step: int, when: float | None = None) -> None:
        """Note the figures of a step, by name; ``when`` in seconds since 1970, default now."""

    def close(self) -> None:
        """Write what is not written yet."""


def check_tracker(kind: Kind) -> None:
    """Check, before any work is done, that figures can be written.

    Raises:
        ConfigError: if a package is missing, nobody is logged in, or the server does not answer.
    """
    if kind in ("none", "tensorboard"):
        return
    try:
        import pytorch_lightning.loggers  # noqa: F401

        if kind == "wandb":
            import wandb
        else:
            import mlflow
    except ImportError as error:
        raise ConfigError(
            f"logger={kind} needs a package that is missing ({error}): "
            f"pip install 'mersynth[{kind}]'"
        ) from error
    try:
        if kind == "wandb" and wandb.setup().settings.mode == "online":
            wandb.login()
        elif kind == "mlflow":
            with _few_retries():
                mlflow.MlflowClient().search_experiments(max_results=1)
    except Exception as error:  # of many kinds, of the tools' own
        help_ = {
            "wandb": "log in by `wandb login`, or keep the figures here with WANDB_MODE=offline",
            "mlflow": "MLFLOW_TRACKING_URI names the server, or sqlite:///FILE.db",
        }[kind]
        reason = str(error).rstrip(".")
        raise ConfigError(f"logger={kind}: {reason}; {help_}, or use logger=tensorboard") from error


def open_tracker(
    kind: Kind,
    folder: Path,
    name: str = "",
    *,
    group: str = "",
    settings: Mapping[str, Any] | None = None,
    first_step: int = 0,
) -> Tracker:
    """Begin to keep the figures of a training.

    Args:
        kind: ``"none"``, ``"tensorboard"``, ``"wandb"`` or ``"mlflow"``; :func:`check_tracker` has
            found it usable.
        folder: of the training, or of the run that it is part of; it exists. TensorBoard writes to
            ``logs/NAME`` in it, Weights & Biases to ``wandb``.
        name: of a training within the run, for instance ``seed_0/samm_006``.
        group: name under which the tools list the run's trainings.
        settings: what the figures depend on; TensorBoard does not get it.
        first_step: figures of later steps that TensorBoard has are dropped.
    """
    if kind == "none":
        return _Nowhere()
    if kind == "tensorboard":
        return _TensorBoard(folder / LOGS / name, first_step)
    return _Lightning(kind, folder, name, group or folder.name, settings or {})


def where_to_look(kind: Kind, folder: Path) -> str:
    """How to see the figures that a training or run in this folder writes; empty for ``none``."""
    if kind == "none":
        return ""
    if kind == "tensorboard":
        return f"tensorboard --logdir {folder / LOGS}"
    if kind == "mlflow":
        import mlflow

        return f"mlflow ui --backend-store-uri {mlflow.get_tracking_uri()}"
    import wandb

    if wandb.setup().settings.mode == "online":
        return f"project {PROJECT} of Weights & Biases"
    return f"wandb sync --include-offline {folder / 'wandb'}/offline-run-*"


class _Nowhere:
    def log(self, figures: Mapping[str, float], step: int, when: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass


class _TensorBoard:
    def __init__(self, folder: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=first_step + 1)

    def log(self, figures: Mapping[str, float], step: int, when: float | None = None) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step, when)

    def close(self) -> None:
        self.writer.close()


class _Lightning:
    """Figures go through a Fabric logger, which connects at the first of them.

    A tool that stops answering must not end a training of days: it is told once, and left alone.
    """

    def __init__(
        self, kind: Kind, folder: Path, name: str, group: str, settings: Mapping[str, Any]
    ) -> None:
        self.kind, self.name = kind, f"{group}/{name}" if name else group
        self.settings = dict(settings)
        self.logger: Any = self._made(folder.absolute(), group)
        self.begun = False

    def _made(self, folder: Path, group: str) -> Any:
        """A ``lightning_fabric.loggers.logger.Logger``."""
        from pytorch_lightning.loggers import MLFlowLogger, WandbLogger

        if self.kind == "wandb":
            import wandb

            quiet = wandb.Settings(silent=True)
            return WandbLogger(
                name=self.name, project=PROJECT, group=group, save_dir=folder, settings=quiet
            )
        import mlflow

        return MLFlowLogger(
            experiment_name=PROJECT,
            run_name=self.name,
            tags={"group": group},
            tracking_uri=mlflow.get_tracking_uri(),
        )

    def log(self, figures: Mapping[str, float], step: int, when: float | None = None) -> None:
        with self._or_without():
            if self.logger is not None:
                if not self.begun:
                    self.logger.log_hyperparams(self.settings)
                    self.begun = True
                self.logger.log_metrics(dict(figures), step)

    def close(self) -> None:
        with self._or_without():
            if self.logger is not None and self.begun:
                self.logger.finalize("success")
                if self.kind == "wandb":  # else the next training would write into this one
                    self.logger.experiment.finish()
        self.logger = None

    @contextmanager
    def _or_without(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.logger = None
            logger.warning(
                "logger=%s does not take the figures of %s (%s); the training goes on without it",
                self.kind,
                self.name,
                error,
            )


@contextmanager
def _few_retries() -> Iterator[None]:
    """Let MLflow, which would try for minutes, give up soon where there is no server."""
    before = os.environ.get(_PROBED)
    os.environ[_PROBED] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PROBED]
