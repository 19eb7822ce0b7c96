"""The space of CIFAR ResNets by their depths, and residual networks that serve as teachers."""
