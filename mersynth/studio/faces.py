"""The faces that the studio moves: a phantom subject, a person of a store, a photo."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mersynth.clips import Clip
from mersynth.disk.scratch import scratch_folder
from mersynth.face.template import HEAD, Framing
from mersynth.facs.action_units import CONDITION_AUS, SIDES
from mersynth.facs.emotions import native_labels
from mersynth.gan.checkpoint import SHIPPED, CheckpointError
from mersynth.phantom.optics.sensor import to_bytes
from mersynth.phantom.render import PhantomRenderer
from mersynth.phantom.subject import subject_name
from mersynth.phantom.variety import PLAIN
from mersynth.phantom.version import VERSION
from mersynth.sources import PHANTOM, PrepareError
from mersynth.sources.folder import Folder
from mersynth.store.clip_store import ClipStore, StoredClip, StoreError, require_real
from mersynth.synthesis.generators import ClipGenerator, IcganGenerator
from mersynth.synthesis.inputs import photo_store
from mersynth.synthesis.warp_generator import WarpGenerator

SIZE = 256
"""Side in pixels of phantom faces and photos; the faces of a store keep theirs."""

_CPU = torch.device("cpu")  # one face at a time is quick there, and the same everywhere

TITLES = {IcganGenerator.name: "AU-ICGAN", WarpGenerator.name: "AU warp"}
"""What the generators are called on the page."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face that is ready to be moved.

    Attributes:
        item: a real clip, whose first frame is the face.
        header: of its store: licence, citation and framing go on to what is made of the face.
        people: ids of all subjects of its store.
        generators: loaded for its size and framing.
    """

    item: StoredClip
    header: dict[str, Any]
    people: tuple[str, ...]
    generators: tuple[ClipGenerator, ...]

    @property
    def image(self) -> np.ndarray:
        """(S, S, 3) uint8."""
        return np.array(self.item.frames[0])

    @property
    def emotions(self) -> tuple[str, ...]:
        """Labels that its clips may bear: its database's own, the phantom's for a photo."""
        photo = self.item.clip.source == Folder.name
        return native_labels(PHANTOM if photo else self.item.clip.source)


def phantom_face(number: int, checkpoint: Path = SHIPPED) -> Face:
    """A subject of the phantom at rest, :data:`SIZE` pixels.

    Args:
        number: the subject's, 0 or more.
        checkpoint: folder of the AU-ICGAN.

    Raises:
        ValueError: if the number is negative.
        CheckpointError: if the checkpoint cannot be read, or was made for another size.
    """
    framing = _icgan(checkpoint).framing or HEAD
    renderer = PhantomRenderer(PLAIN.person(number), SIZE, framing=framing)
    rest = np.zeros((1, len(CONDITION_AUS), len(SIDES)), np.float32)
    rendered = renderer.render(torch.from_numpy(rest))
    name = subject_name(number)
    clip = Clip(
        source=PHANTOM,
        subject=name,
        name=f"{name}_rest",
        onset=0,
        apex=0,
        offset=0,
        emotion="other",
    )
    frames = to_bytes(rendered.frames, renderer.subject.look.jpeg)
    item = StoredClip(clip, frames, rest, rendered.landmarks.numpy())
    header = {
        "source": PHANTOM,
        "phantom": VERSION,
        "framing": framing.as_dict(),
        "licence": "rendered, no real person: free to use",
    }
    return _ready(item, header, (clip.subject_id,), framing, checkpoint)


def store_face(store: ClipStore, subject: str, checkpoint: Path = SHIPPED) -> Face:
    """The first frame of a person's first clip.

    Args:
        store: a store of real clips.
        subject: id of the person, ``source/subject``.
        checkpoint: folder of the AU-ICGAN.

    Raises:
        StoreError: if the store holds synthetic clips, or nobody of that id.
        CheckpointError: as :func:`phantom_face`.
    """
    require_real(store)
    of_person = (i for i, clip in enumerate(store.clips) if clip.subject_id == subject)
    index = next(of_person, None)
    if index is None:
        raise StoreError(f"{store.path} has no person {subject}; choose one from the list")
    header, framing = store.meta["header"], store.framing or HEAD
    return _ready(store[index], header, store.subjects, framing, checkpoint)


def photo_faces(photo: Path, checkpoint: Path = SHIPPED) -> tuple[Face, ...]:
    """The faces on a photo, the largest first.

    They are found and aligned as ``mersynth prepare --source folder face=all`` does.

    Args:
        photo: whatever Pillow opens.
        checkpoint: folder of the AU-ICGAN.

    Raises:
        ValueError: if it cannot be read, or no face is found on it.
        CheckpointError: as :func:`phantom_face`.
    """
    framing = _icgan(checkpoint).framing or HEAD
    with scratch_folder() as folder:
        try:
            store = photo_store(photo, folder / "photo", SIZE, framing, face="all")
        except PrepareError as error:
            reasons = "; ".join(p.reason for p in error.problems if p.fatal)
            raise ValueError(f"this photo cannot be used: {reasons}") from error
        items = [_in_memory(item) for item in store]
        header, people = store.meta["header"], store.subjects
    return tuple(_ready(item, header, people, framing, checkpoint) for item in items)


def _in_memory(item: StoredClip) -> StoredClip:
    arrays = (np.array(a) for a in (item.frames, item.intensities, item.landmarks))
    return StoredClip(item.clip, *arrays)


def _ready(
    item: StoredClip, header: dict[str, Any], people: Sequence[str], framing: Framing, folder: Path
) -> Face:
    size = item.frames.shape[1]
    # A warp of its own for each face: it keeps the landmarks that it finds.
    warp = WarpGenerator()
    warp.load(size, _CPU, framing)
    return Face(item, header, tuple(people), (_loaded_icgan(folder, size), warp))


@functools.cache
def _icgan(folder: Path) -> IcganGenerator:
    """What is known of it before it is loaded."""
    return IcganGenerator(folder)


@functools.lru_cache(maxsize=4)
def _loaded_icgan(folder: Path, size: int) -> IcganGenerator:
    generator = IcganGenerator(folder)
    if generator.image_size not in (None, size):
        raise CheckpointError(
            f"the generator in {folder} makes images of {generator.image_size} pixels, this face "
            f"has {size}; start the studio with --checkpoint of one that moves any size"
        )
    generator.load(size, _CPU)
    return generator
