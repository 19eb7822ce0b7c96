"""The classes of `equivalence` are the functions that cells compute: no class is too wide and none too narrow.

Every one of the 15,625 cells is run as it stands, all six edges, in float64. Two cells are the same random function
when some way of handing the same weights to their convolutions makes them equal, so a cell is described by an average
over all ways of handing out the first k weights of a fixed pool to its k convolutions of a kernel: equal inside a
class, different between classes.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from torch.nn.functional import avg_pool2d, unfold

from spaces.draw import Draw
from spaces.nb201.cell import CONV1, CONV3, EDGES, KERNEL, NONE, POOL, SKIP, Cell, cells
from spaces.nb201.equivalence import SEES, canonical_form, computed, members, representatives
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton

pytestmark = pytest.mark.slow

B, C, S = 3, 2, 5
EPS = 1e-5
D = 4
"""Length of an invariant: 5,000 scalars would meet by chance, 5,000 points in four dimensions do not."""

INSIDE, BETWEEN = 1e-12, 1e-8
"""Largest distance allowed inside a class, smallest between two. Observed: 5e-16 and 1.7e-7
(docs/decisions/equivalence.md)."""

LEVELS = ("function", "relus", "executed", "parameters")

operations = st.tuples(*[st.integers(0, 4)] * 6)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X = normal(0, B, C, S, S)
WEIGHTS = {k: normal(k, 6, C, C * k * k) for k in (1, 3)}
BIASES = {k: normal(10 + k, 6, C, 1, 1) for k in (1, 3)}
READ = normal(5, 4, D, B * C * S * S) / (B * C * S * S) ** 0.5
"""How a tensor is read off as `D` numbers: for the output 0, for the input of a 1x1 convolution 1, of a 3x3 3."""


def run(
    ops: torch.Tensor, slots: torch.Tensor, eps: float = EPS, sees: str = "executed"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs [n, B, C, S, S] of n cells with operations [n, 6], edge k's convolution holding weight `slots[:, k]`.

    Second, [n, D]: what the convolutions read, dead ones too, summed over them; each with a mark of its kernel and
    weight, or, for `relus`, with none. For `parameters` batch norms have a bias, otherwise zero.
    """
    nodes = [X.expand(len(ops), B, C, S, S), *(torch.zeros(len(ops), B, C, S, S, dtype=X.dtype) for _ in range(3))]
    seen = torch.zeros(len(ops), D, dtype=X.dtype)
    for edge, (source, target) in enumerate(EDGES):
        for op in (SKIP, POOL, CONV1, CONV3):
            rows = (ops[:, edge] == op).nonzero()[:, 0]
            x = nodes[source][rows]
            if op in KERNEL:
                k = KERNEL[op]
                seen[rows] += read(x, 1) if sees == "relus" else read(x, k) * (1 + slots[rows, edge, None])
                columns = unfold(x.relu().flatten(0, 1), k, padding=k // 2).view(len(rows), B, C * k * k, S * S)
                x = (WEIGHTS[k][slots[rows, edge]][:, None] @ columns).view(x.shape)
                x = x - x.mean((1, 3, 4), keepdim=True)
                x = x / (x.square().mean((1, 3, 4), keepdim=True) + eps).sqrt()
                if sees == "parameters":
                    x = x + BIASES[k][slots[rows, edge]][:, None]
            elif op == POOL:
                x = avg_pool2d(x.flatten(0, 1), 3, stride=1, padding=1, count_include_pad=False).view(x.shape)
            nodes[target][rows] += x
    return nodes[3], seen


def read(x: torch.Tensor, which: int) -> torch.Tensor:
    return torch.cos(x.flatten(1) + 1) @ READ[which].T


def is_read(cell: Cell, node: int) -> bool:
    """Whether a convolution or the cell's output reads what a node holds."""
    leaving = [edge for edge in cell.edges() if edge.source == node and edge.operation != NONE]
    return node == 3 or any(edge.operation in KERNEL or is_read(cell, edge.target) for edge in leaving)


def is_fed(cell: Cell, node: int) -> bool:
    """Whether anything but zeros arrives at a node."""
    arriving = [edge for edge in cell.edges() if edge.target == node and edge.operation != NONE]
    return node == 0 or any(is_fed(cell, edge.source) for edge in arriving)


def assignments(cell: Cell, sees: str) -> Iterator[list[int]]:
    """Every way of handing weights 0..k-1 to the k convolutions of a kernel that count; others hold 5."""
    edges = cell.live_edges() if sees == "function" else cell.edges()
    if sees == "relus":
        edges = [edge for edge in edges if is_fed(cell, edge.source) and is_read(cell, edge.target)]
    ones, threes = ([edge.position for edge in edges if edge.operation == op] for op in (CONV1, CONV3))
    for a, b in itertools.product(itertools.permutations(range(len(ones))), itertools.permutations(range(len(threes)))):
        slots = [5] * 6
        for position, slot in zip(ones + threes, a + b, strict=True):
            slots[position] = slot
        yield slots


@cache
def invariants(sees: str = "function", eps: float = EPS) -> np.ndarray:
    """[15625, D]: for each cell, the mean over assignments of a nonlinear reading of its output.

    Beyond `function`, of its output and of what each of its convolutions read, together.
    """
    owner, slots = [], []
    for index, cell in enumerate(cells()):
        for assignment in assignments(cell, sees):
            owner.append(index)
            slots.append(assignment)
    ops = torch.tensor([cell.operations for cell in cells()])
    values = []
    for part, given_slots in zip(torch.tensor(owner).split(2048), torch.tensor(slots).split(2048), strict=True):
        output, seen = run(ops[part], given_slots, eps, sees)
        values.append(torch.sin(read(output, 0) + (0 if sees == "function" else seen)))
    count = torch.bincount(torch.tensor(owner))
    total = torch.zeros(len(ops), D, dtype=X.dtype).index_add_(0, torch.tensor(owner), torch.cat(values))
    return (total / count[:, None]).numpy()


def nearest(points: np.ndarray) -> np.ndarray:
    """Distance from each point to the nearest other one."""
    return cKDTree(points).query(points, k=2, p=np.inf)[0][:, 1]


@pytest.mark.parametrize("sees", LEVELS)
def test_members_of_a_class_compute_the_same(sees: str) -> None:
    found = invariants(sees)
    assert np.isfinite(found).all()
    distance = np.abs(found - found[list(representatives(sees))]).max(axis=1)
    assert distance.max() < INSIDE, f"{cells()[distance.argmax()]} is not its class"


@pytest.mark.parametrize(
    ("sees", "count"), [("function", 5044), ("relus", 5402), ("executed", 6023), ("parameters", 6273)]
)
def test_different_classes_compute_different_things(sees: str, count: int) -> None:
    first = sorted(set(representatives(sees)))
    distance = nearest(invariants(sees)[first])
    assert distance.min() > BETWEEN, f"{cells()[first[distance.argmin()]]} is also in another class"
    assert len(first) == count


def test_only_the_eps_of_batch_norm_separates_170_of_the_classes() -> None:
    first = sorted(set(representatives("function")))
    found = invariants(eps=1e-100)
    near = nearest(found[first])
    assert (near < INSIDE).sum() == 170
    assert near[near >= INSIDE].min() > 1e-3
    assert len(first) - len({later for _, later in cKDTree(found[first]).query_pairs(INSIDE)}) == 4954
    assert np.abs(found - found[list(representatives("function"))]).max() < INSIDE


def test_a_convolution_of_twice_its_input_is_near_but_another_function() -> None:
    once, twice = Cell((SKIP, NONE, NONE, NONE, CONV3, NONE)), Cell((SKIP, SKIP, SKIP, NONE, NONE, CONV3))
    a, b = run(torch.tensor([once.operations, twice.operations]), torch.zeros(2, 6, dtype=torch.long))[0]
    assert 1e-7 < (a - b).abs().max() / a.abs().max() < 1e-4
    assert canonical_form(once) != canonical_form(twice)


def written_out(cell: Cell, slots: list[int], linear: bool) -> tuple[object, ...]:
    """The output as a nested formula, sums as sorted tuples, zero as the empty one, convolutions by kernel and slot."""
    nodes: list[list[tuple[object, ...]]] = [[("input",)], [], [], []]
    for edge in cell.edges():
        source = sorted(nodes[edge.source])
        if edge.operation == NONE or not source:
            continue
        if edge.operation == SKIP:
            terms = source
        elif edge.operation in KERNEL:
            terms = [("conv", edge.operation, slots[edge.position], *source)]
        else:
            terms = [("pool", term) for term in source] if linear else [("pool", *source)]
        nodes[edge.target] += terms
    return tuple(sorted(nodes[3]))


@pytest.mark.parametrize(("linear", "count"), [(True, 5044), (False, 5260)])
def test_written_out_formulas_count_the_functions(linear: bool, count: int) -> None:
    """An earlier count of 5,260 took the pool of a sum for something other than the sum of the pools."""
    formulas = [min(written_out(cell, slots, linear) for slots in assignments(cell, False)) for cell in cells()]
    pairs = set(zip(formulas, representatives("function"), strict=True))
    assert len(set(formulas)) == len(pairs) == count


def test_levels_refine_one_another() -> None:
    for coarse, fine in itertools.pairwise(SEES):
        pairs = set(zip(representatives(fine), representatives(coarse), strict=True))
        assert len(pairs) == len(set(representatives(fine)))
        assert all(representatives(fine)[index] == index for index in representatives(coarse))
    assert representatives("cell") == tuple(range(15625))


def joined(cell: Cell, start: int, end: int) -> bool:
    """Whether operations other than `none` lead from one node to the other."""
    steps = [edge.target for edge in cell.edges() if edge.source == start and edge.operation != NONE]
    return start == end or any(joined(cell, step, end) for step in steps)


def test_2140_cells_have_a_convolution_of_zeros_on_the_way_to_the_output() -> None:
    """In training it becomes a constant that the live network does not have (docs/decisions/equivalence.md)."""
    assert (
        sum(
            any(
                edge.operation in KERNEL and not joined(cell, 0, edge.source) and joined(cell, edge.target, 3)
                for edge in cell.edges()
            )
            for cell in cells()
        )
        == 2140
    )


@pytest.mark.parametrize("sees", SEES)
def test_members_are_the_classes_of_their_lowest_index(sees: str) -> None:
    assert sorted(itertools.chain(*members(sees).values())) == list(range(15625))
    for representative, indices in members(sees).items():
        assert indices == tuple(sorted(indices))
        assert representative == indices[0]
        assert {representatives(sees)[index] for index in indices} == {representative}


def assert_same(a: tuple[int, ...], b: tuple[int, ...], levels: tuple[str, ...] = LEVELS) -> None:
    for level in levels:
        assert canonical_form(Cell(a), level) == canonical_form(Cell(b), level), level


@given(operations)
def test_the_two_middle_nodes_may_swap_when_nothing_joins_them(ops: tuple[int, ...]) -> None:
    a, b, _, c, d, e = ops
    assert_same((a, b, NONE, c, d, e), (b, a, NONE, c, e, d))


@given(operations)
def test_a_skip_makes_two_nodes_one(ops: tuple[int, ...]) -> None:
    _, b, c, d, e, f = ops
    assert_same((SKIP, b, c, d, e, f), (SKIP, c, b, d, e, f))
    assert_same((SKIP, b, c, d, e, f), (SKIP, b, c, e, d, f))


@given(operations, st.sampled_from([SKIP, POOL]))
def test_skips_and_pools_distribute_over_sums(ops: tuple[int, ...], linear: int) -> None:
    a, b, _, c, _, _ = ops
    assert_same((a, b, NONE, c, linear, linear), (a, b, SKIP, c, NONE, linear))


@given(operations, st.integers(0, 4), st.integers(0, 4))
def test_operations_on_a_zero_node_and_before_an_unread_one_do_not_matter(ops: tuple[int, ...], p: int, q: int) -> None:
    a, b, c, d, e, f = ops
    assert_same((NONE, b, c, d, e, f), (NONE, b, p, d, q, f), ("function",))
    assert_same((a, b, c, d, NONE, NONE), (p, q, c, d, NONE, NONE), ("function",))


@cache
def pairs_of_one_class() -> list[tuple[Cell, Cell]]:
    """Two cells with different live edges from each of 40 random classes."""
    pairs = []
    for indices in members("function").values():
        first, *others = (cells()[index] for index in indices)
        others = [other for other in others if other.live_edges() != first.live_edges()]
        if others and any(edge.operation in KERNEL for edge in first.live_edges()):
            pairs.append((first, random.Random(str(first)).choice(others)))
    return random.Random(0).sample(pairs, 40)


def matching(a: Cell, b: Cell) -> dict[int, int]:
    """For each live convolution of b the one of a with the same part, both by edge: found by trying all."""
    given_a, given_b = next(assignments(a, False)), list(assignments(b, False))
    ops = torch.tensor([a.operations] + [b.operations] * len(given_b))
    outputs = run(ops, torch.tensor([given_a, *given_b]))[0]
    slots = given_b[int((outputs[1:] - outputs[0]).abs().amax(dim=(1, 2, 3, 4)).argmin())]
    part = {(e.operation, given_a[e.position]): e.position for e in a.live_edges()}
    return {e.position: part[e.operation, slots[e.position]] for e in b.live_edges() if e.operation in KERNEL}


@pytest.mark.parametrize("number", range(40))
def test_networks_of_one_class_with_matched_weights_agree(number: int) -> None:
    """Logits and gradients, at weights and batch-norm parameters moved away from their initial values."""
    a, b = pairs_of_one_class()[number]
    skeleton = CellSkeleton(channels=4, cells_per_stage=1, classes=10, size=8)
    network = {cell: CellNetwork(cell, skeleton, Draw(seed, momentum=0)).double() for seed, cell in enumerate((a, b))}
    for seed, parameter in enumerate(network[a].parameters()):
        parameter.data += 0.1 * normal(seed, *parameter.shape)
    edges = matching(a, b)
    name_in_a = {
        name: re.sub(r"layers\.(\d)", lambda match: f"layers.{edges[int(match[1])]}", name)
        for name in network[b].state_dict()
    }
    assert sorted(name_in_a.values()) == sorted(network[a].state_dict())
    network[b].load_state_dict({name: network[a].state_dict()[other] for name, other in name_in_a.items()})
    images, readout = normal(1, 4, 3, 8, 8), normal(2, 4, 10)
    logits = {}
    for cell in (a, b):
        logits[cell] = network[cell](images).logits
        (logits[cell] * readout).sum().backward()
    assert (logits[a] - logits[b]).abs().max() < 1e-9, f"{a} and {b}"
    gradient = {name: parameter.grad for name, parameter in network[a].named_parameters()}
    for name, parameter in network[b].named_parameters():
        torch.testing.assert_close(parameter.grad, gradient[name_in_a[name]], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sees", [level for level in SEES if level != "cell"])
def test_the_classes_that_commands_read_are_those_of_the_forms(sees: str) -> None:
    assert representatives(sees) == computed(sees), "stale: `spaces.nb201.equivalence.keep()` writes the file anew"
