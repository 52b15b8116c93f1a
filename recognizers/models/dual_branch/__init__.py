"""Dual branch: the system, its layers, its losses, and the weights that its authors published."""

from __future__ import annotations

from recognizers.models.dual_branch import published
from recognizers.models.dual_branch.model import DualBranch

__all__ = ["DualBranch", "published"]
