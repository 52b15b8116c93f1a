"""mersynth: balanced synthetic facial micro-expression clips, and the field's augmentations."""

__version__ = "0.1.0"
