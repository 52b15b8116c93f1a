"""Augmentations for micro-expression recognition: modules over pure functions, to import."""
