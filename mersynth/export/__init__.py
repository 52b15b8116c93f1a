"""Exporting a store in layouts that other people's code reads: ``mersynth export``."""

from __future__ import annotations

from mersynth.export.job import ExportError, ExportSettings
from mersynth.export.run import LAYOUTS, Layout, export

__all__ = ["LAYOUTS", "ExportError", "ExportSettings", "Layout", "export"]
