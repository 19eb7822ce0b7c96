"""Rules of forward-mode differentiation that do less work than PyTorch's own; the numbers are the same.

PyTorch's rule for a convolution of constant weights convolves with their tangent nevertheless, which is zero, and its
rule for batch norm in training is a dozen passes over the maps. Half of the forward-mode pass of DistPro went there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.autograd.forward_ad as forward
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class Rules(TorchFunctionMode):
    """Within it, and within a dual level without gradients, convolutions and batch norms follow the rules below."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        rule = _RULES.get(function, function)
        return rule(*args, **(kwargs or {}))


def _convolution(
    maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *options: Any, **named: Any
) -> torch.Tensor:
    """d (w * x) = w * dx + dw * x, each where there is one. A bias, if any, is constant."""
    (x, dx), (w, dw) = forward.unpack_dual(maps), forward.unpack_dual(weight)
    y = torch.conv2d(x, w, bias, *options, **named)
    terms = [
        torch.conv2d(of_maps, kernel, None, *options, **named)
        for of_maps, kernel in ((dx, w), (x, dw))
        if of_maps is not None and kernel is not None
    ]
    return forward.make_dual(y, sum(terms[1:], terms[0])) if terms else y


def _batch_norm(
    maps: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """y = g (x - m) / s + b by the batch's m and s: dy = (g / s) (dx - mean dx - z mean(z dx)) + dg z + db, z the
    normalised x. Written as A dx + B x + C, one number a channel each. Running statistics are not touched.
    """
    if not training:
        return F.batch_norm(maps, running_mean, running_var, weight, bias, training, momentum, eps)
    (x, dx), (g, dg), (b, db) = (forward.unpack_dual(value) for value in (maps, weight, bias))
    y, mean, inverse = torch.native_batch_norm(x, g, b, None, None, True, momentum, eps)
    if dx is None and dg is None and db is None:
        return y
    zeros = torch.zeros_like(mean)
    of_z, rest = (zeros if d is None else d for d in (dg, db))
    scale = g * inverse
    if dx is not None:
        mean_dx = dx.mean((0, 2, 3))
        mean_z_dx = ((x * dx).mean((0, 2, 3)) - mean * mean_dx) * inverse
        of_z, rest = of_z - scale * mean_z_dx, rest - scale * mean_dx
    of_x = of_z * inverse
    rest = rest - of_x * mean
    tangent = torch.addcmul(_wide(rest), x, _wide(of_x))
    return forward.make_dual(y, tangent if dx is None else tangent.addcmul_(dx, _wide(scale)))


def _wide(value: torch.Tensor) -> torch.Tensor:
    """One number a channel, for maps."""
    return value[:, None, None]


def _mse(maps: torch.Tensor, others: torch.Tensor, **options: Any) -> torch.Tensor:
    """mean r^2, r = maps - others: 2 mean(r dr). PyTorch's is written in Python, operation by operation."""
    if options.get("reduction", "mean") != "mean" or options.get("weight") is not None:
        return F.mse_loss(maps, others, **options)
    (x, dx), (other, d_other) = forward.unpack_dual(maps), forward.unpack_dual(others)
    rest = x - other
    value = rest.square().mean()
    tangents = [sign * d for d, sign in ((dx, 1), (d_other, -1)) if d is not None]
    return forward.make_dual(value, 2 * (rest * sum(tangents[1:], tangents[0])).mean()) if tangents else value


def _scaled(operation: Callable[[torch.Tensor, Any], torch.Tensor]) -> Callable[[torch.Tensor, Any], torch.Tensor]:
    """x a and x / a with a number a, whose tangent PyTorch makes a tensor of: dx a and dx / a."""

    def rule(value: torch.Tensor, by: Any) -> torch.Tensor:
        x, dx = forward.unpack_dual(value)
        if isinstance(by, torch.Tensor) or dx is None:
            return operation(value, by)
        return forward.make_dual(operation(x, by), operation(dx, by))

    return rule


_RULES: dict[Callable[..., Any], Callable[..., torch.Tensor]] = {
    torch.conv2d: _convolution,
    F.conv2d: _convolution,
    F.batch_norm: _batch_norm,
    F.mse_loss: _mse,
    torch.Tensor.mul: _scaled(torch.mul),
    torch.Tensor.div: _scaled(torch.div),
}
