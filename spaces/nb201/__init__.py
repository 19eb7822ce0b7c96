"""The space of NAS-Bench-201: cells, their classes and networks, one at a time and batched."""
