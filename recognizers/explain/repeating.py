"""The command that repeats a run, and keeps its weights."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from mersynth import config
from mersynth.files import flat


def command_with_weights(results: Mapping[str, Any], options: Mapping[str, Any], path: Path) -> str:
    """The command that made a run, with ``keep_weights=true``: it trains what has no weights.

    Args:
        results: ``results.json`` of the run.
        options: its resolved config.
        path: the run's folder.
    """
    words = ["recognizers", results["protocol"], "--model", results["model"]["config"]]
    flags = {"train": "--train", "test": "--test", "mix": "--mix"}
    for part in results["data"]:
        is_file = part["path"].endswith(".npz")
        own = {"real": "--data" if is_file else "--store"}
        own["pretrain"] = "--pretrain-data" if is_file else "--pretrain"
        words += [{**flags, **own}[part["role"]], part["path"]]
    tested = [p["path"] for p in results["data"] if p["role"] in ("real", "train", "test")]
    of_stores = not all(path.endswith(".npz") for path in tested)  # files have their own classes
    seeds = results["seeds"]
    for flag, value, usual in (
        ("--groups", results["groups"], None),
        ("--first-label", results.get("first_label"), None),
        ("--classes", results["scheme"] if of_stores else None, None),
        ("--protocol", results["habit"], "strict"),
        ("--seeds", len(seeds), 1),
        ("--seed", seeds[0], 0),
    ):
        if value != usual:
            words += [flag, str(value)]
    said = {"same": "--same-person", "distinct": "--distinct"}
    words += [said[results["names"]]] if results.get("names") else []
    words += ["--out", str(path)]
    words += [*_overrides(results["model"]["config"], options), "keep_weights=true"]
    return shlex.join(words)


def _overrides(model: str, options: Mapping[str, Any]) -> list[str]:
    """What was said otherwise than in ``configs``."""
    own = OmegaConf.to_container(config.load("evaluate", [f"model={model}"]), resolve=True)
    usual = flat(cast(dict[str, Any], own))
    return [
        f"{key}={json.dumps(value).replace(' ', '') if not isinstance(value, str) else value}"
        for key, value in flat(options).items()
        if key != "keep_weights" and (key not in usual or usual[key] != value)
    ]
