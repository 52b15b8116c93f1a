"""Bad inputs are refused in clear words, and good ones that look odd are accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_inputs.case import CLEAN, Case, attempt
from tests.bad_inputs.collection import all_cases
from tests.bad_inputs.runner import outcomes
from tests.bad_inputs.world import make_world

EVERY = 150
"""Of so many cases, the suite tries one."""


def assert_clean(cases: list[Case], world: Path) -> None:
    found = outcomes([case.name for case in cases], world)
    wrong = [
        f"{outcome}: {name}: {said}" for name, outcome, said, _ in found if outcome not in CLEAN
    ]
    assert not wrong, "\n".join(wrong)


def test_a_sample_of_bad_inputs(tmp_path: Path) -> None:
    cases = [case for case in all_cases() if "folds" not in case.needs]
    assert_clean(cases[::EVERY], make_world(tmp_path / "world", folds=False))


@pytest.mark.slow
def test_all_bad_inputs(tmp_path: Path) -> None:
    assert len(all_cases()) > 750
    assert_clean(list(all_cases()), make_world(tmp_path / "world"))


def outcome_of(act: object, said: str | None) -> str:
    return attempt(Case("", (), act, said), Path())[0]  # type: ignore[arg-type]


def raiser(error: BaseException) -> object:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("act", "said", "outcome"),
    [
        (("mersynth", "doctor", "--store", "none"), "none", "refused clearly"),
        (("mersynth", "doctor", "--store", "none"), "other", "refused in words that do not help"),
        (("mersynth", "doctor", "--store", "none"), None, "good input refused"),
        (("recognizers", "list"), "none", "nonsense accepted"),
        (("recognizers", "list"), None, "rightly accepted"),
        (raiser(KeyError("none")), "none", "traceback"),
        (raiser(MemoryError()), "none", "hang or memory"),
        (raiser(RecursionError()), "none", "hang or memory"),
        (raiser(OSError("none: 'NoneType' object")), "none", "refused in words that do not help"),
    ],
)
def test_outcomes_are_told_apart(act: object, said: str | None, outcome: str) -> None:
    assert outcome_of(act, said) == outcome


def test_a_case_that_does_not_end_is_counted(tmp_path: Path) -> None:
    found = list(outcomes([all_cases()[0].name], tmp_path, seconds=0.0))
    assert found[0][1:3] == ("hang or memory", "no answer within 0 s, or killed")
