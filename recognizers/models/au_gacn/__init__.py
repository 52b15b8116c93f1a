"""AU-GACN: its space-time network, graph pooling, and the system of both."""

from __future__ import annotations

from recognizers.models.au_gacn.model import AUGACN

__all__ = ["AUGACN"]
