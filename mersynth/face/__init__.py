"""Faces: detection, alignment to the square of a store, and AU measurement."""
