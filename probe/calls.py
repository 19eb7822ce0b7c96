"""What a network calls while it runs: layers, norms and activations, whether a module, a function or a method does it.

`nn.ReLU`, `F.relu`, `torch.relu_` and `Tensor.clamp(min=0)` arrive here as the same thing: a call of a `Kind`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from probe.needs import NotApplicable


class Kind(Enum):
    """What a call does; the value is how reasons call it."""

    CONVOLUTION = "a convolution"
    LINEAR = "a linear layer"
    BATCH_NORM = "batch norm"
    OTHER_NORM = "another norm"
    STATISTIC = "a norm made by hand"
    RECTIFIER = "a rectifier"
    CLIPPED = "a rectifier with an upper end"
    ACTIVATION = "an activation that is no rectifier"
    BEND = "an activation made by hand"
    ATTENTION = "attention"
    PRODUCT = "a product with weights that is no layer"


LAYERS = (Kind.CONVOLUTION, Kind.LINEAR)
NORMS = (Kind.BATCH_NORM, Kind.OTHER_NORM)
RECTIFIERS = (Kind.RECTIFIER, Kind.CLIPPED)
SMOOTH = (Kind.ACTIVATION, Kind.BEND, Kind.ATTENTION)
"""SMOOTH lists the kinds that bend a signal elsewhere than at zero: with them a network is not linear between the
signs of its units."""

_NAMES = {
    Kind.CONVOLUTION: "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution",
    Kind.LINEAR: "linear matmul mm bmm addmm baddbmm einsum tensordot",
    Kind.BATCH_NORM: "batch_norm native_batch_norm",
    Kind.OTHER_NORM: "layer_norm group_norm instance_norm rms_norm local_response_norm native_layer_norm",
    Kind.STATISTIC: "normalize sqrt rsqrt var std var_mean std_mean norm linalg_norm linalg_vector_norm",
    Kind.RECTIFIER: "relu leaky_relu prelu rrelu",
    Kind.ACTIVATION: "gelu silu mish hardswish hardsigmoid sigmoid tanh softplus elu selu celu glu logsigmoid softsign "
    "tanhshrink softshrink hardshrink",
    Kind.BEND: "erf erfc exp exp2 expm1 log log2 log10 log1p sin cos tan sinc asin acos atan sinh cosh asinh acosh "
    "atanh arcsin arccos arctan arcsinh arccosh arctanh expit logit logsumexp logaddexp hypot abs absolute sign sgn "
    "signbit round floor ceil trunc frac where maximum minimum fmax fmin gt ge lt le greater greater_equal less "
    "less_equal heaviside median nanmedian mode kthvalue topk sort msort argsort cummax cummin aminmax "
    "quantile nanquantile lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell "
    "fix copysign ldexp atan2 arctan2 prod cumprod lp_pool1d lp_pool2d lp_pool3d",
    Kind.ATTENTION: "scaled_dot_product_attention softmax log_softmax softmin",
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}

_BOUNDS: dict[str, tuple[Sequence[str], Sequence[Any]]] = {
    "hardtanh": (("min_val", "max_val"), (-1.0, 1.0)),
    "clamp": (("min", "max"), (None, None)),
    "clip": (("min", "max"), (None, None)),
    "clamp_min": (("min",), (None,)),
    "clamp_max": (("min", "max"), (None, None)),
}
"""Functions that cut a signal off below and above: the names of the two ends and what they are if nothing is said."""


def word(function: Callable[..., Any]) -> str:
    """The name of a function, method or attribute: `relu` of `relu_` too, `matmul` of `@`."""
    name = str(getattr(function, "__name__", ""))
    if name == "__get__":
        return str(getattr(getattr(function, "__self__", None), "__name__", ""))
    return name.partition(".")[0].strip("_").removeprefix("special_")  # of an operator `relu.default`


def kind_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Kind | None:
    """The kind of a call of the function of that `word`; None where nobody asks for it."""
    if name in _BOUNDS:
        names, standard = _BOUNDS[name]
        ends = [kwargs.get(end, (*args[1:], *standard)[place]) for place, end in enumerate(names)]
        low, high = ends[0], ends[1] if len(ends) > 1 else None
        if name == "clamp_max" or not isinstance(low, int | float) or low != 0:
            return Kind.ACTIVATION if name == "hardtanh" else Kind.BEND
        return Kind.RECTIFIER if high in (None, math.inf) else Kind.CLIPPED
    if name == "relu6":
        return Kind.CLIPPED
    if name == "threshold":
        return Kind.RECTIFIER if tuple(args[1:3]) == (0, 0) else Kind.ACTIVATION
    if name in ("max", "min"):
        return Kind.BEND if isinstance(args[1] if len(args) > 1 else None, torch.Tensor) else None
    return _KINDS.get(name)


class Call:
    """One call of a kind: what is called with what, and what is known of it."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        kind: Kind,
        number: int = 0,
        weight: str = "",
        channels: int | None = None,
        images: int | None = 0,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.kind = kind
        self.number = number
        """Among the calls of the network, where they are known in advance."""
        self.weight = weight
        """Name of the parameter that a layer multiplies by, as far as names are known."""
        self.channels = channels
        """The dimension of the channels in what is put out; None where it cannot be told."""
        self.images = images
        """The dimension of the images; None where images are folded into another dimension."""
        self.block: int | None = None
        """How many blocks ended before it, so that it is in the block of that number; None where none are known."""

    @property
    def name(self) -> str:
        """What is called: `gelu`."""
        return word(self.function)

    @property
    def said(self) -> str:
        """What it is, for reasons: `another norm (layer_norm)`."""
        return f"{self.kind.value} ({self.name})"

    @property
    def uses(self) -> int:
        """How many equal calls of the original network this one stands for (`spaces.layers.relu`)."""
        return int(self.kwargs.get("uses", 1))

    @property
    def input(self) -> torch.Tensor:
        """What is worked on."""
        number = 1 if self.name in ("addmm", "baddbmm") else 0
        found = self.args[number] if len(self.args) > number else self.kwargs["input"]
        assert isinstance(found, torch.Tensor)
        return found

    def run(self) -> Any:
        """Call it: what it puts out."""
        return self.function(*self.args, **self.kwargs)

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """What the call puts out as [positions of all images, C]. Raises NotApplicable where C cannot be told."""
        if self.channels is None:
            raise NotApplicable(
                f"which dimension of {list(values.shape)} are channels, behind {self.name}, is not known"
            )
        return values.movedim(self.channels, -1).flatten(0, -2)


