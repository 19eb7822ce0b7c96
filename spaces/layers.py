"""PyTorch's layers without their own initialisation, which would draw from the global generator, and a ReLU of several.

Who makes a layer without initialisation sets its weights: they are whatever was in memory until then.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import handle_torch_function, has_torch_function_unary


class UndrawnConv2d(nn.Conv2d):
    """A convolution whose weights and bias are to be set."""

    def reset_parameters(self) -> None:
        """Draws nothing."""


class UndrawnLinear(nn.Linear):
    """A linear layer whose weights and bias are to be set."""

    def reset_parameters(self) -> None:
        """Draws nothing."""


def relu(values: torch.Tensor, uses: int = 1) -> torch.Tensor:
    """`F.relu`, whose calls say to who watches them (probe/calls.py) how many equal ones each stands for."""
    if has_torch_function_unary(values):
        found: torch.Tensor = handle_torch_function(relu, (values,), values, uses=uses)
        return found
    return F.relu(values)
