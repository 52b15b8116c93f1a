"""All cases, by what they spoil."""

from __future__ import annotations

from collections import Counter
from functools import cache

from tests.bad_inputs.case import Case
from tests.bad_inputs.features import feature_cases
from tests.bad_inputs.names import name_cases
from tests.bad_inputs.options import option_cases
from tests.bad_inputs.python_api import python_cases
from tests.bad_inputs.runs import run_cases
from tests.bad_inputs.stores import store_cases
from tests.bad_inputs.trees import tree_cases
from tests.bad_inputs.weights import weight_cases

KINDS = {
    "stores": store_cases,
    "weights": weight_cases,
    "runs": run_cases,
    "feature files": feature_cases,
    "trees": tree_cases,
    "options": option_cases,
    "names": name_cases,
    "Python": python_cases,
}


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case, by a name that is its own."""
    cases: list[Case] = []
    seen: Counter[str] = Counter()
    for make in KINDS.values():
        for case in make():
            seen[case.name] += 1
            if seen[case.name] > 1:
                raise ValueError(f"two cases are called {case.name!r}")
            cases.append(case)
    return tuple(cases)
