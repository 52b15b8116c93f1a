"""Speed beside a plain loop, in the same run and on the same machine."""
