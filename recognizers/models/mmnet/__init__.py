"""MMNet: the system, its layers, and the weights that its authors published."""

from __future__ import annotations

from recognizers.models.mmnet import published
from recognizers.models.mmnet.model import MMNet

__all__ = ["MMNet", "published"]
