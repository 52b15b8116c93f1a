"""Evaluation of a system, from the request to the figures."""
