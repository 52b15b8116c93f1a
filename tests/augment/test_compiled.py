"""Under torch.compile's default mode."""

from __future__ import annotations

import shutil

import pytest
import torch

from tests.augment.samples import AUGMENTATIONS, clips

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any(shutil.which(name) for name in ("g++", "clang++", "c++")),
        reason="torch.compile needs a C++ compiler; there is none",
    ),
]


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_compiled_as_eager(name: str) -> None:
    given = {key: value for key, value in clips().items() if key != "name"}
    eager = AUGMENTATIONS[name](p=1.0)
    expected = eager(given)
    torch.compiler.reset()
    result = torch.compile(eager)(given, params=eager.params)
    for key in expected:
        torch.testing.assert_close(result[key], expected[key], atol=1e-4, rtol=0, equal_nan=True)
    drawn = torch.compile(AUGMENTATIONS[name](p=0.5))(given)
    assert drawn["clip"].shape == expected["clip"].shape
