"""What is handed in with a network of one's own, looked at before anything runs: each mistake is told in one line."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from common.errors import BadInput, BadUsage, unknown
from images.base import Batch
from probe.module.untouched import by_itself
from probe.needs import NEEDS

FLOATS = "hand in floating point [B, C, H, W], normalised as the network wants them"


@dataclass(frozen=True)
class Unlabelled(Batch):
    """A batch whose labels were not given: those it has are zeros, which nobody may read."""


def check_network(network: Any, role: str = "network") -> None:
    """Raise BadInput for what is no nn.Module with values."""
    if inspect.isclass(network):
        raise BadInput(f"{role} is the class {network.__name__}: hand in a network of it, {network.__name__}(...)")
    if inspect.isroutine(network):
        raise BadInput(f"{role} is a function: hand in an nn.Module, which holds its parameters")
    if not isinstance(network, nn.Module):
        shown = repr(network) if isinstance(network, str | None) else f"of type {type(network).__name__}"
        raise BadInput(f"{role} is {shown}: hand in an nn.Module")
    called, held = f"{role}: {type(network).__name__}", (*network.parameters(), *network.buffers())
    if any(tensor.is_meta for tensor in held):
        raise BadInput(f"{called} is on the meta device, where weights have no values")
    if any(parameter.is_complex() for parameter in network.parameters()):
        raise BadInput(f"{called} has complex parameters, and formulas are of real ones")
    for tensor in held:
        if _unusual(tensor):
            raise BadInput(f"{called} holds {_unusual(tensor)} tensors, which proxies do not read: hand in dense ones")
    for name, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise BadInput(
                f"{called} is TorchScript, whose calls cannot be seen: hand in the network that it was made of"
            )
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            where = f" of {name}" if name else ""
            raise BadInput(f"{called} spreads batches over devices ({type(module).__name__}): use the `.module`{where}")
        if _is_packed(module):
            raise BadInput(
                f"{called} is quantised: the weights of {name or 'it'} are packed, and proxies do not see them; "
                "hand in the network before it was quantised"
            )


def _unusual(tensor: torch.Tensor) -> str:
    """What is unusual in how a tensor holds its values, if something is."""
    if tensor.is_nested:
        return "nested"
    return str(tensor.layout).removeprefix("torch.") if tensor.layout is not torch.strided else ""


def _is_packed(module: nn.Module) -> bool:
    """Whether a module keeps weights as whole numbers, or in an object that is no tensor."""
    parameters = [one for one in module._parameters.values() if one is not None]
    buffers = [one for one in module._buffers.values() if one is not None]
    whole = any(one.dtype in (torch.int8, torch.uint8) for one in parameters)
    whole |= any(one.dtype is torch.int8 and one.ndim > 1 for one in buffers)
    quantised = any(one.is_quantized for one in (*parameters, *buffers))
    return whole or quantised or any(isinstance(one, torch._C.ScriptObject) for one in vars(module).values())


def checked(batch: Any, name: str = "batch") -> Batch:
    """The batch as tensors: images float [B, C, H, W], labels int64 [B]. Raises BadInput for any other."""
    if not isinstance(batch, Batch):
        raise BadInput(f"{name} is of type {type(batch).__name__}: hand in an images.base.Batch")
    with by_itself():
        return _as_tensors(batch)


def _as_tensors(batch: Batch) -> Batch:
    images = _images(batch.images)
    if batch.labels is None:
        return Unlabelled(images, torch.zeros(len(images), dtype=torch.int64, device=images.device), batch.hash)
    return replace(batch, images=images, labels=_labels(batch.labels, len(images)))


def _tensor(value: Any, kind: str, wanted: str) -> torch.Tensor:
    try:
        made = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"{kind} of type {type(value).__name__} make no tensor: {wanted}") from error
    if _unusual(made) or made.is_quantized:
        raise BadInput(f"{kind} are {_unusual(made) or 'quantised'}: {wanted}, dense")
    return made.clone() if made.is_inference() else made  # what was made in inference mode is in no graph


def _images(value: Any) -> torch.Tensor:
    images = _tensor(value, "images", FLOATS)
    if images.ndim != 4 or not images.is_floating_point() or not images.numel():
        raise BadInput(f"images are {images.dtype} {list(images.shape)}: {FLOATS}")
    if images.is_meta:
        raise BadInput("images are on the meta device, where they have no values")
    if not images.isfinite().all():
        raise BadInput("images hold NaN or infinity")
    return images


def _labels(value: Any, count: int) -> torch.Tensor:
    wanted = f"hand in whole numbers [{count}]"
    labels = _tensor(value, "labels", wanted)
    if labels.shape != (count,) or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise BadInput(f"labels are {labels.dtype} {list(labels.shape)}: {wanted}")
    if labels.is_meta:
        raise BadInput("labels are on the meta device, where they have no values")
    return labels.long()


def check_names(kind: str, names: Any) -> None:
    """Raise BadUsage for what are no names of modules: None says that they are to be found."""
    if names is None:
        return
    wanted = f"hand in names of modules, {kind}=['layer1', 'layer2'], or nothing: then they are found"
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise BadUsage(f"{kind} is {names!r}: {wanted}")
    if not names or not all(isinstance(name, str) for name in names):
        raise BadUsage(f"{kind} is {list(names)!r}: {wanted}")


def checked_needs(needs: Any, whose: str = "needs") -> tuple[str, ...]:
    """Words that are needs. Raises BadUsage for any other."""
    if isinstance(needs, str) or not isinstance(needs, Iterable):
        raise BadUsage(f"{whose} is {needs!r}: it has to be a tuple of words, ('forward',)")
    words = tuple(needs)
    for word in words:
        if word not in NEEDS:
            raise unknown(f"word in {whose}", str(word), NEEDS)
    return words


def check_seed(seed: Any) -> None:
    """Raise BadUsage for what is no whole number."""
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise BadUsage(f"seed is {seed!r}: hand in a whole number of 0 or more")
