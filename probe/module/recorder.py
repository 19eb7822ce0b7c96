"""A network's calls as a graph: which read what, what parameters are for, where channels stand in values."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import nn
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
WEIGHT_SECOND = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
"""Layers whose second argument is the weight."""
_LAYERS = (*WEIGHT_SECOND, "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "tensordot")
LOOKUPS = ("embedding", "embedding_bag", "getitem", "index_select", "gather", "take", "take_along_dim")
"""Functions that look rows of a parameter up, and multiply nothing."""
_HANDS_OUT = ("numpy", "__array__", "__dlpack__", "data_ptr", "storage", "untyped_storage")
"""Functions through which others than PyTorch may write into a tensor."""
_EXTREMES = ("amax", "amin", "max", "min")
# fmt: off
_ELEMENTWISE = (
    "add", "iadd", "radd", "sub", "isub", "rsub", "mul", "imul", "rmul", "div", "idiv", "truediv", "itruediv",
    "rtruediv", "lerp", "addcmul", "addcdiv", "pow", "rpow", "ipow", "cat", "concat", "concatenate", "stack",
    "hstack", "vstack", "where", "maximum", "minimum", "fmax", "fmin", "gt", "ge", "lt", "le", "eq", "ne",
    "masked_fill", "setitem", "copy", "to", "type_as", "expand_as", "view_as", "reshape_as", "broadcast_tensors",
)
# fmt: on
"""Functions that put parameters beside what depends on the images, entry by entry."""


@dataclass
class Node:
    """One call."""

    name: str
    inputs: tuple[int, ...] = ()
    """The calls that made what it reads."""
    operands: tuple[int | None, ...] = ()
    """The same, argument by argument; None of what does not depend on the images."""
    exponent: float | None = None
    """Of a power, if it is a number."""
    floats: bool = True
    """Whether it puts out floating point."""
    shape: torch.Size | None = None
    """Of what it puts out, if that is one tensor."""
    channels: int | None = None
    """Dimension of the channels in that; None where it cannot be told."""
    kind: Kind | None = None
    weight: str = ""
    """The parameter that a layer multiplies by."""
    begins: int | None = None
    """The call that multiplies, where this one adds the bias and is the layer's end."""
    rows: bool = True
    """Whether a linear layer multiplies rows: its outputs are in the last dimension."""


class Made(NamedTuple):
    """What a tensor that does not depend on the images is made of."""

    parameters: tuple[str, ...]
    same: bool
    """Whether it is the parameter itself, looked at in another way."""
    by_layer: bool = False
    """Whether a layer put it out, which read a parameter as it reads images."""


