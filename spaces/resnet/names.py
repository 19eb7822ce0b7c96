"""Names of the ResNets of CIFAR, here where they cost no import of torch."""

RESNETS = {f"resnet{depth}": depth for depth in (20, 32, 44, 56, 110)}
"""Depth by name."""
