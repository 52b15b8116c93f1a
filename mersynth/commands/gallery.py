"""``mersynth gallery``: a page on which a store's clips play."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

logger = logging.getLogger(__name__)


def gallery(
    store: Annotated[Path, typer.Option(help="Folder of a store, real or synthetic.")],
) -> None:
    """Write the page gallery.html into a store: its clips play, with the curves of their AUs.

    `generate` does so by itself. The pages of `recognizers report` link to the clips of a gallery.
    """
    from mersynth.pages.gallery import write_gallery
    from mersynth.store.clip_store import ClipStore

    logger.info("gallery: %s", write_gallery(ClipStore.open(store)))
