"""A run's folder, and the records in it."""

from recognizers.runs.files import RunError

__all__ = ["RunError"]
