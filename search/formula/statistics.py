"""The statistics of a student, of the teacher and of both at each position: what formulas are made of.

All are computed in float64 from a probe's float32 tensors. Where a map does not vary, or is zero, a share of nothing is
0: its rank, its correlation and its normalised matrices are, so that every function of a space has finite statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import nn

from probe.network import Probe
from probe.relus import agreements
from proxies.base import NotApplicable, Proxy
from search.formula.names import OF_BOTH, OF_ONE, POSITIONS


def _scaled(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix over its Frobenius norm; zeros stay zeros."""
    norm = matrix.norm()
    return matrix / norm if norm > 0 else matrix


def _centred(gram: torch.Tensor) -> torch.Tensor:
    """H G H with H = I - 1/B: the Gram matrix of rows less their mean."""
    return gram - gram.mean(0, keepdim=True) - gram.mean(1, keepdim=True) + gram.mean()


def _effective_rank(matrix: torch.Tensor) -> float:
    """exp(-sum p log p) with p the eigenvalues of a matrix [n, n] that has none below 0, as shares of their sum
    (Roy & Vetterli 2007); 0 of zeros, NaN where it is not finite."""
    if not matrix.isfinite().all():  # the eigensolver would raise
        return math.nan
    values = torch.linalg.eigvalsh(matrix).clamp(min=0)
    total = values.sum()
    return torch.special.entr(values / total).sum().exp().item() if total > 0 else 0.0


def _between(matrix: torch.Tensor) -> float:
    """Mean of a matrix [B, B] between different images; 0 of a single image."""
    count = len(matrix)
    return ((matrix.sum() - matrix.trace()) / (count * (count - 1))).item() if count > 1 else 0.0


@dataclass(frozen=True)
class Place:
    """What one network showed at a position: a map [B, C, H, W] or logits [B, K], and what its layers have."""

    map: torch.Tensor
    weights: list[torch.Tensor]
    gradients: list[torch.Tensor]
    """d loss / d weights."""
    gates: list[torch.Tensor]
    """d loss / d gate [B, C_out] of each layer (`Probe.gate_gradients`)."""

    @cached_property
    def rows(self) -> torch.Tensor:
        """float64 [B, D]"""
        return self.map.flatten(1).double()

    @cached_property
    def gram(self) -> torch.Tensor:
        """[B, B]"""
        return self.rows @ self.rows.T

    @cached_property
    def channels(self) -> torch.Tensor:
        """Covariance of the channels over all positions of all images, [C, C]."""
        values = self.map.movedim(1, -1).flatten(0, -2).double()
        values = values - values.mean(0)
        return values.T @ values / len(values)

    @cached_property
    def agreement(self) -> torch.Tensor:
        """Share of the units on which two images' codes x > 0 agree, [B, B]."""
        code = (self.map.flatten(1) > 0).float()
        units = code.shape[1]
        return agreements((code @ code.T).double(), units) / units  # counts below 2^24 are exact in float32

    @property
    def attention(self) -> torch.Tensor:
        """Sum of squares over channels, [B, H W], each image's of norm 1; of logits the squares, [B, K]."""
        squares = self.map.double().square()
        found = squares.sum(1).flatten(1) if squares.ndim > 2 else squares
        return found / found.norm(dim=1, keepdim=True).clamp(min=1e-300)


def _correlation(place: Place) -> float:
    means = place.rows.mean(1)
    gram = place.gram - place.rows.shape[1] * means[:, None] * means[None, :]
    norms = gram.diagonal().clamp(min=0).sqrt()
    scale = torch.where(norms > 0, 1 / norms, 0.0)
    return _between((gram * scale[:, None] * scale[None, :]).abs())


def _total(tensors: list[torch.Tensor], of: Callable[[torch.Tensor], torch.Tensor]) -> float:
    return sum(of(tensor.double()).sum().item() for tensor in tensors)


def _products(place: Place) -> list[torch.Tensor]:
    """w dL/dw of every layer."""
    return [weight * gradient for weight, gradient in zip(place.weights, place.gradients, strict=True)]


