"""What scripts that reproduce the papers' tables share."""
