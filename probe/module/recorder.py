"""A network's calls as a graph: which read what, what parameters are for, where channels stand in values."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch.utils import checkpoint

from probe.calls import LAYERS, NORMS, Kind, Watch, kind_of, weight_of, word
from probe.module.redraw import Role

IMAGES = -1
"""The number of the images among the calls: they come before the first."""

_VIEWS = ("t", "T", "mT", "data", "transpose", "permute", "view", "reshape", "chunk", "split", "getitem", "expand")
"""Functions after which a parameter is still that parameter, looked at in another way."""
_CHANNELS_SECOND = (
    "pool",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample",
    "group_norm",
    "instance_norm",
)
_WEIGHT_SECOND = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


@dataclass
class Node:
    """One call."""

    name: str
    inputs: tuple[int, ...] = ()
    """The calls that made what it reads."""
    shape: torch.Size | None = None
    """Of what it puts out, if that is one tensor."""
    channels: int | None = None
    """Dimension of the channels in that; None where it cannot be told."""
    kind: Kind | None = None
    weight: str = ""
    """The parameter that a layer multiplies by."""
    rows: bool = True
    """Whether a linear layer multiplies rows: its outputs are in the last dimension."""


class Made(NamedTuple):
    """What a tensor that does not depend on the images is made of."""

    parameters: tuple[str, ...]
    same: bool
    """Whether it is the parameter itself, looked at in another way."""


class Recomputed(Exception):
    """A part of the network is run again in the backward pass, by then with other tensors in its places."""


def _check_run_once() -> None:
    """Raise Recomputed within `torch.utils.checkpoint`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == checkpoint.__file__:
            raise Recomputed(
                "runs a part of itself again in the backward pass (torch.utils.checkpoint), where weights that were "
                "drawn are in their places no more: switch checkpointing off"
            )
        frame = frame.f_back


