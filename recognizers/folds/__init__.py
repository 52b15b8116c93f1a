"""Who is tested and who is trained on, and the guard against leakage between them."""
