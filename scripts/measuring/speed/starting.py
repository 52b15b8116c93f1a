"""How long commands take to answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import torch

from measuring.speed.comparison import Comparison, Work

COMMANDS = {
    "mersynth --help": ("mersynth", "--help", 1.0),
    "recognizers list": ("recognizers", "list", 2.5),
    "mersynth doctor": ("mersynth", "doctor", 2.0),
}


def comparisons(quick: bool, device: torch.device) -> Iterator[Comparison]:
    """Each command beside the import of torch; more than once its time is a ratio below one."""
    scale = Work("import torch", partial(_python, "-c", "import torch"), 1)
    for name, (module, word, longest) in COMMANDS.items():
        code = f"import sys; from {module}.cli import app; sys.argv[1:] = [{word!r}]; app()"
        ours = [Work(name, partial(_python, "-c", code), 1)]
        yield Comparison(name, "start", scale, ours, 1 / longest)


def _python(*words: str) -> None:
    subprocess.run([sys.executable, *words], capture_output=True, check=False)
