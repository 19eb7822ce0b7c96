"""Rankings that learn from a few labels, beside the proxies that need none."""
