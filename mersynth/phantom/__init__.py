"""The phantom: rendered heads whose Action Units, landmarks and motion are known."""
