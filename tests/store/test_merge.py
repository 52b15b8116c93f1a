"""Several stores in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mersynth.store.clip_store import StoreError
from mersynth.store.merge import merge
from tests.tiny_store import tiny_clips, write_tiny_store


def test_merge_keeps_clips_and_headers(tmp_path: Path) -> None:
    clips = tiny_clips(subjects=2)
    parts = [
        write_tiny_store(tmp_path / "a", clips[:4]),
        write_tiny_store(tmp_path / "b", clips[4:]),
    ]
    merged = merge(parts, tmp_path / "m")
    assert merged.clips == tuple(clips)
    np.testing.assert_array_equal(merged[4].frames, parts[1][0].frames)
    assert [p["header"]["licence"] for p in merged.meta["header"]["parts"]] == ["none", "none"]
    with pytest.raises(StoreError, match="occurs twice"):
        merge([parts[0], parts[0]], tmp_path / "twice")
    odd = write_tiny_store(tmp_path / "odd", clips[4:], image_size=16)
    with pytest.raises(StoreError, match=r"\[16, 32\]"):
        merge([parts[0], odd], tmp_path / "sizes")
