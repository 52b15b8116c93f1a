"""Tests of the registry of sources, and of what ``prepare`` does for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mersynth.prepare.command import prepare
from mersynth.sources import SOURCES, get_source, register


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_source_draws_its_tree_and_names_its_terms(name: str) -> None:
    source = get_source(name)
    assert source.name == name
    assert f"{source.home}/\n" in source.tree
    assert source.licence
    assert source.citation
    assert source.request


def test_register_refuses_a_name_twice() -> None:
    with pytest.raises(ValueError, match="'samm' is registered already"):
        register(get_source("samm"))


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="'smile'; known: casme2, samm"):
        get_source("smile")
    with pytest.raises(ValueError, match=r"'smile'; known: casme2, samm, .*, phantom"):
        prepare("smile")


def test_prepare_refuses_impossible_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="image_size must be positive, got 0"):
        prepare("samm", image_size=0)
    with pytest.raises(ValueError, match="has no --root"):
        prepare("phantom", root=tmp_path, out=tmp_path / "store")
    with pytest.raises(ValueError, match="even number of pixels, 32 or more, got 33"):
        prepare("phantom", out=tmp_path / "store", image_size=33)
    assert list(tmp_path.iterdir()) == []
