"""Shared code of the scripts that draw the documentation's pictures."""
