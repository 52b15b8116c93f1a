"""Loading a store as a pandas table and a torch Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mersynth.store.clip_store import ClipStore
from mersynth.store.dataset import ClipDataset, warn_empty_classes
from mersynth.store.format import schemes_in
from mersynth.store.names import NameChoice, Named, reconcile

if TYPE_CHECKING:
    import pandas as pd


def load_clips(
    path: str | Path,
    *,
    num_frames: int = 16,
    scheme: str | None = None,
    names: NameChoice | None = None,
) -> tuple[pd.DataFrame, ClipDataset]:
    """Open any store, real or synthetic, as a table and a Dataset of the same clips.

    Args:
        path: the store's folder.
        num_frames: frames per sample, T.
        scheme: label scheme (``facs.emotions.SCHEMES``); clips without a class in it are left out
            of both. None: the store's own (:func:`own_scheme`).
        names: how to treat names that look alike, such as the subjects ``006`` and ``6``:
            ``"same"`` joins them; ``"distinct"`` keeps them apart, as does None with a warning.

    Returns:
        The table, whose row ``i`` describes sample ``i``: the fields of
        :class:`mersynth.clips.Clip`, ``id``, ``subject_id``, ``class`` (name) and ``label``
        (index); and the :class:`mersynth.store.dataset.ClipDataset` of clips (T, 3, H, W) float32
        in [0, 1]. A warning names classes of the scheme without clips.

    Raises:
        StoreError: if there is no complete, readable store.
        ValueError: if the scheme is unknown or no clip has a class in it, ``num_frames`` is not
            in 1..10000, or the store was merged from stores of several schemes and none is named.

    Example:
        >>> table, clips = mersynth.load_clips("stores/samm_synthetic")   # doctest: +SKIP
        >>> table["class"].value_counts(), clips[0]["clip"].shape         # doctest: +SKIP
    """
    store = ClipStore.open(path)
    spelling = reconcile([Named(str(path), store.clips)], names, strict=False)
    store = store.view(spelling.clips(store.clips), store.starts)
    data = ClipDataset(store, num_frames, scheme if scheme is not None else own_scheme(store))
    warn_empty_classes(str(path), data.classes, data.labels)
    table = data.store.table
    table["class"] = [data.classes[label] for label in data.labels]
    table["label"] = data.labels
    return table, data


def own_scheme(store: ClipStore) -> str:
    """The label scheme of a store's classes.

    A synthetic store has the classes of the scheme that it was made for, a real one the database's
    own labels (``"native"``), to which other schemes apply as well.

    Raises:
        ValueError: if the store was merged from stores of several schemes.
    """
    found = sorted(set(schemes_in(store.meta["header"])))
    if len(found) > 1:
        raise ValueError(
            f"{store.path} holds clips labelled by several schemes ({', '.join(found)}); choose "
            "one with all their classes: scheme=..., or --classes on the command line"
        )
    return found[0] if found else "native"
