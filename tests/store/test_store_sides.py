"""The sides of AU intensities in a store, and stores made before there were any."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np

from mersynth.disk.files import checksum_of, sha256_of_file
from mersynth.store.clip_store import ClipStore
from mersynth.store.merge import merge
from tests.tiny_store import write_tiny_store


def test_intensities_without_sides_are_those_of_both(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "s", measured=True)
    assert store.intensities.shape[1:] == (20, 2)
    np.testing.assert_array_equal(store.intensities[..., 0], store.intensities[..., 1])


def test_a_store_of_schema_1_opens_with_both_sides_what_it_held(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s", measured=True).path
    held = np.load(path / "intensities.npy")[..., 0]
    np.save(path / "intensities.npy", held)
    meta = json.loads((path / "store.json").read_text())
    meta["schema_version"] = 1
    meta["sha256"]["intensities.npy"] = sha256_of_file(path / "intensities.npy")
    (path / "store.json").write_text(json.dumps(meta))
    store = ClipStore.open(path, verify=True)
    assert store.checksum == checksum_of(meta["sha256"])
    for side in range(2):
        np.testing.assert_array_equal(store.intensities[..., side], held)
    copy = pickle.loads(pickle.dumps(store.filter(lambda clip: clip.emotion == "contempt")))
    np.testing.assert_array_equal(copy[0].intensities[..., 1], held[6:12])
    both = merge([store], tmp_path / "new")
    assert json.loads((both.path / "store.json").read_text())["schema_version"] == 2
    np.testing.assert_array_equal(both.intensities, store.intensities)
