"""The operations of formulas, on arrays [functions, positions]; what was summed over positions is [functions, 1].

Where an operation has no value (1 / 0, an overflow) it says so with a number that is not finite, and the formula is
rejected: nothing is protected but `log` of 0, since a stage without convolutions has no weights at all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
SMALLEST = 1e-9
"""What `log` adds to |x|."""


def _share(x: Array) -> Array:
    return x / np.abs(x).sum(axis=1, keepdims=True)


def _growth(x: Array) -> Array:
    return np.diff(x, axis=1) if x.shape[1] > 1 else np.zeros_like(x)


def _cosine(x: Array, y: Array) -> Array:
    products = (x * y).sum(axis=1, keepdims=True)
    lengths = (np.square(one).sum(axis=1, keepdims=True) for one in np.broadcast_arrays(x, y))
    return products / np.sqrt(np.prod(list(lengths), axis=0))


UNARY: dict[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "log": lambda x: np.log(np.abs(x) + SMALLEST),
    "sqrt": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
    "square": np.square,
    "inv": lambda x: 1 / x,
    "tanh": np.tanh,
    "share": _share,
    "sum": lambda x: x.sum(axis=1, keepdims=True),
    "max": lambda x: x.max(axis=1, keepdims=True),
    "min": lambda x: x.min(axis=1, keepdims=True),
    "std": lambda x: x.std(axis=1, keepdims=True),
    "first": lambda x: x[:, :1],
    "last": lambda x: x[:, -1:],
    "growth": lambda x: _growth(x).min(axis=1, keepdims=True),
}
"""`share` divides by the sum of |x| over positions; `sum` to `last` are over positions, and so is `growth`, the
smallest difference between a position and the one before."""

BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "larger": np.maximum,
    "smaller": np.minimum,
    "distance": lambda x, y: np.square(x - y),
    "cosine": _cosine,
}
"""`cosine` is of the two over positions."""
COMMUTATIVE = frozenset({"add", "mul", "larger", "smaller", "distance", "cosine"})
ARITY = dict.fromkeys(UNARY, 1) | dict.fromkeys(BINARY, 2)
