"""The recognition systems: a file or package each, named after the system that it registers."""

from __future__ import annotations

from recognizers.models.base import InputSpec, Output, Recognizer
from recognizers.models.registry import (
    Description,
    PublishedError,
    create_model,
    describe,
    list_models,
    load_published,
    outline,
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
    "outline",
    "register_model",
    "register_published",
]
