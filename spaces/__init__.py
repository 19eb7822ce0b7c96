"""Architectures and their networks: NAS-Bench-201 cells, NATS-Bench sizes, ResNet depths; order and classes of each."""
