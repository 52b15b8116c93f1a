"""CapsuleNet, and the weights that its authors published."""

from __future__ import annotations

from recognizers.models.capsulenet import published
from recognizers.models.capsulenet.model import CapsuleNet

__all__ = ["CapsuleNet", "published"]
