"""Architectures and their networks: NAS-Bench-201 cells, ResNets by depths; order and classes of each."""
