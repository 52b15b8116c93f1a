"""What systems read: the tensors of a store's clips, and feature files of others."""
