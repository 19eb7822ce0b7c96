"""Architectures and their networks: cells of NAS-Bench-201, sizes of NATS-Bench, depths of ResNets; their order and classes."""
