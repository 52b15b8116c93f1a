"""The folder of scripts, which is not a package: its modules, and its scripts as commands."""

from __future__ import annotations

import importlib
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch

SCRIPTS = Path(__file__).parents[1] / "scripts"


class Ran(NamedTuple):
    """What a script printed and how it ended."""

    code: int
    stdout: str
    stderr: str


def script(name: str) -> Any:
    """A module of the folder of scripts, which is on the path of a script that runs."""
    with patch.object(sys, "path", [str(SCRIPTS), *sys.path]):
        return importlib.import_module(name)


def run_script(name: str, *arguments: object) -> Ran:
    """Run a script as ``python scripts/NAME.py ARGUMENTS``, in this process: torch is loaded."""
    file = str(SCRIPTS / f"{name}.py")
    out, err, code, threads = StringIO(), StringIO(), 0, torch.get_num_threads()
    command = [file, *map(str, arguments)]
    with (
        patch.object(sys, "argv", command),
        patch.object(sys, "path", [str(SCRIPTS), *sys.path]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            runpy.run_path(file, run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                err.write(end.code)
        finally:
            torch.set_num_threads(threads)
    return Ran(code, out.getvalue(), err.getvalue())
