"""Predictions, the figures of them, and comparisons."""
