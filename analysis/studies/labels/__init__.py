"""What labels say of themselves, of one another, and of scores."""
