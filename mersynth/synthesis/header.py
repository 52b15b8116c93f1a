"""The header of a synthetic store: its sources, generators, settings and licences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import torch
from omegaconf import DictConfig, OmegaConf

from mersynth import __version__
from mersynth.phantom.version import version_of
from mersynth.store.clip_store import ClipStore
from mersynth.synthesis.generators import ClipGenerator


def make_header(
    real: ClipStore,
    face_store: ClipStore,
    generators: Sequence[ClipGenerator],
    config: DictConfig,
    scheme: str,
    per_class: int | None,
    seed: int,
) -> dict[str, Any]:
    """The header of the store, with the databases' licences and citations.

    ``per_class`` is None for a store that is not balanced.
    """
    origin = real.meta["header"]
    origins = [origin] if face_store is real else [origin, face_store.meta["header"]]

    def both(key: str) -> str | None:
        return "; ".join(dict.fromkeys(o[key] for o in origins if o.get(key))) or None

    return {
        "source": origin["source"],
        "licence": both("licence"),
        "citation": both("citation"),
        "synthetic": True,
        "framing": face_store.framing.as_dict() if face_store.framing is not None else None,
        "phantom": version_of(face_store),
        "scheme": scheme,
        **({} if per_class is None else {"per_class": per_class}),
        "seed": seed,
        "intensities": "as asked for",
        "config": OmegaConf.to_container(config, resolve=True),
        "generator": generators[0].name,
        "generators": [generator.facts() for generator in generators],
        "versions": {
            "mersynth": __version__,
            "torch": torch.__version__,
            "opencv": cv2.__version__,
        },
        "real_store": _card_of(real),
        **({} if face_store is real else {"faces_store": _card_of(face_store)}),
    }


def strength_of(store: ClipStore) -> float | None:
    """The factor on its AU curves that a synthetic store records; None if it records none."""
    header = store.meta["header"]
    found = header.get("config", {}).get("strength") if header.get("synthetic") else None
    return None if found is None else float(found)


def _card_of(store: ClipStore) -> dict[str, Any]:
    return {"checksum": store.checksum, "header": store.meta["header"]}
