"""Students cut out of a graph: gates do what pruning does, close exactly, and never cut the last path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import images
from common.errors import BadUsage
from distill.recipes import ALL_3X3, recipe
from distill.training import live
from images.stream import Stream
from search.subgraph.cell_choice import Choice, as_cell, of_space, of_teacher, on_paths
from search.subgraph.cell_gates import GatedNetwork
from search.subgraph.cell_graph import CellGraph, CellStudent, derived, kept
from search.subgraph.selection import Schedule, select, shrunk
from spaces.draw import Draw
from spaces.nb201.cell import CONV1, CONV3, EDGES, NONE, SKIP, Cell, cell_at
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton, count_parameters

pytestmark = pytest.mark.slow

TEACHER = of_teacher(Cell.parse(ALL_3X3))
SMALL = CellSkeleton(channels=4, cells_per_stage=1, classes=10, size=16)
EDGES_GRAPH = CellGraph(TEACHER, SMALL, Cell.parse(ALL_3X3))
SPACE_GRAPH = CellGraph(of_space(), SMALL, Cell.parse(ALL_3X3))
PLAN = replace(recipe("digits"), skeleton=SMALL)


def stream(steps: int) -> Stream:
    return images.load("digits", None).stream(0, steps, PLAN.batch, torch.device("cpu"))


@pytest.mark.parametrize("index", [0, 9930, 1462, 4042, 13835, 2201])
def test_gates_of_zero_are_the_pruned_network(index: int) -> None:
    cell = cell_at(index)
    network = GatedNetwork(SPACE_GRAPH, Draw(3)).double()
    wanted = {Choice(edge.position, edge.operation) for edge in cell.edges()}
    with torch.no_grad():
        network.gates.copy_(torch.tensor([float(choice in wanted) for choice in SPACE_GRAPH.choices]))
    pruned = CellNetwork(cell, SMALL, Draw(3)).double()
    batch = torch.randn(5, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert network(batch).logits.tolist() == pytest.approx(np.array(pruned(batch).logits.tolist()), abs=1e-12)
    assert set(network.open) == {choice.name for choice in wanted if choice.operation != NONE}


def test_the_proximal_step_is_soft_thresholding_on_what_is_not_negative() -> None:
    gates = torch.tensor([1.0, 0.3, 0.1, -0.2])
    assert shrunk(gates, torch.tensor([0.25, 0.1, 0.1, 0.0])).tolist() == pytest.approx([0.75, 0.2, 0.0, 0.0])
    # argmin over a >= 0 of (a - z)^2 / 2 + by a, by search
    grid = torch.linspace(0, 2, 20001, dtype=torch.float64)
    for z, by in ((1.0, 0.25), (0.3, 0.1), (0.05, 0.1)):
        best = grid[((grid - z) ** 2 / 2 + by * grid).argmin()].item()
        assert shrunk(torch.tensor([z]), torch.tensor([by])).item() == pytest.approx(best, abs=1e-4)


@given(st.lists(st.floats(0.01, 2), min_size=24, max_size=24), st.lists(st.booleans(), min_size=24, max_size=24))
def test_the_last_path_is_never_cut_and_nothing_is_left_beside_a_path(values: list[float], closed: list[bool]) -> None:
    before = torch.tensor(values)
    after = before * torch.tensor([0.0 if shut else 0.9 for shut in closed])
    found = kept([way for way, _ in SPACE_GRAPH.ways], before, after)
    left = [choice for choice, gate in zip(of_space(), found.tolist(), strict=True) if gate]
    assert left
    assert set(on_paths(left)) == set(left)
    asked = [choice for choice, gate in zip(of_space(), after.tolist(), strict=True) if gate]
    if on_paths(asked):
        assert set(left) <= set(asked)
    cell = derived(of_space(), found)
    assert len(cell.live_edges()) == sum(op != NONE for op in cell.operations) > 0


def test_the_derived_cell_has_the_largest_gate_of_an_edge() -> None:
    choices = (Choice(3, SKIP), Choice(3, CONV3), Choice(0, CONV1), Choice(4, CONV3))
    assert derived(choices, torch.tensor([0.4, 0.5, 0.1, 0.0])) == as_cell([Choice(3, CONV3)])
    assert derived(choices, torch.tensor([0.6, 0.5, 0.1, 0.2])) == as_cell(
        [Choice(3, SKIP), Choice(0, CONV1), Choice(4, CONV3)]
    )


def test_a_planted_subgraph_is_found_exactly() -> None:
    """The teacher is a subgraph with the student's own weights: the others only disturb."""
    planted = as_cell([Choice(EDGES.index((0, 2)), CONV3), Choice(EDGES.index((2, 3)), CONV3)])
    teacher = CellNetwork(planted, SMALL, Draw(5)).train()
    found = select(
        GatedNetwork(EDGES_GRAPH, Draw(5)), stream(400), lambda step, batch: teacher(batch).logits.detach(),
        replace(PLAN, learning_rate=1e-6), budget := count_parameters(planted, SMALL), Schedule(warm=5, steps=400),
    )  # fmt: skip
    assert found.student == CellStudent(planted, SMALL)
    assert found.student.parameters == budget
    assert 0.0 in found.gates[-1]  # closed exactly, without a threshold
    closed = np.array(found.gates) == 0
    assert (closed[1:] >= closed[:-1]).all()  # and for good


