"""The examples in docstrings, which the documentation shows, give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
import torch

import mersynth
import recognizers

ROOTS = [Path(package.__file__).parent for package in (mersynth, recognizers)]
WITH_EXAMPLES = [
    file.relative_to(root.parent)
    for root in ROOTS
    for file in sorted(root.rglob("*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("file", WITH_EXAMPLES, ids=Path.as_posix)
def test_examples_run(file: Path) -> None:
    module = importlib.import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
    torch.manual_seed(0)
    assert doctest.testmod(module).failed == 0
