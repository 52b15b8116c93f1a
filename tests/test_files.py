"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from mersynth.files import whole_file
from mersynth.state_files import load_state_file, save_state_file


def test_the_same_state_is_the_same_bytes(tmp_path: Path) -> None:
    """Safetensors itself writes several facts in an order that changes."""
    facts = {name: name for name in "abcdefgh"}
    written = set()
    for _ in range(5):
        save_state_file(tmp_path / "state.safetensors", {"x": torch.ones(2)}, facts)
        written.add((tmp_path / "state.safetensors").read_bytes())
    assert len(written) == 1
    assert load_state_file(tmp_path / "state.safetensors")[1] == facts


def test_whoever_may_read_new_files_may_read_these(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_state_file(tmp_path / "state.safetensors", {"x": torch.ones(2)}, {})
        with whole_file(tmp_path / "table.csv") as partial:
            partial.write_text("a,b")
            partial.chmod(0o600)
    finally:
        os.umask(before)
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()} == {
        "state.safetensors": "0o644",
        "table.csv": "0o644",
    }
