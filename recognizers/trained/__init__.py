"""A trained recognizer: kept, loaded, fitted to a whole store, and asked about new clips."""
