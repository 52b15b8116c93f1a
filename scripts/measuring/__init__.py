"""What scripts that measure share: systems in forms for tables of all, and their documents."""
