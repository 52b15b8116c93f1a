"""A run's folder: the records in it, and who writes them."""

from recognizers.runs.files import RunError

__all__ = ["RunError"]
