"""What a forward pass leaves behind for those who read a probe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from probe.relus import Relus
from spaces.output import Output


class BlockGradient(NamedTuple):
    """One draw for a block's Jacobian J = d output / d input: signs, and what J makes of them on the way back."""

    output: torch.Tensor
    """Independent, +1 or -1 with equal odds, [B, C, H, W] as the block's output."""
    input: torch.Tensor
    """J^T output, [B, C', H', W'] as the block's input."""


def block_signs(batch_hash: str, number: int, features: torch.Tensor) -> torch.Tensor:
    """Signs for the map [B, C, H, W] that a batch's block of a number puts out, drawn on the CPU."""
    digest = hashlib.blake2b(f"{batch_hash}/{number}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little", signed=True))
    signs = torch.randint(2, features.movedim(1, -1).shape, generator=generator, dtype=torch.int8)  # channels last
    return signs.to(features.device, features.dtype).mul_(2).sub_(1).movedim(-1, 1)


class Observed(NamedTuple):
    """What the one forward pass left behind."""

    output: Output
    relus: Relus
    layers: Sequence[tuple[str, torch.Tensor]]
    """Names of the weights and outputs of convolutions and linear layers as they ran, if gates are asked for."""
    blocks: list[torch.Tensor]
    """Outputs of the stem and of every block behind it, if they or derivatives in them are asked for."""


def silence(weights: Mapping[str, torch.Tensor], gradients: Mapping[str, torch.Tensor]) -> str:
    """How many layers, with what share of the weights, have derivatives of exactly zero; empty where none has."""
    silent = [name for name in weights if _is_silent(gradients[name])]
    if not silent:
        return ""
    share = sum(weights[name].numel() for name in silent) / sum(weight.numel() for weight in weights.values())
    return (
        f"{len(silent)} of {len(weights)} layers, with {share:.0%} of the weights, have gradients of exactly zero "
        f"({silent[0]}{' and others' if len(silent) > 1 else ''})"
    )


def _is_silent(gradient: torch.Tensor) -> bool:
    """Whether a gradient is zero; most show in their first part that they are not."""
    return not ((gradient.ndim and gradient[:1].any()) or gradient.any())
