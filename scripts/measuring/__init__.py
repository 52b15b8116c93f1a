"""Shared code of the measuring scripts: small forms of systems, statistics and documents."""
