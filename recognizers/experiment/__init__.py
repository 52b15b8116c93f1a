"""A protocol's evaluation, from the request to its figures."""
