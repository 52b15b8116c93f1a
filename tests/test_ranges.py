"""What the values of configs may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mersynth import config
from mersynth.ranges import Range, leaves, read_rules, rule_of

FILE = config.config_folder() / config.RANGES
#: Groups whose values go to classes that check them.
CHECKED_ELSEWHERE = {"population", "capture", "framing", "conditions", "augment"}


@pytest.mark.parametrize(
    ("text", "allowed", "refused", "words"),
    [
        ("0..1", [0, 0.5, 1], [-0.1, 1.1, float("nan"), True, "1", None], "in 0..1"),
        ("1..", [1, 1e9], [0, float("inf")], "1 or more"),
        (">0..<1", [0.5], [0, 1], "above 0 and below 1"),
        (">0..1", [1, 1e-9], [0, 1.5], "above 0 and at most 1"),
        ("whole 1..1000000", [1, 1_000_000], [1.5, 0], "a whole number, in 1..1000000"),
        ("-1..1", [-1, 0], [-1.5], "in -1..1"),
    ],
)
def test_a_range_has_what_it_says(
    text: str, allowed: list[object], refused: list[object], words: str
) -> None:
    found = Range.read(text)
    assert found is not None
    assert str(found) == words
    assert all(value in found for value in allowed)
    assert not any(value in found for value in refused)


@pytest.mark.parametrize("text", ["auto", "0.1", "..", "a..b", 3, None])
def test_other_values_stand_for_themselves(text: object) -> None:
    assert Range.read(text) is None


@pytest.mark.parametrize(
    ("name", "override", "said"),
    [
        ("evaluate", "fine_tuning.lr_factor=0", "one of auto, inner, above 0 and at most 1000"),
        ("evaluate", "fine_tuning.lr_factor=nan", "got nan"),
        ("evaluate", "pretraining.keep=5.0", "pretraining.keep must be above 0 and at most 1"),
        ("evaluate", "inner_share=7.0", "inner_share must be above 0 and below 1, got 7.0"),
        ("evaluate", "model.training.optimizer.lr=inf", "lr must be above 0 and at most 100"),
        ("evaluate", "executor.workers=100000", "executor.workers must be a whole number"),
        ("evaluate", "executor.workers=1.5", "a whole number, in 1..1024, got 1.5"),
        ("evaluate", "pretraining.epoch_clips=some", "one of fold, a whole number, 1 or more"),
        ("evaluate", "choice.ways=[{lr_factor: -1}]", "choice.ways.lr_factor must be above 0"),
        ("evaluate", "selection=null", "selection must be one of fixed, inner, got null"),
        ("train", "betas=[0.5,1.0]", "betas must be 0 or more and below 1, got 1.0"),
        ("train", "gan.image_critic.depth=30", "depth must be in 1..9, got 30"),
        ("train", "gan.generator.channels=100000", "channels must be in 1..4096"),
        ("prepare", "image_size=100000", "image_size must be in 8..4096, got 100000"),
        ("prepare", "min_confidence=80", "min_confidence must be in 0..1, got 80"),
        ("prepare", "strength=1.5", "one of null (None in Python), micro, macro, got 1.5"),
        ("generate", "strength=nan", "strength must be in 0..10, got nan"),
    ],
)
def test_a_value_outside_its_range_is_refused(name: str, override: str, said: str) -> None:
    with pytest.raises(config.ConfigError) as refused:
        config.load(name, [override])
    assert said in str(refused.value)


@pytest.mark.parametrize("strength", ["micro", "macro"])
def test_prepare_takes_the_strengths_of_its_own_flag(strength: str) -> None:
    assert config.load("prepare", [f"strength={strength}"]).strength == strength


def compositions() -> Iterator[tuple[str, object]]:
    """Every config with its defaults, and with each choice of each of its groups."""
    folder = config.config_folder()
    for file in sorted(folder.glob("*.yaml")):
        if file.name == config.RANGES:
            continue
        plain = config.load(file.stem)
        yield file.stem, plain
        for group in (path for path in folder.iterdir() if path.is_dir() and path.name in plain):
            for choice in group.glob("*.yaml"):
                yield file.stem, config.load(file.stem, [f"{group.name}={choice.stem}"])


def test_every_number_has_a_range_and_no_range_is_idle() -> None:
    rules, used = read_rules(FILE), set()
    for name, each in compositions():
        values = OmegaConf.to_container(each, resolve=True)  # type: ignore[arg-type]
        for path, value in leaves(values, (name,)):
            if CHECKED_ELSEWHERE & set(path):
                continue
            rule = rule_of(path, rules)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            assert rule is not None or not number, f"{'.'.join(path)} has no range"
            used.add(rule)
    assert {rule for rule in rules.values() if rule not in used} == set()


def test_a_folder_without_ranges_has_none(tmp_path: Path) -> None:
    assert read_rules(tmp_path / "ranges.yaml") == {}