def test_of_several_operations_on_an_edge_all_but_one_are_closed_before_it_ends() -> None:
    """The largest gates of all that are open fit the budget from the first step: that decides nothing."""
    network = GatedNetwork(SPACE_GRAPH, Draw(0))
    teacher = live(CellNetwork(Cell.parse(ALL_3X3), SMALL, Draw(1)))
    whole = count_parameters(Cell.parse(ALL_3X3), SMALL)
    found = select(network, stream(100), teacher, PLAN, whole, Schedule(warm=5, growth=0.25, steps=100))
    opened = [choice for choice, gate in zip(SPACE_GRAPH.choices, found.gates[-1], strict=True) if gate]
    assert found.student == CellStudent(as_cell(opened), SMALL), "one an edge, all on paths"
    before = [choice for choice, gate in zip(SPACE_GRAPH.choices, found.gates[-2], strict=True) if gate]
    assert len({choice.position for choice in before}) < len(before)
    with pytest.raises(BadUsage, match="after 20 steps 24 gates are still open, of which a student has 6"):
        select(
            GatedNetwork(SPACE_GRAPH, Draw(0)), stream(20), teacher, PLAN, whole,
            Schedule(1, 0.0, 20, 0.001),
        )  # fmt: skip


def test_without_a_penalty_nothing_is_cut() -> None:
    network = GatedNetwork(EDGES_GRAPH, Draw(0))
    teacher = CellNetwork(Cell.parse(ALL_3X3), SMALL, Draw(1))
    with pytest.raises(BadUsage, match="after 20 steps the student still has"):
        select(network, stream(20), live(teacher), PLAN, EDGES_GRAPH.smallest() + 7000, Schedule(1, 0.0, 20, 0.001))
    assert len(network.open) == 6
    whole = count_parameters(Cell.parse(ALL_3X3), SMALL)
    found = select(network, stream(20), live(teacher), PLAN, whole, Schedule(1, 0.0, 20, 0.001))
    assert (found.student, found.steps) == (CellStudent(Cell.parse(ALL_3X3), SMALL), 2)
    assert found.student.parameters == whole


def test_what_no_student_can_meet_is_refused() -> None:
    network = GatedNetwork(EDGES_GRAPH, Draw(0))
    least = EDGES_GRAPH.smallest()
    assert least == count_parameters(as_cell([Choice(3, CONV3)]), SMALL)
    assert SPACE_GRAPH.smallest() == count_parameters(as_cell([Choice(3, SKIP)]), SMALL)
    with pytest.raises(BadUsage, match=f"the smallest has {least:,}"):
        select(network, stream(2), live(network), PLAN, least - 1)
    with pytest.raises(BadUsage, match="no path"):
        CellGraph((Choice(0, CONV3),), SMALL, Cell.parse(ALL_3X3)).smallest()
    with pytest.raises(ValueError, match="two operations"):
        as_cell([Choice(0, CONV3), Choice(0, SKIP)])
