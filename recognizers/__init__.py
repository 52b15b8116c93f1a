"""Recognition systems for micro-expressions, their evaluation protocols and their reports."""
