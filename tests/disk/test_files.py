"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from mersynth.disk.files import real_path, whole_file, whole_folder
from mersynth.disk.lock import hold
from mersynth.disk.partial import partials_of
from mersynth.disk.state_files import load_state_file, save_state_file


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


@pytest.mark.parametrize("name", ["n" * 240, "表" * 80, "😀" * 62])
def test_names_as_long_as_a_file_system_takes(name: str, tmp_path: Path) -> None:
    with hold(tmp_path / name), whole_folder(tmp_path / name) as partial:
        (partial / "a").write_text("b")
        assert partials_of(tmp_path / name) == [partial]
        assert partials_of(tmp_path / f"{name[:-1]}x") == []  # another name of the same beginning
    assert (tmp_path / name / "a").read_text() == "b"


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert real_path(tmp_path / "loop").name == "loop"
    with (
        pytest.raises(OSError, match="loop is a link that leads nowhere; remove it, or choose"),
        hold(tmp_path / "loop"),
    ):
        raise AssertionError
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match=r"out cannot be written, since .*inner cannot be"),
        hold(tmp_path / "file" / "inner" / "out"),
    ):
        raise AssertionError
