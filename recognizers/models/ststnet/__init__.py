"""STSTNet, and the weights that its authors published."""

from __future__ import annotations

from recognizers.models.ststnet import published
from recognizers.models.ststnet.model import STSTNet

__all__ = ["STSTNet", "published"]
