"""Preparing a store from a database on disk: ``mersynth prepare``."""
