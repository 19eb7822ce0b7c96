"""What is left of a graph when gates close: real smaller networks, within any budget, beside rivals of their size."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spaces.resnet.network as resnet
from distill.recipes import ALL_3X3
from search.subgraph.cell_choice import of_space, of_teacher, on_paths
from search.subgraph.cell_graph import CellGraph, CellStudent
from search.subgraph.graph import Graph
from search.subgraph.residual_graph import ResidualGraph, whole
from search.subgraph.residual_network import GatedResidual, ResidualNetwork, ResidualStudent
from search.subgraph.selection import shrunk
from spaces.draw import Draw
from spaces.nb201.cell import NONE, Cell, cells
from spaces.nb201.skeleton import CellSkeleton
from spaces.resnet.network import ResNetShape

SKELETON = CellSkeleton(channels=4, cells_per_stage=3, classes=10, size=16)
TEACHER = Cell.parse(ALL_3X3)
EDGES = CellGraph(of_teacher(TEACHER), SKELETON, TEACHER)
SPACE = CellGraph(of_space(), SKELETON, TEACHER)
SHAPE = ResNetShape((2, 2, 2), 10, (8, 16, 32), 8)
BLOCKS, CHANNELS = ResidualGraph(SHAPE, 16, 0), ResidualGraph(SHAPE, 16, 8)
GRAPHS = pytest.mark.parametrize(
    "graph", [EDGES, SPACE, BLOCKS, CHANNELS], ids=["edges", "space", "blocks", "channels"]
)


def descent(graph: Graph, budget: int, seed: int) -> torch.Tensor:
    """The gates that a growing penalty leaves of a loss whose gradient is noise."""
    draw = torch.Generator().manual_seed(seed)
    gates = torch.ones(len(graph.names))
    for step in range(3000):
        noise = torch.randn(len(gates), generator=draw)
        after = shrunk(gates - 0.02 * noise, 2e-3 * step * graph.prices()) * (gates > 0)
        settled = graph.settled(gates, after, budget)
        assert not ((gates == 0) & (settled > 0)).any(), "a closed gate opened again"
        gates = settled
        if graph.student(gates).parameters <= budget:
            break
    return gates


@pytest.mark.slow
@GRAPHS
@settings(max_examples=12)
@given(share=st.floats(0, 0.99), seed=st.integers(0, 1000))
def test_any_budget_that_can_be_met_is_met(graph: Graph, share: float, seed: int) -> None:
    least = graph.smallest()
    budget = int(least + share * (graph.parameters - least))
    gates = descent(graph, budget, seed)
    assert least <= graph.student(gates).parameters <= budget
    assert (gates >= 0).all()


@pytest.mark.slow
@GRAPHS
def test_an_endless_penalty_leaves_the_smallest_student(graph: Graph) -> None:
    gates = descent(graph, graph.smallest(), 0)
    assert graph.student(gates).parameters == graph.smallest()
    assert 0.0 in gates.tolist()


@GRAPHS
def test_open_gates_are_everything(graph: Graph) -> None:
    gates = torch.ones(len(graph.names))
    assert graph.settled(gates, gates, graph.parameters).tolist() == pytest.approx(gates.tolist())
    if graph is not SPACE:  # of several operations on an edge a cell has one
        assert graph.student(gates).parameters == graph.parameters


def middles_of(network: GatedResidual, graph: ResidualGraph, student: ResidualStudent) -> ResidualNetwork:
    """The student's network with the weights that the gated one has in the channels that are left."""
    own = ResidualNetwork(student, Draw(9)).double()
    own.frame.load_state_dict(network.frame.state_dict(), strict=False)  # scale 1 and no shift, which are not there
    values = dict(zip(graph.elements(), network.gates.tolist(), strict=True))
    left = iter(own.blocks)
    for block, module, middle in zip(graph.blocks(), network.blocks, student.middles, strict=True):
        if not middle:
            continue
        target, size = next(left), block.channels_out // (graph.groups or 1)
        channels = [
            c for c in range(block.channels_out) if not graph.groups or values[block, c // size]
        ]  # by group, in order
        assert len(channels) == middle
        with torch.no_grad():
            target.conv1.weight.copy_(module.conv1.weight[channels])
            target.conv2.weight.copy_(module.conv2.weight[:, channels])
        if block.is_projected:
            target.shortcut.load_state_dict(module.shortcut.state_dict(), strict=False)
    return own


@pytest.mark.parametrize("graph", [BLOCKS, CHANNELS], ids=["blocks", "channels"])
@pytest.mark.parametrize("seed", range(4))
def test_gates_of_zero_are_the_smaller_resnet(graph: ResidualGraph, seed: int) -> None:
    network = GatedResidual(graph, Draw(seed)).double()
    gates = (torch.rand(len(graph.names), generator=torch.Generator().manual_seed(seed)) > 0.5).double()
    gates = (graph.settled(torch.ones(len(gates)).double(), gates, 0) > 0).double()
    with torch.no_grad():
        network.gates.copy_(gates)
    student = graph.student(gates)
    small = middles_of(network, graph, student)
    batch = torch.randn(6, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network.train(), small.train()
    assert torch.allclose(network(batch).logits, small(batch).logits, rtol=0, atol=1e-12)
    assert sum(p.numel() for p in small.parameters()) == student.parameters <= whole(SHAPE, 16).parameters
    if gates.any():
        network(batch).logits.sum().backward()
        assert not network.gates.grad[network.gates == 0].any()


def test_resnets_are_counted_as_they_are_elsewhere() -> None:
    student = whole(SHAPE, 16)
    assert student.parameters == resnet.count_parameters(SHAPE)
    assert student.multiply_adds == resnet.count_multiply_adds(SHAPE, 16)


def test_blocks_that_change_the_shape_and_last_groups_stay() -> None:
    assert [name for name in BLOCKS.names] == ["stages.0.0", "stages.0.1", "stages.1.1", "stages.2.1"]
    closed = torch.zeros(len(CHANNELS.names))
    gates = CHANNELS.settled(closed + 1, closed, 0)
    assert CHANNELS.student(gates).middles == (0, 0, 2, 0, 4, 0)  # an eighth of the channels
    only = torch.tensor([float(group is None) for _, group in CHANNELS.elements()])
    assert CHANNELS.student(CHANNELS.settled(only * 0 + 1, only, 0)).middles == (1, 1, 2, 2, 4, 4)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(1, 6), st.integers(0, 10**6))
def test_rivals_of_a_cell_are_as_near_as_there_are_and_within_the_budget(size: int, seed: int) -> None:
    rng = random.Random(seed)
    found = CellStudent(
        rng.choice([cell for cell in EDGES.cells() if cell.operations.count(NONE) <= 6 - size]), SKELETON
    )
    budget = found.parameters + rng.randrange(20_000)
    rivals = EDGES.rivals(found, budget, 3, rng)
    assert all(each.parameters <= budget for kind in rivals.values() for each in kind)
    assert found not in rivals["random"]
    assert len(rivals["random"]) <= 3
    every = [CellStudent(cell, SKELETON) for cell in EDGES.cells()]
    assert rivals["largest"][0].parameters == max(each.parameters for each in every if each.parameters <= budget)
    for kind, narrow, shallow in (("width", 1, 0), ("depth", 0, 1), ("both", 1, 1)):
        sizes = [(C, N) for C in range(1, 5) for N in range(1, 4) if (C < 4, N < 3) == (bool(narrow), bool(shallow))]
        counts = [CellStudent(TEACHER, CellSkeleton(C, N, 10, 16)).parameters for C, N in sizes]
        within = [abs(count - found.parameters) for count in counts if count <= budget]
        assert [abs(each.parameters - found.parameters) for each in rivals[kind]] == sorted(within)[:1]


@pytest.mark.slow
def test_all_subgraphs_of_a_cell_are_known() -> None:
    """Of edges 15 sets have all on a path; of operations those of the valid cells, but for the empty one."""
    assert len(EDGES.cells()) == 15
    assert set(SPACE.cells()) == {
        cell for cell in cells() if cell.is_valid() and any(op != NONE for op in cell.operations)
    }
    equal = [cell for cell in EDGES.cells() if cell.operations.count(NONE) == 3]
    found = CellStudent(equal[0], SKELETON)
    rivals = EDGES.rivals(found, found.parameters, 8, random.Random(0))
    assert [each.cell for each in rivals["random"]] == equal[1:]
    assert on_paths(of_teacher(equal[0])) == of_teacher(equal[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_resnets_are_others_of_equal_size_and_nothing_is_above_the_budget(seed: int) -> None:
    gates = torch.ones(len(CHANNELS.names))
    gates[1:40:2] = 0
    found = CHANNELS.student(CHANNELS.settled(gates * 0 + 1, gates, 0))
    rivals = CHANNELS.rivals(found, found.parameters, 5, random.Random(seed))
    assert len({each.label for each in rivals["random"]} - {found.label}) == len(rivals["random"]) == 5
    assert all(0.9 * found.parameters <= each.parameters for each in rivals["random"])
    assert all(each.parameters <= found.parameters for kind in rivals.values() for each in kind)


@pytest.mark.slow
def test_random_resnets_are_of_equal_size_where_one_block_is_more_than_a_tenth() -> None:
    """What is left of the last stage's block is in all of them or in none: closing it alone would overshoot."""
    every = [BLOCKS.student(torch.tensor([float(bit) for bit in f"{number:04b}"])) for number in range(16)]
    found = BLOCKS.student(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    alike = {each for each in every if 0.9 * found.parameters <= each.parameters <= found.parameters} - {found}
    drawn = BLOCKS.rivals(found, found.parameters, 3, random.Random(1))["random"]
    assert drawn
    assert {*drawn} <= alike < {*every}
    assert BLOCKS.rivals(every[0], every[0].parameters, 2, random.Random(1))["random"] == [], "there is no other"


@pytest.mark.slow
def test_a_narrow_resnet_is_trained_without_killing_the_process() -> None:
    """Strided 1x1 convolutions of five channels do, in torch 2.13."""
    network = ResidualNetwork(whole(resnet.ResNetShape((1, 1, 1), 10, (5, 10, 20), 5), 16), Draw(0))
    for _ in range(20):
        network(torch.randn(32, 3, 16, 16)).logits.sum().backward()
