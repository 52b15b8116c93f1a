"""A system learns from the clips of a fold."""
