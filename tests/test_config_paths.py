"""Paths among the values of a config: taken as they stand, whatever signs they hold."""

from __future__ import annotations

import pytest

from mersynth import config

ODD = (
    "a b", "it's", 'say "yes"', "a,b", "[a] (b) {c}", "a[b(c{d", "$HOME ${x} \\${y}", "a=b==c",
    "a\nb", "a\\b", "a\\", "#;&|%@!~^`", "表情😀", "5", "true", "n" * 240,
)  # fmt: skip


@pytest.mark.parametrize("place", ODD)
def test_a_path_is_taken_as_it_stands(place: str) -> None:
    for key in ("macro_store", "gan.init_from"):
        for override in (f"{key}={place}", config.literal(key, place)):
            loaded = config.load("train", ["gan=tiny", override])
            assert (loaded.macro_store or loaded.gan.init_from) == place


def test_quotes_around_it_are_left_out_and_null_is_none() -> None:
    for quoted in ('"a,b"', "'a,b'"):
        assert config.load("train", [f"macro_store={quoted}"]).macro_store == "a,b"
    assert config.load("train", ["macro_store=null"]).macro_store is None
    assert config.load("train", [config.literal("macro_store", "null")]).macro_store == "null"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("steps=${nosuch}", r"steps=\$\{nosuch\}.* 'nosuch' not found"),
        ("gan=[1]", r"override 'gan=\[1\]' of config 'train': a group takes the name"),
        ("betas=5", "betas=5': the value must be a list such as .*got 5"),
        ("device=" + "x" * 10_000, r"got 'x{50,}\.\.\."),
    ],
)
def test_other_values_are_refused_in_one_line(override: str, said: str) -> None:
    with pytest.raises(config.ConfigError, match=said) as refused:
        config.load("train", [override])
    assert len(str(refused.value)) < 400


def test_overrides_are_a_list_of_texts() -> None:
    for wrong in ("steps=5", [5]):
        with pytest.raises(config.ConfigError, match="overrides must be a list of texts"):
            config.load("train", wrong)  # type: ignore[arg-type]
