"""The inputs of systems: tensors made from stores, and other people's feature files."""
