"""Runs that take a second: their requests, and the contents of their folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recognizers.experiment.request import Request

QUICK = (
    "executor.workers=1",
    "model.options.image_size=8",
    "model.training.epochs=6",
    "model.training.batch_size=10",
    "fine_tuning.lr_factor=1",
)


def request(data: Path | list[Path], *overrides: str, **options: Any) -> Request:
    options = {"split": "loso", "model": "ststnet_tiny", **options}
    several = data if isinstance(data, list) else [data]
    return Request(data=several, overrides=[*QUICK, *overrides], **options)


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


def folds(run: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((run / "folds").glob("*.json"))]
