"""``--quick``: runs a whole table in minutes, on phantom clips that replace every database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from mersynth import config, logs
from mersynth.clips import Strength
from mersynth.phantom.cells import CELLS
from mersynth.phantom.population import clip_specs, render_clip
from mersynth.sources.composite import COMPOSITE, PARTS
from mersynth.store.clip_store import ClipStore
from mersynth.store.merge import merge
from mersynth.store.writer import StoreWriter
from recognizers.experiment.request import Request
from reproduction.stores import Stores

IMAGE_SIZE = 64
_SUBJECTS, _EACH, _MAX_FRAMES = 3, 2, 12  # people, clips of each label, frames of a clip
_OTHERS = 500  # number of the first person to pretrain on
_HEADER = {"source": "phantom", "licence": "rendered, no real person: free to use"}
_AS_SAMM = {emotion: emotion for emotion in CELLS}
_NEGATIVE = dict.fromkeys(("anger", "contempt", "disgust", "fear", "sadness"), "negative")
# The name of each of the phantom's emotions in a database; emotions without one are left out.
_LABELS: dict[str, dict[str, str | None]] = {
    "samm": {},
    "casme2": {"other": "others", "anger": "repression", "contempt": None},
    "mmew": {"other": "others", "contempt": None},
    "smic": {**_NEGATIVE, "happiness": "positive", "other": None},
    "ckplus": {"other": None},
}
_MACRO = ("ckplus",)


def phantom_stores(folder: Path, databases: Iterable[str], pretrained: bool) -> Stores:
    """Render small stores of phantom people whose clips are labelled as each database's.

    Args:
        folder: of the new stores.
        databases: names of the stores.
        pretrained: whether to make stores of other people, too, to pretrain on.
    """
    names = dict.fromkeys(databases)
    single = [*(name for name in names if name != COMPOSITE)]
    single += [name for name in PARTS if COMPOSITE in names and name not in single]
    first = {name: i * _SUBJECTS for i, name in enumerate(_LABELS)}
    real = {name: _render(folder / name, name, first[name]) for name in single}
    if COMPOSITE in names:
        merge([ClipStore.open(real[part]) for part in PARTS], folder / COMPOSITE)
        real[COMPOSITE] = folder / COMPOSITE
    pretrain = {}
    for name in single if pretrained else ():
        others = folder / f"{name}_pretrain"
        pretrain[name] = _render(others, name, _OTHERS + first[name])
    return Stores(real, pretrain, folder / "derived")


def _render(path: Path, database: str, first: int) -> Path:
    names = {**_AS_SAMM, **_LABELS[database]}
    strength: Strength = "macro" if database in _MACRO else "micro"
    specs = clip_specs(
        subjects=_SUBJECTS,
        counts={emotion: _EACH for emotion, name in names.items() if name},
        strength=strength,
        first_subject=first,
        fps=30,
        max_frames=_MAX_FRAMES,
    )
    clips = [
        replace(spec.clip, source=database, emotion=str(names[spec.clip.emotion])) for spec in specs
    ]
    with (
        StoreWriter(path, clips, IMAGE_SIZE, _HEADER) as writer,
        logs.progress(f"rendering {database}", total=len(specs), unit="clips") as advance,
    ):
        for spec in specs:
            writer.add(*render_clip(spec, IMAGE_SIZE))
            advance(1)
        writer.finish()
    return path


def quick_request(request: Request) -> Request:
    """The same run with the tiny form of its model, an epoch, and groups of people as folds."""
    return replace(
        request,
        groups=2 if request.split in ("loso", "cde") else None,
        overrides=(*request.overrides, *_tiny(request.model)),
    )


def _tiny(name: str) -> list[str]:
    """Overrides that make a model tiny: the values that its system's ``_tiny`` config changes."""
    own, system = _values(name), _model(name)["name"]
    whole, tiny = _values(system), _values(f"{system}_tiny")
    changed = {key: value for key, value in tiny.items() if key in own and whole[key] != value}
    if "training.epochs" in own:
        changed["training.epochs"] = 1
    here = ("device=cpu", "executor.workers=1")
    return [*(f"model.{key}={json.dumps(value)}" for key, value in changed.items()), *here]


@cache
def _model(name: str) -> dict[str, Any]:
    loaded = OmegaConf.to_container(config.load("evaluate", [f"model={name}"]).model, resolve=True)
    return cast(dict[str, Any], loaded)


def _values(name: str) -> dict[str, Any]:
    """A model's config, its keys joined by dots."""
    flat: dict[str, Any] = {}

    def gather(block: Mapping[str, Any], prefix: str) -> None:
        for key, value in block.items():
            if isinstance(value, Mapping):
                gather(value, f"{prefix}{key}.")
            else:
                flat[f"{prefix}{key}"] = value

    gather(_model(name), "")
    return flat
