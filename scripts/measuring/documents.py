"""Markdown documents written by scripts."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path


def command(*left_out: str) -> str:
    """The running script's command line, as a block to copy, and the version of the phantom.

    Args:
        left_out: options, with a value each, that change nothing: folders of work, and those by
            which a table is measured in parts.
    """
    from mersynth.phantom.version import VERSION

    words, rest = ["python", f"scripts/{Path(sys.argv[0]).name}"], iter(sys.argv[1:])
    for word in rest:
        if word in left_out:
            next(rest)
        else:
            words.append(word)
    return f"```\n{shlex.join(words)}\n```\n\non version {VERSION} of the phantom."


def machine(device: str) -> str:
    """The hardware of a run: the GPU's name, or the number of CPU cores."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else f"{os.cpu_count()} CPU cores"


def paragraph(text: str) -> str:
    """A text in lines of 100 columns."""
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[int] = (0,)) -> str:
    """A table.

    Args:
        head: names of the columns.
        rows: texts, one per column.
        words: numbers of the columns with words, from 0; the others have figures.
    """
    marks = [":---" if i in words else "---:" for i in range(len(head))]
    lines = (f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
    return "\n".join(lines)


def document(parts: Sequence[str]) -> str:
    """Parts with a line between them."""
    return "\n\n".join(parts) + "\n"
