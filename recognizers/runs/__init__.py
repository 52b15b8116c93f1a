"""A run's folder, and the results in it."""
