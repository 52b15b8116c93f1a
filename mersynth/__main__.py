"""``python -m mersynth`` is the ``mersynth`` command."""

from mersynth.cli import app

app()
