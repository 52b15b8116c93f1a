"""Shared code of the scripts that reproduce the papers' tables."""
