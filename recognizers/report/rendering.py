"""Writes pages from the templates beside this file, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mersynth.pages import rendering

_TEMPLATES = Path(__file__).parent


def render(template: str, path: Path, **content: Any) -> Path:
    """Fill a template of this folder; see :func:`mersynth.pages.rendering.render`."""
    return rendering.render(_TEMPLATES, template, path, **content)
