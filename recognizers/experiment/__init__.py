"""An evaluation, from the request to its figures."""
