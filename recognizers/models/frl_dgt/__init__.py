"""FRL-DGT: regions of the face, the learned displacement (DGM), the fusion, and the system."""

from __future__ import annotations

from recognizers.models.frl_dgt.model import FRLDGT

__all__ = ["FRLDGT"]
