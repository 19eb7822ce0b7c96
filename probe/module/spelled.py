"""What several calls are together: a global pooling, a norm or an activation made by hand.

What a global pooling makes is no map of a stage. A norm made by hand takes a *statistic* of the maps, values that
were reduced and that no layer read since, and divides by it. An activation made by hand is a function of each entry
that is not linear: a power, a quotient, a remainder.
"""

from __future__ import annotations

from collections.abc import Sequence

from probe.calls import LAYERS, Kind
from probe.module.recorder import IMAGES, Node

_REDUCES = ("mean", "sum", "nanmean", "amax", "max")
_STATISTICS = (*_REDUCES, "nansum", "amin", "min", "median", "quantile", "var", "std", "norm", "linalg_vector_norm")
_PRODUCTS = ("matmul", "mm", "bmm", "baddbmm", "einsum", "tensordot", "dot", "vdot", "mv")
_DIVISOR = {"div": 1, "divide": 1, "true_divide": 1, "idiv": 1, "rdiv": 0, "reciprocal": 0, "addcdiv": 2}
"""Which operand a call divides by."""
_REMAINDERS = ("fmod", "remainder", "rmod", "imod", "floor_divide", "floordiv", "ifloordiv", "rfloordiv")
_EXPONENTIALS = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p")
# fmt: off
_PASSES_ON = (
    "view", "reshape", "flatten", "unflatten", "permute", "transpose", "squeeze", "unsqueeze", "contiguous", "float",
    "double", "to", "mul", "div", "add", "detach", "clone",
)
# fmt: on
"""Calls of one operand, after which a square is still one that may be summed."""


def ndim(node: Node) -> int:
    return 0 if node.shape is None else len(node.shape)


def halves_pooling(nodes: Sequence[Node], node: Node) -> bool:
    """Whether a Node puts out the rows or columns of a map, each reduced to one value: half of a global pooling."""
    return node.name in _REDUCES and any(ndim(nodes[number]) == 4 for number in node.inputs if number != IMAGES)


def is_pooled(nodes: Sequence[Node], number: int, size: tuple[int, int]) -> bool:
    """Whether a map of a size is what a global pooling made, in the shape of a map or not, or what half of one made."""
    node = nodes[number]
    if size != (1, 1):
        return 1 in size and node.name in _REDUCES
    made = [nodes[one] for one in node.inputs if one != IMAGES]
    return node.name in _REDUCES or "pool" in node.name or any(ndim(one) in (2, 3) for one in made)


def mark_spelled(nodes: Sequence[Node]) -> None:
    """Give calls their kind that are part of a norm or of an activation made by hand."""
    _mark_gates(nodes)
    reduced = _reduced(nodes)
    powers = []
    for number, node in enumerate(nodes):
        kind = _bends(nodes, node, reduced)
        if kind is Kind.BEND and _is_power(node):
            powers.append(number)
        elif kind is not None:
            node.kind = kind
    of_norms = _of_norms(nodes, reduced)
    for number in powers:
        nodes[number].kind = None if of_norms[number] else Kind.BEND


def _mark_gates(nodes: Sequence[Node]) -> None:
    """A sigmoid or tanh that multiplies a map of its size is part of an activation made by hand, as x sigmoid(x)."""
    for node in nodes:
        if node.name == "mul":
            for number in node.inputs:
                while number != IMAGES and nodes[number].name in ("add", "mul") and len(nodes[number].inputs) == 1:
                    number = nodes[number].inputs[0]
                if nodes[number].name in ("sigmoid", "tanh") and nodes[number].shape == node.shape:
                    nodes[number].kind = Kind.BEND


def _reduces(node: Node) -> bool:
    return node.name in _STATISTICS or "pool" in node.name


def _reduced(nodes: Sequence[Node]) -> list[tuple[bool, bool]]:
    """Of what each call puts out: whether it is a statistic, and whether one, or a product of maps, is part of it."""
    found: list[tuple[bool, bool]] = []
    for node in nodes:
        before = [(False, False) if number == IMAGES else found[number] for number in node.inputs]
        if node.kind in LAYERS or node.kind is Kind.PRODUCT:
            found.append((False, False))
        else:
            wholly = bool(before) and all(statistic for statistic, _ in before)
            partly = any(part for _, part in before) or node.name in _PRODUCTS
            found.append((_reduces(node) or wholly, _reduces(node) or partly))
    return found


def _is_power(node: Node) -> bool:
    """Whether a call raises what it reads to a whole power of two or more."""
    if node.name in ("mul", "imul", "multiply"):
        return len(node.operands) > 1 and node.operands[0] is not None and node.operands[0] == node.operands[1]
    whole = node.exponent is not None and node.exponent >= 2 and node.exponent == int(node.exponent)
    return node.name == "square" or (node.name in ("pow", "float_power") and whole)


def _bends(nodes: Sequence[Node], node: Node, reduced: Sequence[tuple[bool, bool]]) -> Kind | None:
    """What a call is that divides, or is no linear function of each entry: of a statistic, part of a norm."""

    def kind(number: int | None, which: int) -> Kind:
        known = number is not None and number != IMAGES and reduced[number][which]
        return Kind.STATISTIC if known else Kind.BEND

    read = next((number for number in node.operands if number is not None), None)
    if not node.floats or read is None:
        return None
    if node.name in _DIVISOR:
        place = _DIVISOR[node.name]
        by = node.operands[place] if place < len(node.operands) else None
        if by is None or (by != IMAGES and not nodes[by].floats):  # a constant, or a count
            return None
        of = node.operands[0]
        if of != by and of is not None and of != IMAGES and nodes[of].name in _EXPONENTIALS and reduced[by][0]:
            return None  # softmax made by hand: its exponential bends
        shape = None if by == IMAGES else nodes[by].shape
        smaller = shape is not None and node.shape is not None and shape.numel() < node.shape.numel()
        return Kind.STATISTIC if smaller else kind(by, 0)
    if node.name in _REMAINDERS:
        return Kind.BEND
    if _is_power(node):
        return kind(read, 0)
    if node.name in ("pow", "float_power"):
        return None if node.exponent in (0, 1) else kind(read, 0 if node.exponent is None else 1)
    if node.name == "rpow" or (node.name in _EXPONENTIALS and node.kind is not None):
        return kind(read, 0)
    return kind(read, 1) if node.name in ("sqrt", "rsqrt") else None


def _of_norms(nodes: Sequence[Node], reduced: Sequence[tuple[bool, bool]]) -> list[bool]:
    """Whether all that is made of what each call puts out is a statistic that a norm made by hand divides by."""
    readers: list[list[int]] = [[] for _ in nodes]
    for number, node in enumerate(nodes):
        for one in node.inputs:
            if one != IMAGES:
                readers[one].append(number)
    leads, found = [False] * len(nodes), [False] * len(nodes)
    for number in reversed(range(len(nodes))):
        node = nodes[number]
        leads[number] = node.kind is Kind.STATISTIC or (
            reduced[number][0] and any(leads[reader] for reader in readers[number])
        )
        found[number] = bool(readers[number]) and all(
            (_reduces(nodes[reader]) and leads[reader])
            or (nodes[reader].name in _PASSES_ON and len(nodes[reader].inputs) == 1 and found[reader])
            for reader in readers[number]
        )
    return found
