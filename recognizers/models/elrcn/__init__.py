"""ELRCN, and its encoder of frames."""

from __future__ import annotations

from recognizers.models.elrcn.model import ELRCN

__all__ = ["ELRCN"]
