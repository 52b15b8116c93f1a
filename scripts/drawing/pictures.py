"""Real faces to draw and to measure, from given pictures."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from skimage.data import astronaut

from mersynth.prepare.command import prepare
from mersynth.sources.media import kind_of
from mersynth.store.clip_store import ClipStore

SIZE = 256


def prepare_pictures(pictures: list[Path], folder: Path) -> ClipStore:
    """A store of the faces on photos and films, as ``mersynth prepare --source folder`` makes it.

    Args:
        pictures: photos and films; if empty, scikit-image's astronaut, a public-domain picture.
        folder: to write to.
    """
    if not pictures:
        pictures = [folder / "astronaut.png"]
        Image.fromarray(astronaut()).save(pictures[0])
    films = [path for path in pictures if kind_of(path) == "video"]
    photos = [path for path in pictures if path not in films]
    return prepare("folder", out=folder / "s", images=photos, videos=films, image_size=SIZE)
