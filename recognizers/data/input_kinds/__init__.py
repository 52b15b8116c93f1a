"""The kinds of inputs, one function each; importing its module registers it."""

from __future__ import annotations

import importlib
import pkgutil

from recognizers.data.input_kinds.registry import (
    INPUT_KINDS,
    FeatureOptions,
    InputKind,
    register_input,
)

__all__ = ["INPUT_KINDS", "FeatureOptions", "InputKind", "register_input"]

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