class Repeated(Exception):
    """A function is called more often than was allowed, as by a network that loops over its images."""


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
    """Records the calls of a network that depend on its `images`, while it runs with `parameters`.

    Raises Repeated where one function is called more than `most` times.
    """

    def __init__(self, images: torch.Tensor, parameters: Mapping[str, torch.Tensor], most: float = math.inf) -> None:
        super().__init__(lambda call: call.run())
        self.nodes: list[Node] = []
        self.roles: dict[str, Role] = {}
        """What parameters are for, by their names."""
        self.products: dict[str, str] = {}
        """Parameters of two dimensions or more that multiply what depends on the images, where no layer does, and what
        is called there."""
        self.computed: set[str] = set()
        """Parameters that layers' weights are computed from."""
        self.aside: set[str] = set()
        """Parameters that are multiplied without the images."""
        self.writes_parameters = False
        self.hides = False
        """Whether a call reads what no call made, and what depends on a parameter: a compiled function made it."""
        self.stranger: torch.Size | None = None
        """The shape of a parameter that is read and is not one of `parameters`, if there is one."""
        self._parameters = parameters
        self._most, self._times = most, Counter[str]()
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
        into = kwargs.get("out")
        if into is None and read and _writes(str(getattr(function, "__name__", ""))):
            into = read[0]
        self.writes_parameters |= any(id(one) in self._made for one in tensors(into))
        data = [one for one in read if id(one) in self._number]
        unknown = [one for one in read if id(one) not in self._made and id(one) not in self._number]
        self.hides |= any(one.grad_fn is not None for one in unknown)
        self.stranger = self.stranger or next((one.shape for one in unknown if _is_parameter(one)), None)
        node.inputs = tuple(dict.fromkeys(self._number[id(one)] for one in data))
        source = next(((one.shape, self._channels.get(id(one))) for one in data if one.ndim > 1), None)
        node.operands = tuple(self._number.get(id(one)) for one in (*args, *kwargs.values()))
        given = kwargs.get("exponent", args[1] if len(args) > 1 else None)
        node.exponent = float(given) if isinstance(given, int | float) else None
        if data:
            self._times[node.name] += 1
            if self._times[node.name] > self._most:
                raise Repeated
            _check_run_once()
            self._classify(node, read, learned, args, kwargs)
            if node.name in _EXTREMES and not _is_pooling(source, args, kwargs):
                node.kind = Kind.BEND
        output = _of_shape(function, node, read, args, kwargs)
        output = function(*args, **kwargs) if output is None else output
        made = written(node.name, read, output)
        self._held.append(made)
        if data:
            node.floats = any(one.is_floating_point() for one in made)
            if len(made) == 1:
                node.shape = made[0].shape
                node.channels = channels_of(node, node.shape, source, args, kwargs)
                self._complete(node, learned)
            for one in made:
                self._number[id(one)] = len(self.nodes)
                channels = node.channels if len(made) == 1 else channels_of(node, one.shape, source, args, kwargs)
                self._channels[id(one)] = channels
                self._made.pop(id(one), None)
            self.nodes.append(node)
        elif learned:
            names = tuple(dict.fromkeys(name for made_of, _ in learned for name in made_of.parameters))
            same = node.name in _VIEWS and all(made_of.same for made_of, _ in learned)
            if node.name in (*_LAYERS, "mv", "dot", "vdot"):
                self.aside.update(names)
            by_layer = node.name in _LAYERS or any(made_of.by_layer for made_of, _ in learned)
            self._made |= {id(one): Made(names, same, by_layer) for one in made}
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
            if node.kind not in NORMS and node.name not in _ELEMENTWISE:
                mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)  # what attention adds
                self._note_product(node, [(made, one) for made, one in learned if one is not mask])
            return
        if node.name in WEIGHT_SECOND:
            weights = [(made, one) for made, one in learned if one is weight_of(args, kwargs)]
        else:  # a product of two matrices is a layer if one of them is a parameter
            weights = [(made, one) for made, one in learned if one.ndim > 1 and made.same]
        if not weights:
            node.kind = None
            self._note_product(node, learned)
            return
        made, weight = weights[-1]
        node.weight = made.parameters[0]
        if not made.same:
            self.computed.update(made.parameters)
        if len(made.parameters) > 1:
            fan_in = 0
        elif node.name in WEIGHT_SECOND:
            fan_in = math.prod(self._parameters[node.weight].shape[1:])
        else:
            node.rows = weight is read[-1] and node.name not in ("einsum", "tensordot", "bilinear")
            fan_in = weight.shape[-2 if node.rows else -1]
        for name in made.parameters:
            self.roles.setdefault(name, Role("weight", fan_in))
        for name in vectors:
            self.roles.setdefault(name, Role("bias", fan_in))

    def _note_product(self, node: Node, learned: Sequence[tuple[Made, torch.Tensor]]) -> None:
        """A call that is no layer and reads matrices of the network, which it multiplies by as far as can be told."""
        found = [name for made, one in learned if one.ndim > 1 and not made.by_layer for name in made.parameters]
        found = [name for name in found if self._parameters[name].ndim > 1]
        self.products |= {name: node.name for name in found if name not in self.products}
        if found and node.kind is None and node.name not in LOOKUPS:
            node.kind = Kind.PRODUCT

    def _complete(self, node: Node, learned: Sequence[tuple[Made, torch.Tensor]]) -> None:
        """A bias that is added to what a layer puts out is part of the layer: it ends there."""
        if node.name not in ("add", "iadd", "radd") or len(node.inputs) != 1 or len(learned) != 1:
            return
        product, made = self.nodes[node.inputs[0]] if node.inputs[0] != IMAGES else node, learned[0][0]
        bias = self._parameters[made.parameters[0]]
        width = node.shape[node.channels] if node.shape is not None and node.channels is not None else None
        if product.kind not in LAYERS or not made.same or bias.shape != (width,) or product.shape != node.shape:
            return
        self.roles.setdefault(made.parameters[0], Role("bias", self.roles[product.weight].fan_in))
        node.kind, node.weight, node.rows = product.kind, product.weight, product.rows
        node.begins = node.inputs[0] if product.begins is None else product.begins
        product.kind = None


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


def _is_parameter(value: torch.Tensor) -> bool:
    """Whether a tensor is learned: a parameter, or what a gradient is asked for and no call made."""
    return isinstance(value, nn.Parameter) or (value.requires_grad and value.is_leaf)


def _of_shape(
    function: Callable[..., Any],
    node: Node,
    read: Sequence[torch.Tensor],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> torch.Tensor | None:
    """What calls put out on shapes alone that PyTorch takes apart in Python there, which is slow; None of others:
    batch norms that fit, rectifiers, and counters that count on.

    What is written in place is written, by a product, so that what derivatives forbid is forbidden.
    """
    if not read or not read[0].is_meta:
        return None
    first = read[0]
    if node.name == "batch_norm":
        fits = all(one.shape == first.shape[1:2] for one in read[1:])
        return first.clone() if first.requires_grad and fits else None
    if node.name == "relu" and len(read) == 1 and first.dtype in (torch.float32, torch.float64):
        in_place = _writes(function.__name__) or kwargs.get("inplace", len(args) > 1 and args[1])
        return first.mul_(1) if in_place else first.clone()
    counts = function.__name__ == "add_" and first.dtype == torch.int64 and not first.ndim and args[1:] == (1,)
    return first if counts and not kwargs else None


def _is_pooling(source: tuple[torch.Size, int | None] | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether an extreme is taken over pixels, or tokens, as a pooling does: not over channels, or several maps."""
    given = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if source is None or source[1] is None or not isinstance(given, int | tuple | list):
        return False
    dims = {dim % len(source[0]) for dim in ([given] if isinstance(given, int) else given)}
    return bool(dims) and dims.isdisjoint((0, source[1]))


def _writes(name: str) -> bool:
    """Whether a function of that name writes into its first argument, or hands its memory to who may write into it."""
    in_place = (name.endswith("_") and not name.endswith("__")) or name in _HANDS_OUT
    return in_place or name in ("__setitem__", "__set__") or name.startswith("__i")  # `weight.data = ...` is a set


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
