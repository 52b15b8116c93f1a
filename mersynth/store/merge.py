"""One store from several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mersynth.store.clip_store import ClipStore, StoreError, shared_framing
from mersynth.store.writer import StoreWriter


def merge(
    stores: Sequence[ClipStore], path: str | Path, header: Mapping[str, Any] | None = None
) -> ClipStore:
    """Write the clips of several stores of one image size into a new store.

    Args:
        stores: the stores, or views of them (:meth:`ClipStore.filter`).
        path: folder of the new store; it must not exist.
        header: facts about the new store; its framing is added where the parts share one, and the
            header of each part, with licence notes, under ``header["parts"]``.

    Raises:
        StoreError: if the image sizes differ, an id occurs twice, or ``path`` exists.
    """
    sizes = sorted({store.image_size for store in stores})
    if len(sizes) != 1:
        raise StoreError(f"only stores of one image size can be merged, got sizes {sizes}")
    framing = shared_framing(stores)
    facts = {
        "framing": framing.as_dict() if framing is not None else None,
        "source": "+".join(dict.fromkeys(str(s.meta["header"]["source"]) for s in stores)),
        **(header or {}),
        "parts": [{"checksum": s.checksum, "header": s.meta["header"]} for s in stores],
    }
    clips = [clip for store in stores for clip in store.clips]
    with StoreWriter(path, clips, sizes[0], facts) as writer:
        for store in stores:
            for item in store:
                writer.add(item.frames, item.intensities, item.landmarks)
        return writer.finish()
