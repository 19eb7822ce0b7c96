"""PyTorch's layers without their own initialisation, which would draw from the global generator.

Who makes one sets its weights: they are whatever was in memory until then.
"""

from __future__ import annotations

from torch import nn


class UndrawnConv2d(nn.Conv2d):
    """A convolution whose weights and bias are to be set."""

    def reset_parameters(self) -> None:
        """Draws nothing."""


class UndrawnLinear(nn.Linear):
    """A linear layer whose weights and bias are to be set."""

    def reset_parameters(self) -> None:
        """Draws nothing."""