Each = Callable[[Call], Any]
"""What meets every call of a kind: it runs it, or something in its place, and returns what the network goes on with."""


def weight_of(call_args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The second argument, which a layer multiplies by."""
    return call_args[1] if len(call_args) > 1 else kwargs.get("weight")


class Watch(TorchFunctionMode):
    """Hands the calls of a network to `each` while it runs: `with Watch(each): network(images)`.

    Of convolutions and matrix products those with a parameter of the network: others are no layers. Nothing that
    `each` does is watched.
    """

    def __init__(self, each: Each) -> None:
        super().__init__()
        self.each = each

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in _BODIES:
            with self:
                return _BODIES[function](*args, **kwargs)
        return self.called(function, args, kwargs)

    def called(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Run a call, through `each` if it is of a kind."""
        kind = kind_of(word(function), args, kwargs)
        if kind is None or (kind in LAYERS and not isinstance(weight_of(args, kwargs), nn.Parameter)):
            return function(*args, **kwargs)
        return self.each(Call(function, args, kwargs, kind, channels=-1 if kind is Kind.LINEAR else 1))


def _body(function: FunctionType) -> FunctionType:
    """A function of several calls without the question that would hand it to the mode as one."""
    scope = {**function.__globals__, "has_torch_function": lambda _: False}
    body = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    body.__kwdefaults__ = function.__kwdefaults__
    return body


_BODIES: dict[Any, FunctionType] = {F.multi_head_attention_forward: _body(F.multi_head_attention_forward)}  # type: ignore[arg-type]
"""Functions that are looked into."""