class Recorder(Watch):
    """Records the calls of a network that depend on its `images`, while it runs with `parameters`."""

    def __init__(self, images: torch.Tensor, parameters: Mapping[str, torch.Tensor]) -> None:
        super().__init__(lambda call: call.run())
        self.nodes: list[Node] = []
        self.roles: dict[str, Role] = {}
        """What parameters are for, by their names."""
        self.writes_parameters = False
        self.hides = False
        """Whether a call reads what no call made, and what depends on a parameter: a compiled function made it."""
        self._parameters = parameters
        self._number = {id(images): IMAGES}
        self._made = {id(tensor): Made((name,), True) for name, tensor in parameters.items()}
        self._channels: dict[int, int | None] = {id(images): 1}
        self._held: list[Any] = [images]  # so that no other tensor gets their identity

    def number(self, value: Any) -> int | None:
        """The call that made a tensor, or the first within; None of what does not depend on the images."""
        return next((self._number[id(one)] for one in tensors(value) if id(one) in self._number), None)

    def called(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        node = Node(word(function))
        read = list(tensors((args, kwargs)))
        learned = [(self._made[id(one)], one) for one in read if id(one) in self._made]
        if learned and learned[0][1] is read[0] and _writes(str(getattr(function, "__name__", ""))):
            self.writes_parameters = True
        data = [one for one in read if id(one) in self._number]
        known = (self._made, self._number)
        self.hides |= any(one.grad_fn is not None for one in read if not any(id(one) in each for each in known))
        node.inputs = tuple(dict.fromkeys(self._number[id(one)] for one in data))
        source = next(((one.shape, self._channels.get(id(one))) for one in data if one.ndim > 1), None)
        if data:
            _check_run_once()
            self._classify(node, read, learned, args, kwargs)
        output = read[0].clone() if _is_skipped(node, read) else function(*args, **kwargs)
        made = written(node.name, read, output)
        self._held.append(made)
        if data:
            if len(made) == 1:
                node.shape = made[0].shape
                node.channels = channels_of(node, node.shape, source, args, kwargs)
            for one in made:
                self._number[id(one)] = len(self.nodes)
                self._channels[id(one)] = channels_of(node, one.shape, source, args, kwargs)
                self._made.pop(id(one), None)
            self.nodes.append(node)
        elif learned:
            names = tuple(dict.fromkeys(name for made_of, _ in learned for name in made_of.parameters))
            same = node.name in _VIEWS and all(made_of.same for made_of, _ in learned)
            self._made |= {id(one): Made(names, same) for one in made}
        return output

    def _classify(
        self,
        node: Node,
        read: Sequence[torch.Tensor],
        learned: Sequence[tuple[Made, torch.Tensor]],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        """The kind of a call that depends on the images, and what its parameters are for."""
        node.kind = kind_of(node.name, args, kwargs)
        vectors = [made.parameters[0] for made, one in learned if one.ndim == 1 and made.same]
        if node.kind in NORMS:
            self.roles = {**dict(zip(vectors, (Role("scale"), Role("shift")), strict=False)), **self.roles}
        if node.kind not in LAYERS:
            return
        if node.name in _WEIGHT_SECOND:
            weights = [(made, one) for made, one in learned if one is weight_of(args, kwargs)]
        else:  # a product of two matrices is a layer if one of them is a parameter
            weights = [(made, one) for made, one in learned if one.ndim > 1 and made.same]
        if not weights:
            node.kind = None
            return
        made, weight = weights[-1]
        node.weight = made.parameters[0]
        if len(made.parameters) > 1:
            fan_in = 0
        elif node.name in _WEIGHT_SECOND:
            fan_in = math.prod(self._parameters[node.weight].shape[1:])
        else:
            node.rows = weight is read[-1] and node.name not in ("einsum", "tensordot", "bilinear")
            fan_in = weight.shape[-2 if node.rows else -1]
        for name in made.parameters:
            self.roles.setdefault(name, Role("weight", fan_in))
        for name in vectors:
            self.roles.setdefault(name, Role("bias", fan_in))


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors within nested tuples, lists and mappings."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from tensors(one)


def written(name: str, read: Sequence[torch.Tensor], output: Any) -> list[torch.Tensor]:
    """The tensors that a call makes or writes to."""
    return list(read[:1]) if name == "setitem" else list(tensors(output))


def _is_skipped(node: Node, read: Sequence[torch.Tensor]) -> bool:
    """Whether a call is a batch norm that fits, on shapes alone: PyTorch takes each apart, which is slow."""
    fits = all(one.shape == read[0].shape[1:2] for one in read[1:])
    return node.name == "batch_norm" and read[0].is_meta and read[0].requires_grad and fits


def _writes(name: str) -> bool:
    """Whether a function of that name writes into its first argument."""
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or name == "__setitem__" or name.startswith("__i")


def channels_of(
    node: Node,
    shape: torch.Size,
    source: tuple[torch.Size, int | None] | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> int | None:
    """The dimension of the channels in what a call puts out, of that shape; None where it cannot be told.

    `source` are the shape of the first value it works on and the dimension of the channels there.
    """
    last = len(shape) - 1
    if last < 1:
        return None
    if node.kind is Kind.LINEAR:
        return last if node.rows else None
    if node.kind in (Kind.CONVOLUTION, Kind.BATCH_NORM) or any(part in node.name for part in _CHANNELS_SECOND):
        return 1
    if node.name in ("layer_norm", "rms_norm") and len(args) > 1 and len(args[1]) == 1:
        return last
    if source is None or source[1] is None:
        return None
    before, channels = source[0], source[1]
    if node.name == "permute":
        dims = args[1:] if len(args) > 2 else kwargs.get("dims", args[-1])
        return [dim % len(before) for dim in dims].index(channels)
    if node.name in ("transpose", "swapaxes", "swapdims", "t", "T", "mT"):
        pair = [dim % len(before) for dim in (*args[1:], *kwargs.values())] if len(args) + len(kwargs) > 1 else []
        swapped = tuple(pair) if len(pair) == 2 else (last - 1, last)
        return swapped[1 - swapped.index(channels)] if channels in swapped else channels
    if len(shape) == len(before) and node.name not in ("view", "reshape"):
        return channels
    outside = math.prod(before[:channels])
    fits = (dim for dim in range(last + 1) if shape[dim] == before[channels] and math.prod(shape[:dim]) == outside)
    return next(fits, None)
