"""The recognition systems: a file each, registered under its name by being imported."""

from __future__ import annotations

import importlib
import pkgutil

from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.registry import (
    Description,
    PublishedError,
    create_model,
    describe,
    list_models,
    load_published,
    register_model,
    register_published,
)

__all__ = [
    "Description",
    "InputSpec",
    "Output",
    "PublishedError",
    "Recognizer",
    "create_model",
    "describe",
    "list_models",
    "load_published",
    "register_model",
    "register_published",
]

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
