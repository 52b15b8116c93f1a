"""Outputs on disk: written whole or not at all, locked, checked when they are read again."""
