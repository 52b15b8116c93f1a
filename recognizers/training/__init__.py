"""Training of a system on the clips of a fold."""
