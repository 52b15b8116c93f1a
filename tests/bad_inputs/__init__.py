"""Bad inputs, tried in bulk: ``python -m tests.bad_inputs`` generates, tries and counts them."""
