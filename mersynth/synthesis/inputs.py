"""What a generation starts from: the real store and the generators, found or asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mersynth import paths
from mersynth.clips import Clip
from mersynth.gan.checkpoint import SHIPPED, CheckpointError, find_groups
from mersynth.prepare import check_source, prepare
from mersynth.sources import PHANTOM
from mersynth.sources.phantom.population import clip_specs
from mersynth.store import ClipStore, StoreError, require_real
from mersynth.synthesis.generators import ClipGenerator, IcganGenerator
from mersynth.synthesis.warp_generator import WarpGenerator

logger = logging.getLogger(__name__)

#: What makes the clips: the trained AU-ICGAN, or the AU warp, which needs no training.
GENERATORS = (IcganGenerator.name, WarpGenerator.name)


def find_store(source: str | None, store: Path | None) -> Path:
    """Folder of the real store; of the phantom's, whether it exists yet or not.

    Raises:
        ValueError: if the source is unknown.
        StoreError: if there is no store, with the command that makes it.
    """
    if store is not None:
        if not store.exists():
            raise StoreError(
                f"no store at {store}; `mersynth prepare --source SOURCE --out {store}` makes one"
            )
        return store
    if source is None:
        raise ValueError("name the real clips by their source or by their store")
    check_source(source)
    folder = paths.store_path(source)
    if source != PHANTOM and not folder.exists():
        raise StoreError(f"no store at {folder}; `mersynth prepare --source {source}` makes it")
    return folder


def find_generators(
    name: str, checkpoint: Path | None, store: Path, source: str | None
) -> Sequence[ClipGenerator]:
    """The generators: one, or of AU-ICGAN one for each group of subjects; not loaded yet.

    Raises:
        ValueError: if the name is not one of :data:`GENERATORS`, or it takes no checkpoint.
        CheckpointError: if there is none, with the command that makes it, or some are missing.
    """
    if name not in GENERATORS:
        raise ValueError(f"--generator must be one of {', '.join(GENERATORS)}, got {name!r}")
    if name == WarpGenerator.name:
        if checkpoint is not None:
            raise ValueError(
                f"--generator warp is not trained and takes no --checkpoint, got {checkpoint}; "
                "leave one of the two out"
            )
        return [WarpGenerator()]
    folder = paths.checkpoint_path(store.name, checkpoint)
    if checkpoint is None and source == PHANTOM and not folder.exists():
        folder = SHIPPED
    if not folder.exists():
        wanted = f"--source {source}" if source is not None else f"--store {store}"
        raise CheckpointError(f"no generator at {folder}; `mersynth train {wanted}` makes it")
    generators = [IcganGenerator(group) for group in find_groups(folder)]
    for card in (generator.card for generator in generators):
        if card.step < card.config.get("steps", 0):
            logger.warning(
                "a generator in %s has had %d of %d steps; `mersynth train --resume` goes on",
                folder,
                card.step,
                card.config["steps"],
            )
    return generators


def real_clips(folder: Path) -> Sequence[Clip]:
    """The clips of the real store; of the phantom's, if it is still to be rendered, its plan."""
    if not folder.exists():
        return [spec.clip for spec in clip_specs()]
    return require_real(ClipStore.open(folder)).clips


def open_real(folder: Path, image_size: int | None) -> ClipStore:
    """Open the real store, verified; render the phantom's default population if it is missing.

    Args:
        folder: the store's.
        image_size: side of the frames that the generator makes, in pixels; None for any.

    Raises:
        StoreError: if the store is damaged.
        CheckpointError: if its frames have another size than the generator makes.
    """
    if not folder.exists():
        size: dict[str, Any] = {} if image_size is None else {"image_size": image_size}
        logger.info("there is no %s yet: rendering the phantom", folder)
        prepare(PHANTOM, out=folder, **size)
    real = ClipStore.open(folder, verify=True)
    if image_size not in (None, real.image_size):
        raise CheckpointError(
            f"the generator makes images of {image_size} pixels, the frames of {folder} have "
            f"{real.image_size}: prepare the store with --image-size {image_size}, or train a "
            "generator on this store"
        )
    return real
