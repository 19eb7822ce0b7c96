"""One file for each proxy; the contract (`base`), the registry, and the probe they read."""
