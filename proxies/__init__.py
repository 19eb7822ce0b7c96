"""Proxies, one file each: their contract, their registry, and the test that all of them pass."""
