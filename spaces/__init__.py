"""Architectures: NAS-Bench-201 cells, which of them are the same function, and the networks built from them."""
