"""Which cells are the same random function, so that none is scored or trained twice.

A node's value is a multiset of terms. The input is one term; every convolution is a term of its own, because its
weights are its own; a skip passes terms on; an average pool is linear, so it passes every term on, pooled once more.
Two cells are the same function when renaming their convolutions of equal kernel makes the terms of the output and of
every convolution's input equal. Only live operations count (`function`). With every executed operation counted, dead
and zero-fed convolutions included, the same rule groups the cells by `executed` graph. Between the two lies what the
ReLUs in front of all convolutions read (`relus`): there the kernel of a convolution that nothing reads does not count.
Finer than both is what all `parameters` do, whatever their values: a convolution that reads zeros puts out the bias of
its batch norm, a term that no pool changes.

Exact at initialisation, where convolutions are drawn independently from one distribution
(docs/decisions/equivalence.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from common.errors import unknown
from spaces.nb201.cell import EDGES, NONE, POOL, SKIP, Cell, cells
from spaces.space import SEES

_INPUT = -1
_UNREAD = -1  # instead of the kind of a convolution that nothing reads
_Terms = tuple[tuple[int, int], ...]  # (convolution number or _INPUT, how often pooled), ascending


def canonical_form(cell: Cell, sees: str = "function") -> tuple[object, ...]:
    """Equal for two cells exactly when they are the same at a level of `SEES`."""
    operations = cell.live_operations() if sees == "function" else cell.operations
    kinds, inputs, output = _terms(operations, sees == "parameters")
    if sees == "relus":
        read = {term for terms in (*inputs, output) for term, _ in terms}
        kinds = tuple([kind if number in read else _UNREAD for number, kind in enumerate(kinds)])
    return _form(kinds, inputs, output)


@cache  # levels share most of it
def _terms(operations: tuple[int, ...], biased: bool) -> tuple[tuple[int, ...], tuple[_Terms, ...], _Terms]:
    """Kind and input terms of every convolution, in edge order, and the output's terms.

    `biased`: a convolution that reads zeros puts out a term too.
    """
    kinds: list[int] = []
    inputs: list[_Terms] = []
    nodes: list[list[tuple[int, int]]] = [[(_INPUT, 0)], [], [], []]
    constants: set[int] = set()
    for (start, end), operation in zip(EDGES, operations, strict=True):
        source = nodes[start]
        if operation == SKIP:
            nodes[end] += source
        elif operation == POOL:
            nodes[end] += [(term, pools + (term not in constants)) for term, pools in source]
        elif operation != NONE:
            if not source:  # executed, but all that it adds is a bias, which is zero at initialisation
                constants.add(len(kinds))
            if source or biased:
                nodes[end].append((len(kinds), 0))
            kinds.append(operation)
            inputs.append(tuple(sorted(source)))
    return tuple(kinds), tuple(inputs), tuple(sorted(nodes[3]))


@cache  # 15,625 cells have some 7,000 different terms
def _form(kinds: tuple[int, ...], inputs: tuple[_Terms, ...], output: _Terms) -> tuple[object, ...]:
    """The least way to write the terms, over all orders of the convolutions."""
    return min(_written(order, kinds, inputs, output) for order in _orders(kinds, inputs))


def _written(
    order: tuple[int, ...], kinds: tuple[int, ...], inputs: tuple[_Terms, ...], output: _Terms
) -> tuple[object, ...]:
    number = {old: new for new, old in enumerate(order)} | {_INPUT: _INPUT}
    return tuple([(kinds[old], _renamed(inputs[old], number)) for old in order]), _renamed(output, number)


def _renamed(terms: _Terms, number: dict[int, int]) -> _Terms:
    return tuple(sorted([(number[term], pools) for term, pools in terms]))


def _orders(kinds: tuple[int, ...], inputs: tuple[_Terms, ...]) -> Sequence[tuple[int, ...]]:
    """Orders of the convolutions that a canonical form has to try: sorted by shape, ties in every order."""
    shapes: list[tuple[Any, ...]] = []
    for kind, terms in zip(kinds, inputs, strict=True):  # inputs come before the convolutions they feed
        below = sorted([(shapes[term] if term != _INPUT else (), pools) for term, pools in terms])
        shapes.append((kind, tuple(below)))
    ranked = sorted(range(len(kinds)), key=shapes.__getitem__)
    ties = [tuple(group) for _, group in itertools.groupby(ranked, key=shapes.__getitem__)]
    arranged = itertools.product(*(itertools.permutations(tie) for tie in ties))
    return [tuple(itertools.chain.from_iterable(groups)) for groups in arranged]


KEPT = Path(__file__).with_name("classes.npz")
"""The representatives at every level but the finest; commands read them, and a test computes them."""


@cache
def representatives(sees: str) -> tuple[int, ...]:
    """For every cell, the lowest index in its class at a level of `SEES`: what such a score is computed on."""
    if sees not in SEES:
        raise unknown("level of equivalence", sees, SEES)
    if sees == "cell":
        return tuple(range(len(cells())))
    import numpy as np

    with np.load(KEPT, allow_pickle=False) as kept:
        return tuple(kept[sees].tolist())


def computed(sees: str) -> tuple[int, ...]:
    """`representatives` from the canonical form of every cell, which takes a second for all levels."""
    first: dict[tuple[object, ...], int] = {}
    return tuple(first.setdefault(canonical_form(cell, sees), index) for index, cell in enumerate(cells()))


def keep() -> None:
    """Write what is `computed` at all levels: where a test says that the file is stale."""
    import numpy as np

    levels = [sees for sees in SEES if sees != "cell"]
    found: dict[str, Any] = {sees: np.array(computed(sees), np.uint16) for sees in levels}
    np.savez_compressed(KEPT, **found)


@cache
def members(sees: str) -> dict[int, tuple[int, ...]]:
    """The cells of each class, ascending, under its representative."""
    classes: dict[int, list[int]] = {}
    for index, representative in enumerate(representatives(sees)):
        classes.setdefault(representative, []).append(index)
    return {representative: tuple(indices) for representative, indices in classes.items()}
