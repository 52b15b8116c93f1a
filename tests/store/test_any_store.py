"""Stores of any numbers of clips and frames: what goes in comes out (property-based)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mersynth.clips import Clip
from mersynth.store.clip_store import ClipStore
from mersynth.store.merge import merge
from mersynth.store.writer import StoreWriter

CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc"])
NAMES = st.text(CHARACTERS, min_size=1, max_size=6)
PARTS = st.text(CHARACTERS.filter(lambda c: c != "/"), min_size=1, max_size=3)
OPTIONAL = st.none() | NAMES
PEOPLE = st.tuples(PARTS, PARTS).map("/".join)


@dataclass(frozen=True)
class Arrays:
    """What a store holds of a clip."""

    clip: Clip
    frames: np.ndarray
    intensities: np.ndarray
    landmarks: np.ndarray

    @classmethod
    def of(cls, clip: Clip, image_size: int, seed: int, measured: bool) -> Arrays:
        rng = np.random.default_rng(seed)
        count = clip.num_frames
        frames = rng.integers(0, 256, (count, image_size, image_size, 3), dtype=np.uint8)
        arrays = rng.random((count, 20, 2), np.float32), rng.random((count, 68, 2), np.float32)
        intensities, landmarks = arrays if measured else (a * np.nan for a in arrays)
        return cls(clip, frames, intensities, landmarks)


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    onset = draw(st.integers(0, 2**31))
    offset = onset + draw(st.integers(0, 4))
    return Clip(
        source=draw(PARTS),
        subject=draw(PARTS),
        name=draw(NAMES),
        onset=onset,
        apex=draw(st.none() | st.integers(onset, offset)),
        offset=offset,
        emotion=draw(NAMES),
        aus=draw(st.text(CHARACTERS, max_size=6)),
        fps=draw(st.floats(0.5, 1000)),
        strength=draw(st.sampled_from(["micro", "macro"])),
        template=draw(st.none() | st.tuples(PEOPLE, NAMES).map("/".join)),
        generator=draw(OPTIONAL),
        apex_method=draw(OPTIONAL),
        unseen=tuple(draw(st.lists(PEOPLE, max_size=3))),
    )


@st.composite
def contents(draw: st.DrawFn) -> list[Arrays]:
    size = draw(st.integers(1, 4))
    return [
        Arrays.of(clip, size, seed, draw(st.booleans()))
        for seed, clip in enumerate(
            draw(st.lists(clips(), min_size=1, max_size=6, unique_by=lambda c: c.id))
        )
    ]


def write(path: Path, items: Sequence[Arrays]) -> ClipStore:
    size = items[0].frames.shape[1]
    with StoreWriter(path, [i.clip for i in items], size, {"source": "any"}) as writer:
        for item in items:
            writer.add(item.frames, item.intensities, item.landmarks)
        return writer.finish()


def assert_holds(store: ClipStore, items: Sequence[Arrays]) -> None:
    assert list(store.clips) == [item.clip for item in items]
    for stored, item in zip(store, items, strict=True):
        for name in ("frames", "intensities", "landmarks"):
            np.testing.assert_array_equal(getattr(stored, name), getattr(item, name))


@settings(max_examples=12)
@given(contents(), st.data())
def test_what_goes_in_comes_out(items: list[Arrays], data: st.DataObject) -> None:
    count = len(items)
    kept = data.draw(st.lists(st.booleans(), min_size=count, max_size=count), label="kept")
    part = data.draw(st.slices(count), label="slice")
    cut = data.draw(st.integers(0, count), label="cut")
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write(root / "whole", items)
        store = ClipStore.open(root / "whole", verify=True)
        assert_holds(store, items)
        assert_holds(store[part], items[part])
        ids = {item.clip.id for item, keep in zip(items, kept, strict=True) if keep}
        chosen = store.filter(lambda clip: clip.id in ids)
        assert_holds(chosen, [item for item in items if item.clip.id in ids])
        assert_holds(chosen[part], [item for item in items if item.clip.id in ids][part])
        # Divided anyhow and merged, from views or from stores, it is the same again.
        merged = merge([store[cut:], store[:cut]], root / "merged")
        assert_holds(merged, [*items[cut:], *items[:cut]])
        if 0 < cut < count:
            halves = [write(root / "a", items[:cut]), write(root / "b", items[cut:])]
            again = merge(halves, root / "again")
            assert_holds(again, items)
            assert again.meta["sha256"] == store.meta["sha256"]
