"""What a forward pass shows of a network, of any space."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Output(NamedTuple):
    """Logits, pooled features and the maps at the ends of the stages."""

    logits: torch.Tensor
    """[B, K]"""
    pooled: torch.Tensor
    """[B, C]: the last feature map averaged over space, input of the classifier."""
    features: tuple[torch.Tensor, ...]
    """Feature maps [B, C_s, H_s, W_s] at the end of each stage; the last one after its batch norm and ReLU."""
