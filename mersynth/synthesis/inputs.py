"""What a generation starts from: the real store and the generators, found or asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from mersynth import paths
from mersynth.clips import Clip
from mersynth.gan.checkpoint import SHIPPED, CheckpointError, find_groups, load_card
from mersynth.prepare import prepare
from mersynth.sources import PHANTOM, SOURCES
from mersynth.sources.composite import COMPOSITE
from mersynth.sources.phantom.population import clip_specs
from mersynth.store import ClipStore, StoreError, require_real

logger = logging.getLogger(__name__)


def find_store(source: str | None, store: Path | None) -> Path:
    """Folder of the real store; of the phantom's, whether it exists yet or not.

    Raises:
        ValueError: if the source is unknown.
        StoreError: if there is no store, with the command that makes it.
    """
    if store is not None:
        if not store.exists():
            raise StoreError(f"no store at {store}")
        return store
    known = (*SOURCES, COMPOSITE, PHANTOM)
    if source not in known:
        raise ValueError(f"no source {source!r}; known: {', '.join(known)}")
    folder = paths.store_path(source)
    if source != PHANTOM and not folder.exists():
        raise StoreError(f"no store at {folder}; `mersynth prepare --source {source}` makes it")
    return folder


def find_generators(checkpoint: Path | None, store: Path, source: str | None) -> list[Path]:
    """Folders of the generators: one, or one for each group of subjects.

    Raises:
        CheckpointError: if there is none, with the command that makes it, or some are missing.
    """
    folder = paths.checkpoint_path(store.name, checkpoint)
    if checkpoint is None and source == PHANTOM and not folder.exists():
        folder = SHIPPED
    if not folder.exists():
        wanted = f"--source {source}" if source is not None else f"--store {store}"
        raise CheckpointError(f"no generator at {folder}; `mersynth train {wanted}` makes it")
    folders = find_groups(folder)
    for card in map(load_card, folders):
        if card.step < card.config.get("steps", 0):
            logger.warning(
                "a generator in %s has had %d of %d steps; `mersynth train --resume` goes on",
                folder,
                card.step,
                card.config["steps"],
            )
    return folders


def real_clips(folder: Path) -> Sequence[Clip]:
    """The clips of the real store; of the phantom's, if it is still to be rendered, its plan."""
    if not folder.exists():
        return [spec.clip for spec in clip_specs()]
    return require_real(ClipStore.open(folder)).clips


def open_real(folder: Path, image_size: int) -> ClipStore:
    """Open the real store, verified; render the phantom's default population if it is missing.

    Raises:
        StoreError: if the store is damaged.
        CheckpointError: if its frames have another size than the generator makes.
    """
    if not folder.exists():
        logger.info("there is no %s yet: rendering the phantom at %d pixels", folder, image_size)
        prepare(PHANTOM, out=folder, image_size=image_size)
    real = ClipStore.open(folder, verify=True)
    if real.image_size != image_size:
        raise CheckpointError(
            f"the generator makes images of {image_size} pixels, the frames of {folder} have "
            f"{real.image_size}: prepare the store with --image-size {image_size}, or train a "
            "generator on this store"
        )
    return real
