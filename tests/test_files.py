"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from mersynth.files import whole_file
from mersynth.state_files import save_state_file


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
