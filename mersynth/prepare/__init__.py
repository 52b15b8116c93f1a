"""A database on disk becomes a store; ``mersynth prepare``."""
