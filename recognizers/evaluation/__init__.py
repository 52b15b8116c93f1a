"""Predictions, their metrics, and comparisons of runs."""
