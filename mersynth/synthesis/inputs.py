"""The inputs of a generation: real store, faces and generators."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mersynth import paths
from mersynth.checks import check_choice
from mersynth.clips import Clip
from mersynth.disk.files import checksum_of, real_path, sha256_of_file
from mersynth.disk.lock import hold
from mersynth.face.framing import Who
from mersynth.face.template import HEAD, Framing, FramingChoice
from mersynth.gan.checkpoint import (
    SHIPPED,
    SHIPPED_NAME,
    CheckpointError,
    find_groups,
    load_generator,
)
from mersynth.phantom.population import clip_specs
from mersynth.prepare.command import check_source, prepare
from mersynth.sources import PHANTOM, PrepareError
from mersynth.sources.folder import Folder
from mersynth.store.clip_store import ClipStore, StoreError, require_real
from mersynth.store.names import NameChoice, Named, Spelling, reconcile
from mersynth.synthesis.generators import ClipGenerator, IcganGenerator
from mersynth.synthesis.warp_generator import WarpGenerator

logger = logging.getLogger(__name__)

#: The kinds of generators: the trained AU-ICGAN, or the AU warp, which needs no training.
GENERATORS = (IcganGenerator.name, WarpGenerator.name)


def find_store(source: str | None, store: Path | None) -> Path:
    """Folder of the real store; the phantom's need not exist yet.

    Raises:
        ValueError: if the source is unknown.
        StoreError: if there is no store; names the command that makes it.
    """
    if store is not None:
        if not store.exists():
            raise StoreError(
                f"no store at {store}; `mersynth prepare --source SOURCE --out {store}` makes one"
            )
        return store
    if source is None:
        raise ValueError("give either the source or the store of the real clips")
    check_source(source)
    folder = paths.store_path(source)
    if source != PHANTOM and not folder.exists():
        raise StoreError(f"no store at {folder}; `mersynth prepare --source {source}` makes it")
    return folder


def find_generators(
    name: str, checkpoint: Path | None, store: Path, source: str | None
) -> Sequence[ClipGenerator]:
    """The generators: one, or for AU-ICGAN one per group of subjects; not loaded yet.

    Raises:
        ValueError: if the name is not one of :data:`GENERATORS`, or it takes no checkpoint.
        CheckpointError: if there is none (names the command that makes it), or some are missing.
    """
    check_choice("--generator", name, GENERATORS)
    if name == WarpGenerator.name:
        if checkpoint is not None:
            raise ValueError(
                f"--generator warp is not trained and takes no --checkpoint, got {checkpoint}; "
                "leave one of the two out"
            )
        return [WarpGenerator()]
    if checkpoint == Path(SHIPPED_NAME):
        folder = SHIPPED
    else:
        folder = paths.checkpoint_path(store.name, checkpoint)
    if checkpoint is None and source == PHANTOM:
        folder = _own_or_shipped(folder)
    if not folder.exists():
        wanted = f"--source {source}" if source is not None else f"--store {store}"
        raise CheckpointError(
            f"no generator at {folder}; `mersynth train {wanted}` makes one, and --checkpoint "
            f"{SHIPPED_NAME} is the one in the package, trained on the phantom"
        )
    generators = [IcganGenerator(group) for group in find_groups(folder)]
    for card in (generator.card for generator in generators):
        if card.unfinished:
            logger.warning(
                "a generator in %s has only had %s; `mersynth train --resume` continues",
                *(folder, card.unfinished),
            )
    return generators


def _own_or_shipped(folder: Path) -> Path:
    """The generator trained on the phantom here, if complete, else that of the package."""
    # With several groups, find_groups names the missing ones: the shipped one cannot replace them.
    if not folder.exists():
        return SHIPPED
    if any(folder.glob("group_*")):
        return folder
    try:
        card = load_generator(folder)[1]
        reason = f"{folder} has had {card.unfinished}" if card.unfinished else None
    except CheckpointError as error:
        reason = str(error)
    if reason is None:
        return folder
    logger.warning(
        "incomplete generator: %s. Using the shipped one; `mersynth train --source phantom "
        "--resume` finishes yours, --checkpoint %s uses it unfinished",
        *(reason, folder),
    )
    return SHIPPED


def real_clips(folder: Path) -> Sequence[Clip]:
    """The clips of the real store; for a phantom that is not rendered yet, its plan."""
    if not folder.exists():
        return [spec.clip for spec in clip_specs()]
    return require_real(ClipStore.open(folder)).clips


def reconcile_names(
    choice: NameChoice | None,
    stores: Sequence[tuple[Path, Sequence[Clip]]],
    generators: Sequence[ClipGenerator],
) -> Spelling:
    """One spelling of each name, that of the first store, also for the generators' people.

    Otherwise a generator that saw ``6`` would count as one that never saw the store's ``006``.

    Args:
        choice: how to treat names that look alike.
        stores: folders and clips of the stores that a generation reads.
        generators: their ids of people are changed.

    Raises:
        NamesError: if names look alike, and no choice was made.
    """
    named = [Named(str(folder), clips) for folder, clips in stores]
    for each in generators:
        where = str(each.folder) if isinstance(each, IcganGenerator) else each.name
        named.append(Named(where, people=(*each.training_subjects, *each.unseen_subjects)))
    spelling = reconcile(named, choice)
    for each in generators:
        each.training_subjects = spelling.people(each.training_subjects)
        each.unseen_subjects = spelling.people(each.unseen_subjects)
    return spelling


def wanted_framing(
    choice: FramingChoice, generators: Sequence[ClipGenerator], folder: Path
) -> Framing:
    """The framing for faces that are still to be rendered or aligned.

    Args:
        choice: what was asked for; by default what the generators expect, else that of the real
            store.
        generators: what makes the clips.
        folder: of the real store.
    """
    store = ClipStore.open(folder).framing if folder.exists() else None
    return choice.framing(generators[0].framing or store or HEAD)


def open_real(
    folder: Path,
    image_size: int | None,
    spelling: Spelling | None = None,
    framing: Framing = HEAD,
) -> ClipStore:
    """Open the real store, verified; render the phantom's default population if it is missing.

    Args:
        folder: the store's.
        image_size: side of the generator's frames, in pixels; None for any.
        spelling: of the names in it; None: unchanged.
        framing: of a rendered phantom.

    Raises:
        StoreError: if the store is damaged.
        CheckpointError: if its frames have another size than the generator makes.
    """
    if not folder.exists():
        size: dict[str, Any] = {} if image_size is None else {"image_size": image_size}
        with hold(folder, wait=True):  # another generation may be rendering it
            if not folder.exists():
                logger.info("%s does not exist yet: rendering the phantom", folder)
                prepare(PHANTOM, out=folder, resume=True, framing=_exactly(framing), **size)
    real = ClipStore.open(folder, verify=True)
    if image_size not in (None, real.image_size):
        raise CheckpointError(
            f"the generator makes images of {image_size} pixels, the frames of {folder} have "
            f"{real.image_size}: prepare the store with --image-size {image_size}, or train a "
            "generator on this store"
        )
    return real if spelling is None else real.view(spelling.clips(real.clips), real.starts)


def face_clips(faces: Path) -> Sequence[Clip]:
    """The clips that give the faces: those of a store, or of photos and videos to prepare.

    Raises:
        StoreError: if there is no such folder, it is a damaged store, or a photo cannot be read.
        SourceError: if the folder holds neither photos nor videos.
    """
    if _is_store(faces):
        return real_clips(faces)
    if not faces.is_dir():
        raise StoreError(f"--faces: there is no folder {faces}; name a store or a folder of photos")
    scan = Folder().scan(faces)
    if any(problem.fatal for problem in scan.problems):
        raise _unusable(faces, PrepareError(Folder.name, scan.problems))
    return [files.clip for files in scan.clips]


def _unusable(faces: Path, error: PrepareError) -> StoreError:
    return StoreError(
        f"--faces {faces}: {error}\nThat is an option of `mersynth prepare --source folder --root "
        f"{faces} --out STORE`; then use --faces STORE."
    )


def open_faces(
    faces: Path,
    image_size: int | None,
    resume: bool,
    spelling: Spelling | None = None,
    framing: Framing = HEAD,
) -> ClipStore:
    """Open a store of faces; photos and videos are prepared first.

    Their store is ``./stores/<name of the folder>_<checksum>``, so that the same photos are
    prepared only once.

    Args:
        faces: the store, or the folder of photos and videos.
        image_size: see :func:`open_real`.
        resume: continue an interrupted preparation.
        spelling: see :func:`open_real`.
        framing: how photos are aligned.

    Raises:
        StoreError: see :func:`open_real`; or if no face is found on a photo.
        CheckpointError: see :func:`open_real`.
    """
    if _is_store(faces):
        return open_real(faces, image_size, spelling)
    size: dict[str, Any] = {} if image_size is None else {"image_size": image_size}
    form = size if framing == HEAD else size | {"framing": framing.as_dict()}
    files = [path for clip in Folder().scan(faces).clips for path in clip.frames]
    sums = {path.relative_to(faces).as_posix(): sha256_of_file(path) for path in files}
    store = paths.store_path(f"{real_path(faces).name}_{checksum_of([form, sums])[:8]}")
    with hold(store, wait=True):  # another generation may be preparing them
        if not store.exists():
            logger.info("preparing the faces of %s: %s", faces, store)
            try:
                choice = _exactly(framing)
                prepare(Folder.name, faces, store, resume=resume, framing=choice, **size)
            except PrepareError as error:
                raise _unusable(faces, error) from error
    return open_real(store, image_size, spelling)


def photo_store(
    photo: Path, folder: Path, image_size: int, framing: Framing = HEAD, face: Who = "largest"
) -> ClipStore:
    """Prepare one photo, as ``mersynth prepare --source folder`` does.

    Args:
        photo: whatever Pillow opens.
        folder: a new folder, for the store and a copy of the photo.
        image_size: side of the frame, in pixels.
        framing: how the face is aligned.
        face: which of several faces become clips.

    Raises:
        PrepareError, StoreError: if the photo cannot be read, or no face is found on it.
    """
    folder.mkdir()
    # Two photos of one file name are two people.
    copy = folder / f"{photo.stem}_{sha256_of_file(photo)[:8]}{photo.suffix}"
    shutil.copyfile(photo, copy)
    return prepare(
        Folder.name,
        out=folder / "store",
        images=[copy],
        image_size=image_size,
        framing=_exactly(framing),
        face=face,
    )


def _exactly(framing: Framing) -> FramingChoice:
    """The choice of exactly this framing."""
    return FramingChoice("auto", framing.eyes, framing.apart, framing.aspect)


def _is_store(folder: Path) -> bool:
    return (folder / "store.json").exists()
