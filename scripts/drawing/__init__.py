"""What scripts that draw pictures of the documentation share."""
