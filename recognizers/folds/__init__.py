"""Who is tested and who is learnt from, and the guard that lets nothing leak between them."""
