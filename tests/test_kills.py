"""Commands killed at random times, repeated, and compared with an unbroken run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_killed_command_ends_as_an_unbroken_one() -> None:
    command = [sys.executable, "-m", "tests.kills", "--kills", "2"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
