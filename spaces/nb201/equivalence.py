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

from common.errors import unknown
from spaces.nb201.cell import NONE, POOL, SKIP, Cell, cells
from spaces.space import SEES

_INPUT = -1
_UNREAD = -1  # instead of the kind of a convolution that nothing reads
_Terms = list[tuple[int, int]]  # (convolution number or _INPUT, how often pooled)


def canonical_form(cell: Cell, sees: str = "function") -> tuple[object, ...]:
    """Equal for two cells exactly when they are the same at a level of `SEES`."""
    kinds, inputs, output = _terms(cell, sees)
    if sees == "relus":
        read = {term for terms in (*inputs, output) for term, _ in terms}
        kinds = [kind if number in read else _UNREAD for number, kind in enumerate(kinds)]
    best: tuple[object, ...] | None = None
    for order in _orders(kinds, inputs):
        number = {old: new for new, old in enumerate(order)}
        form = (tuple((kinds[old], _renamed(inputs[old], number)) for old in order), _renamed(output, number))
        if best is None or form < best:
            best = form
    assert best is not None  # there is always at least the empty order
    return best


def _terms(cell: Cell, sees: str) -> tuple[list[int], list[_Terms], _Terms]:
    """Kind and input terms of every convolution, in edge order, and the output's terms."""
    kinds: list[int] = []
    inputs: list[_Terms] = []
    nodes: list[_Terms] = [[(_INPUT, 0)], [], [], []]
    constants: set[int] = set()
    for edge in cell.live_edges() if sees == "function" else cell.edges():
        source = nodes[edge.source]
        if edge.operation == SKIP:
            nodes[edge.target] += source
        elif edge.operation == POOL:
            nodes[edge.target] += [(term, pools + (term not in constants)) for term, pools in source]
        elif edge.operation != NONE:
            if not source:  # executed, but all that it adds is a bias, which is zero at initialisation
                constants.add(len(kinds))
            if source or sees == "parameters":
                nodes[edge.target].append((len(kinds), 0))
            kinds.append(edge.operation)
            inputs.append(source)
    return kinds, inputs, nodes[3]


def _renamed(terms: _Terms, number: dict[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((number.get(term, _INPUT), pools) for term, pools in terms))


def _orders(kinds: list[int], inputs: list[_Terms]) -> Sequence[tuple[int, ...]]:
    """Orders of the convolutions that a canonical form has to try: sorted by shape, ties in every order."""
    shapes: list[tuple[object, ...]] = []
    for kind, terms in zip(kinds, inputs, strict=True):  # inputs come before the convolutions they feed
        below = sorted((shapes[term] if term != _INPUT else (), pools) for term, pools in terms)
        shapes.append((kind, tuple(below)))
    ranked = sorted(range(len(kinds)), key=lambda k: repr(shapes[k]))
    ties = [tuple(group) for _, group in itertools.groupby(ranked, key=lambda k: repr(shapes[k]))]
    arranged = itertools.product(*(itertools.permutations(tie) for tie in ties))
    return [tuple(itertools.chain.from_iterable(groups)) for groups in arranged]


@cache
def representatives(sees: str) -> tuple[int, ...]:
    """For every cell, the lowest index in its class at a level of `SEES`: what such a score is computed on."""
    if sees not in SEES:
        raise unknown("level of equivalence", sees, SEES)
    if sees == "cell":
        return tuple(range(len(cells())))
    first: dict[tuple[object, ...], int] = {}
    return tuple(first.setdefault(canonical_form(cell, sees), index) for index, cell in enumerate(cells()))


@cache
def members(sees: str) -> dict[int, tuple[int, ...]]:
    """The cells of each class, ascending, under its representative."""
    classes: dict[int, list[int]] = {}
    for index, representative in enumerate(representatives(sees)):
        classes.setdefault(representative, []).append(index)
    return {representative: tuple(indices) for representative, indices in classes.items()}
