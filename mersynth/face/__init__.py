"""Faces: found, aligned to the square of a store, and measured for their action units."""
