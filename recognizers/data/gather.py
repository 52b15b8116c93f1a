"""Reads the clips of a run from stores and feature files, with their checksums."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mersynth.config import ConfigError
from mersynth.disk.files import real_path, sha256_of_file
from mersynth.face.template import Framing
from mersynth.phantom.version import version_of, warn_versions
from mersynth.store.clip_store import ClipStore, StoreError, warn_framings
from mersynth.store.dataset import warn_empty_classes
from mersynth.store.names import NameChoice, Named, Spelling, reconcile
from mersynth.synthesis.header import strength_of
from recognizers.data.feature_files import read_features
from recognizers.data.input_kinds import FeatureOptions
from recognizers.data.inputs import ModelData, build_inputs
from recognizers.models.base import InputSpec

logger = logging.getLogger(__name__)

_KEPT: ContextVar[dict[Hashable, ModelData] | None] = ContextVar("kept inputs", default=None)


@dataclass(frozen=True, slots=True)
class Part:
    """Clips of one store or file.

    Attributes:
        path: folder of the store, or the ``.npz`` file.
        role: its use: ``"real"``, ``"train"``, ``"test"``, ``"mix"`` or ``"pretrain"``.
        checksum: of the store's files, or of the file.
        data: its clips as the model reads them.
        image_size: side of a store's frames, in pixels; None for a file.
        framing: how faces lie in the frames; None if unknown.
        phantom: version of the phantom whose faces a store shows; None: other faces, or a file.
        strength: factor on the AU curves of a synthetic store; None: a real one, or a file.
    """

    path: Path
    role: str
    checksum: str
    data: ModelData
    image_size: int | None = None
    framing: Framing | None = None
    phantom: int | None = None
    strength: float | None = None


def read_parts(
    paths: Mapping[str, Sequence[Path]],
    specs: Mapping[str, InputSpec],
    scheme: str,
    device: str | torch.device,
    features: FeatureOptions,
    first_label: int | None = None,
    phases_apart: bool = False,
) -> list[Part]:
    """Read stores and feature files.

    Args:
        paths: by role, folders of stores and ``.npz`` files.
        specs: ``Recognizer.inputs``.
        scheme: label scheme of the stores; a feature file has its own classes.
        device: where features that a store lacks are computed.
        features: their options, as for :func:`recognizers.data.inputs.build_inputs`.
        first_label: number of the first class in feature files, see
            :func:`recognizers.data.feature_files.read_features`.
        phases_apart: also read the clips' falling phase, which feature files do not hold.

    Raises:
        StoreError: if a folder is not a whole store, or frames of two stores differ in size.
        FeatureFileError: if a file does not fit the model.
        FileNotFoundError: if there is no such file.
        ValueError: if no clip of a store has a class or what the inputs need.
        ConfigError: if phases cannot be told apart.
    """
    files = [str(path) for several in paths.values() for path in several if path.suffix == ".npz"]
    if phases_apart and files:
        raise ConfigError(
            f"model.augment.PhasesApart needs frames from apex to offset, and {', '.join(files)} "
            "holds features of the rise alone: leave it out, or give stores"
        )
    stores = {
        path: ClipStore.open(path)
        for several in paths.values()
        for path in several
        if path.suffix != ".npz"
    }
    sizes = {path: store.image_size for path, store in stores.items()}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{path} {size}" for path, size in sizes.items())
        raise StoreError(
            f"the frames of the stores differ in size (pixels: {found}), and a model would learn "
            "from their sharpness; prepare or generate them with the same --image-size"
        )
    if all(spec.framing is None for spec in specs.values()):  # else they are cut to one
        warn_framings(
            {str(path): store.framing for path, store in stores.items()},
            "Prepare or generate one of them again with the other's framing: a recognizer learns "
            "where faces lie",
        )
    versions = {path: version_of(store) for path, store in stores.items()}
    warn_versions(
        {str(path): version for path, version in versions.items()},
        "Render or generate the earlier one again",
    )
    alone = sum(map(len, paths.values())) == 1
    parts = []
    for role, several in paths.items():
        for path in several:
            if path in stores:
                store = stores[path]
                data = _inputs(store, specs, scheme, device, features, phases_apart)
                shows = store.image_size, store.framing, versions[path], strength_of(store)
                part = Part(path, role, store.checksum, data, *shows)
            else:
                data = read_features(path, specs, alone, first_label)
                part = Part(path, role, sha256_of_file(path), data)
            parts.append(part)
            warn_empty_classes(f"{path} ({role})", data.classes, data.label.tolist())
            people = len({clip.subject_id for clip in data.clips})
            logger.info("%s (%s): %d clips of %d people", path, role, len(data.clips), people)
    return parts


@contextmanager
def inputs_kept() -> Iterator[None]:
    """Within it, the inputs made from a store are kept in memory for the runs to come."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def _inputs(
    store: ClipStore,
    specs: Mapping[str, InputSpec],
    scheme: str,
    device: str | torch.device,
    features: FeatureOptions,
    phases_apart: bool,
) -> ModelData:
    options: dict[str, Any] = {"features": features, "phases_apart": phases_apart}
    kept = _KEPT.get()
    if kept is None:
        return build_inputs(store, specs, scheme, device, **options)
    own = json.dumps({name: dict(features[name]) for name in sorted(features)}, sort_keys=True)
    made_of = tuple(sorted(specs.items()))
    key = (real_path(store.path), store.checksum, made_of, scheme, own, phases_apart)
    if key not in kept:
        kept[key] = build_inputs(store, specs, scheme, device, **options)
    return kept[key]


def reconcile_parts(
    parts: Sequence[Part], choice: NameChoice | None, strict: bool
) -> tuple[list[Part], Spelling]:
    """The parts of a run with one spelling of each name, so that nobody counts as two people.

    Args:
        parts: from :func:`read_parts`; the clips under test, which come first, keep their spelling.
        choice: see :func:`mersynth.store.names.reconcile`.
        strict: whether names that look alike are refused if ``choice`` is None.

    Raises:
        NamesError: as :func:`mersynth.store.names.reconcile`.
    """
    named = [Named(str(part.path), part.data.clips) for part in parts]
    spelling = reconcile(named, choice, strict)
    spelled = [
        replace(part, data=replace(part.data, clips=spelling.clips(part.data.clips)))
        for part in parts
    ]
    return spelled, spelling
