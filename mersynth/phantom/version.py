"""The version of the phantom that a store shows, or that a generator learned from."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mersynth.store.clip_store import ClipStore

VERSION = 3
"""Version of the phantom's people, at rest and moving, and of the AU warp, which moves likewise.

Raise it whenever the same subject and AUs give other pictures. 1: before rest and AUs were compared
with real faces; not recorded. 2: before the smile pulled the cheek outwards as in real flow, and
the sides of an AU differed.
"""

logger = logging.getLogger(__name__)


def version_of(store: ClipStore) -> int | None:
    """The version of the phantom that a store shows; None: other faces."""
    if not store.clips or any(clip.source != "phantom" for clip in store.clips):
        return None
    return int(store.meta["header"].get("phantom") or 1)


def warn_versions(versions: Mapping[str, int | None], advice: str) -> None:
    """Warn if different versions of the phantom are used together.

    Args:
        versions: by the name of the store or generator; None: other faces, which are ignored.
        advice: what to do about it.
    """
    known = {name: version for name, version in versions.items() if version is not None}
    if len(set(known.values())) > 1:
        said = "; ".join(f"{name}: version {version}" for name, version in known.items())
        logger.warning(
            "different versions of the phantom, whose people and AUs differ. %s. %s", said, advice
        )