_ONE: dict[str, Callable[[Place], float]] = {
    "map_mean": lambda place: place.rows.abs().mean().item(),
    "map_std": lambda place: place.rows.std(correction=0).item(),
    "map_rank": lambda place: _effective_rank(_centred(place.gram)),
    "map_channels": lambda place: _effective_rank(place.channels),
    "map_correlation": _correlation,
    "code_share": lambda place: (place.map > 0).double().mean().item(),
    "code_distance": lambda place: 1 - _between(place.agreement),
    "code_logdet": lambda place: torch.linalg.slogdet(
        place.agreement + torch.eye(len(place.agreement), dtype=torch.float64, device=place.agreement.device)
    ).logabsdet.item(),
    "weight_l1": lambda place: _total(place.weights, torch.abs),
    "weight_l2": lambda place: math.sqrt(_total(place.weights, torch.square)),
    "gradient_l1": lambda place: _total(place.gradients, torch.abs),
    "gradient_l2": lambda place: math.sqrt(_total(place.gradients, torch.square)),
    "product_l1": lambda place: _total(_products(place), torch.abs),
    "gate_square": lambda place: _total(place.gates, torch.square),
}
"""Of one place: mean |x| and standard deviation of the map; effective rank of its centred Gram matrix [B, B] and of its
channels' covariance; mean |Pearson| between two images; of the codes x > 0 the share of ones, the mean share of units
on which two images differ, and log det(A + I) with A the shares on which they agree; of the weights w and the
derivatives g = dL/dw of all layers there, L the mean cross-entropy, sum |w|, |w|_2, sum |g|, |g|_2, sum |w g|, and the
sum of squared derivatives in the layers' gates."""

_BOTH: dict[str, Callable[[Place, Place], float]] = {
    "gram_distance": lambda s, t: (_scaled(s.gram) - _scaled(t.gram)).norm().item(),
    "cka": lambda s, t: (_scaled(_centred(s.gram)) * _scaled(_centred(t.gram))).sum().item(),
    "attention_distance": lambda s, t: (s.attention - t.attention).square().sum(1).mean().item(),
    "code_difference": lambda s, t: (s.agreement - t.agreement).abs().mean().item(),
}
"""Of a student's place s and the teacher's t: Frobenius distance of Gram matrices of norm 1; linear CKA; mean squared
distance of attention maps; mean |A_s - A_t|, A the shares of units on which two images' codes agree."""


@dataclass(frozen=True)
class Statistics(Proxy):
    """`Statistics` declares what is read of a probe, and what can change it, as a proxy does; it is many numbers."""

    name = "statistics"
    family = "recorded"
    needs = ("forward", "blocks", "weights", "gradients", "gate_gradients", "teacher")

    def score(self, student: Probe, teacher: Probe) -> float:
        raise NotApplicable("it is many numbers: `python -m search statistics` records them")

    def of_one(self, network: Probe) -> np.ndarray:
        """float32 [statistics of `OF_ONE`, positions]. Raises NotApplicable for a network without the positions."""
        found = places(network)
        return np.array([[_ONE[name](place) for place in found] for name in OF_ONE], np.float32)

    def of_both(self, student: Probe, teacher: Probe) -> np.ndarray:
        """float32 [statistics of `OF_BOTH`, positions]. Raises NotApplicable also where maps differ in size."""
        pairs = list(zip(places(student), places(teacher), strict=True))
        for name, (own, other) in zip(POSITIONS, pairs, strict=True):
            if own.map.shape[2:] != other.map.shape[2:]:
                raise NotApplicable(f"maps of student and teacher differ in size at {name}: their places have no match")
        return np.array([[_BOTH[name](*pair) for pair in pairs] for name in OF_BOTH], np.float32)


def places(network: Probe) -> list[Place]:
    """What a network shows at each of `POSITIONS`, kept with the probe. Raises NotApplicable where it has others."""
    return network.once("places of formulas", _places)


def _places(network: Probe) -> list[Place]:
    maps = [network.blocks[0], *network.features, network.logits]
    if len(maps) != len(POSITIONS):
        raise NotApplicable(f"formulas compare networks of three stages: this one has {len(maps) - 2}")
    positions = _positions(network)
    found = []
    for position, features in enumerate(maps):
        own = [name for name in network.weights if positions[name] == position]
        values = ([kept[name] for name in own] for kept in (network.weights, network.gradients, network.gate_gradients))
        found.append(Place(features, *values))
    return found


def _positions(network: Probe) -> dict[str, int]:
    """The position of each layer, by its weight's name."""
    sides = [features.shape[-1] for features in network.features]
    found = dict.fromkeys(network.weights, len(POSITIONS) - 1)
    names = {parameter: name for name, parameter in network.network.named_parameters()}
    blocks = cast("list[nn.Module]", network.network.blocks)
    for number, (block, features) in enumerate(zip(blocks, network.blocks, strict=True)):
        if features.shape[-1] not in sides:
            raise NotApplicable(f"block {number} puts out a map that is as large as no stage's")
        position = 1 + sides.index(features.shape[-1]) if number else 0
        found |= {names[one]: position for one in block.parameters() if names[one] in found}
    return found
