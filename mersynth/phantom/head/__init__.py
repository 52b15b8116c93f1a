"""A head: its surface, how AUs move it, its colours, folds and eyes, and what lies before it."""
