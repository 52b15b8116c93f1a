from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from mersynth import config


@pytest.fixture(autouse=True)
def small_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config folder with a group of two choices."""
    folder = tmp_path / "configs"
    (folder / "gan").mkdir(parents=True)
    (folder / "train.yaml").write_text(
        "defaults: [_self_, {gan: small}]\nsteps: 10\nfast: false\nname: a\nrate: 0.5\nfrom: null\n"
    )
    (folder / "gan" / "small.yaml").write_text("width: 8\n")
    (folder / "gan" / "large.yaml").write_text("width: 64\nblocks: 6\n")
    monkeypatch.setattr(config, "config_folder", lambda: folder)


def test_overrides_choose_groups_and_set_values() -> None:
    composed = config.load("train", ["gan.blocks=9", "gan=large", "steps=20", "fast=true"])
    assert composed == {
        "steps": 20,
        "fast": True,
        "name": "a",
        "rate": 0.5,
        "from": None,
        "gan": {"width": 64, "blocks": 9},
    }


def test_without_overrides_the_defaults_hold() -> None:
    assert config.load("train") == {
        "steps": 10,
        "fast": False,
        "name": "a",
        "rate": 0.5,
        "from": None,
        "gan": {"width": 8},
    }


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("rate=2", 2),
        ("from=folder/weights.pth", "folder/weights.pth"),
        ("from=3", 3),
        ('from="a=b, c"', "a=b, c"),
    ],
)
def test_a_value_fits_where_its_kind_does_or_none_was_given(override: str, value: object) -> None:
    assert config.load("train", [override])[override.partition("=")[0]] == value


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("gan.widht=3", "'gan' has the keys width"),
        ("step=3", "the keys fast, from, gan, name, rate, steps"),
        ("gan.width.x=3", "'gan' has the keys width"),
        ("gan=huge", "choices are large, small"),
        ("gan=3", "Got int"),
        ("phantom", "it is not KEY=VALUE"),
        ("from=a=b", "needs quotation marks"),
        ("steps=many", "must be a whole number, got 'many'"),
        ("steps=2.5", "must be a whole number, got 2.5"),
        ("steps=true", "must be a whole number, got True"),
        ("steps=null", "must be a whole number, got None"),
        ("rate=many", "must be a number, got 'many'"),
        ("+extra=1", "not added"),
        ("~steps", "removed"),
        ("fast=1", "must be true or false, got 1"),
        ("steps=1,2", "steps=1,2"),
    ],
)
def test_a_wrong_override_is_named_with_what_is_allowed(override: str, said: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.load("train", ["name=b", override])
    assert repr(override) in str(caught.value)
    assert said in str(caught.value)


def test_optional_keys_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "OPTIONAL", {"train": ("gan.depth", "gan.extra")})
    given = ["gan.depth=3", "gan.extra={a: 1}", "gan=large"]
    assert config.load("train", given).gan == {
        "width": 64,
        "blocks": 6,
        "depth": 3,
        "extra": {"a": 1},
    }
    assert config.load("train").gan == {"width": 8}
    # The override at fault is named, not the optional one before it.
    with pytest.raises(config.ConfigError, match=r"gan\.widht.* has the keys depth, extra, width"):
        config.load("train", ["gan.depth=3", "gan.widht=3"])


def test_an_unknown_config_is_named_with_those_that_exist() -> None:
    with pytest.raises(config.ConfigError, match=r"no config 'trian'.*there are train"):
        config.load("trian")


def test_composing_leaves_logging_and_the_working_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    config.load("train", ["steps=3"])
    assert (root.level, list(root.handlers)) == before
    assert list(empty.iterdir()) == []


def test_what_is_composed_twice_is_neither_shared_nor_stale() -> None:
    first = config.load("train")
    first.gan.width = 9
    assert config.load("train").gan.width == 8
    file = config.config_folder() / "gan" / "small.yaml"
    file.write_text("width: 12\n")
    os.utime(file, ns=(0, 0))
    assert config.load("train").gan.width == 12
