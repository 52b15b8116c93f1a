"""LBP-TOP histograms, and the support vector machine on them."""

from __future__ import annotations

from recognizers.models.lbp_top_svm.model import LBPTOPSVM

__all__ = ["LBPTOPSVM"]
