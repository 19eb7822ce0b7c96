"""Networks equal xautodl's in value, gradient and parameter names, and say truly what a forward pass saw."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from spaces.draw import INITS, Draw
from spaces.nb201.cell import CONV3, KERNEL, NONE, POOL, SKIP, Cell, cells
from spaces.nb201.network import CellBlock, CellNetwork, NodeReLU
from spaces.nb201.skeleton import CellSkeleton, count_parameters
from spaces.nb201.xautodl_backbone import XautodlNetwork
from spaces.output import Output

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=10, size=8)
DEGENERATE = [
    Cell((NONE,) * 6),
    Cell((SKIP,) * 6),
    Cell((POOL,) * 6),
    Cell((CONV3,) * 6),
    Cell((CONV3, CONV3, CONV3, NONE, NONE, NONE)),  # nothing reaches the output
    Cell((NONE, NONE, CONV3, NONE, CONV3, CONV3)),  # nothing leaves the input
    Cell((NONE, NONE, NONE, NONE, NONE, CONV3)),  # a convolution fed by zeros beside nothing
    Cell((NONE, CONV3, POOL, SKIP, CONV3, NONE)),  # one beside a skip, and a dead one
]
SAMPLE = DEGENERATE + random.Random(1).sample(cells(), 30)
each_cell = pytest.mark.parametrize("cell", SAMPLE, ids=str)


def images(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=dtype)


def original(cell: Cell, skeleton: CellSkeleton, draw: Draw) -> XautodlNetwork:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    return XautodlNetwork(cell, skeleton, draw)


def observe(network: CellNetwork | XautodlNetwork) -> tuple[Output, dict[str, torch.Tensor | None]]:
    """The output in float64, and the gradient of the cross-entropy at every parameter, under `CellNetwork`'s names."""
    network.double()
    output = network(images())
    network.zero_grad()
    cross_entropy(output.logits, torch.arange(6)).backward()
    return output, {name.removeprefix("inner."): p.grad for name, p in network.named_parameters()}


def assert_outputs_equal(ours: Output, theirs: Output) -> None:
    assert len(ours.features) == len(theirs.features) == 3
    for a, b in zip((*ours[:2], *ours.features), (*theirs[:2], *theirs.features), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@each_cell
def test_values_and_gradients_equal_xautodls(cell: Cell) -> None:
    theirs, expected = observe(original(cell, SKELETON, Draw(seed=3, momentum=0)))
    for sees in ("function", "relus", "executed"):
        ours, gradients = observe(CellNetwork(cell, SKELETON, Draw(seed=3, momentum=0), sees))
        assert_outputs_equal(ours, theirs)
        assert set(gradients) == set(expected) if sees == "executed" else set(gradients) <= set(expected)
        for name, gradient in gradients.items():
            reference = expected[name]
            if gradient is None:  # not in the graph: xautodl multiplies by zero instead
                assert reference is None or not reference.any(), name
            else:
                torch.testing.assert_close(gradient, reference, rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.slow
@each_cell
def test_parameters_that_the_live_network_leaves_out_learn_nothing_but_a_constant(cell: Cell) -> None:
    """Of a convolution fed by zeros only the batch norm's bias has a gradient; of any other dead one nothing has."""
    _, live = observe(CellNetwork(cell, SKELETON, Draw(seed=3)))
    _, executed = observe(CellNetwork(cell, SKELETON, Draw(seed=3), sees="executed"))
    for name in set(executed) - set(live):
        gradient = executed[name]
        assert gradient is None or not gradient.any() or name.endswith("op.2.bias"), name


@pytest.mark.slow
@each_cell
def test_names_shapes_and_order_of_the_state_are_xautodls(cell: Cell) -> None:
    draw = Draw(seed=0)
    ours = CellNetwork(cell, SKELETON, draw, sees="executed").state_dict()
    theirs = original(cell, SKELETON, draw).inner.state_dict()
    assert [(name, tensor.shape) for name, tensor in ours.items()] == [(n, t.shape) for n, t in theirs.items()]


@pytest.mark.slow
@each_cell
def test_values_equal_xautodls_in_evaluation_mode_with_trained_statistics(cell: Cell) -> None:
    draw = Draw(seed=5)
    ours = CellNetwork(cell, SKELETON, draw, sees="executed")
    with torch.no_grad():
        for _ in range(3):
            ours(images(torch.float32))
        for seed, parameter in enumerate(ours.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)), alpha=0.1)
    assert any(tensor.any() for name, tensor in ours.named_buffers() if name.endswith("running_mean"))
    theirs = original(cell, SKELETON, draw)  # copies parameters and statistics
    with torch.no_grad():
        assert_outputs_equal(ours.double().eval()(images()), theirs.double().eval()(images()))


@pytest.mark.slow
@pytest.mark.parametrize("init", INITS)
def test_every_initialisation_reaches_xautodls_network(init: str) -> None:
    cell = cells()[1]
    ours, _ = observe(CellNetwork(cell, SKELETON, Draw(0, init, momentum=0)))
    theirs, _ = observe(original(cell, SKELETON, Draw(0, init, momentum=0)))
    assert_outputs_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("skeleton", [CellSkeleton(3, 2, 7, 16), CellSkeleton(4, 3, 5, 12)], ids=str)
def test_other_skeletons_equal_xautodls(skeleton: CellSkeleton) -> None:
    x = torch.randn(2, 3, skeleton.size, skeleton.size, dtype=torch.float64)
    for cell in SAMPLE[-3:]:
        ours = CellNetwork(cell, skeleton, Draw(0, momentum=0)).double()
        theirs = original(cell, skeleton, Draw(0, momentum=0)).double()
        with torch.no_grad():
            assert_outputs_equal(ours(x), theirs(x))


@each_cell
def test_output_shapes(cell: Cell) -> None:
    output = CellNetwork(cell, SKELETON, Draw(seed=0))(images(torch.float32))
    assert output.logits.shape == (6, 10)
    assert output.pooled.shape == (6, 16)
    assert [tuple(feature.shape) for feature in output.features] == [(6, 4, 8, 8), (6, 8, 4, 4), (6, 16, 2, 2)]
    torch.testing.assert_close(output.features[-1].mean((2, 3)), output.pooled)
    assert output.features[-1].min() >= 0


@pytest.mark.slow
@each_cell
def test_parameters_are_counted_by_the_closed_form(cell: Cell) -> None:
    executed = CellNetwork(cell, SKELETON, Draw(seed=0), sees="executed")
    live = CellNetwork(cell, SKELETON, Draw(seed=0))
    kept = [NONE] * 6
    for edge in cell.live_edges():
        kept[edge.position] = edge.operation
    assert sum(p.numel() for p in executed.parameters()) == count_parameters(cell, SKELETON)
    assert sum(p.numel() for p in live.parameters()) == count_parameters(Cell(tuple(kept)), SKELETON)


@each_cell
def test_relu_uses_are_the_convolutions_that_read_the_node(cell: Cell) -> None:
    for sees in ("function", "relus", "executed"):
        edges = cell.live_edges() if sees == "function" else cell.edges()
        readers = [edge.source for edge in edges if edge.operation in KERNEL]
        network = CellNetwork(cell, SKELETON, Draw(seed=0), sees)
        blocks = [block for block in network.cells if isinstance(block, CellBlock)]
        assert len(blocks) == 3
        for block in blocks:
            uses = {int(node): relu.uses for node, relu in block.relus.items() if isinstance(relu, NodeReLU)}
            assert uses == {node: readers.count(node) for node in set(readers)}


@each_cell
def test_each_relu_runs_once_in_a_pass(cell: Cell) -> None:
    network = CellNetwork(cell, SKELETON, Draw(seed=0), sees="executed")
    ran: list[nn.Module] = []
    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    for relu in relus:
        relu.register_forward_hook(lambda module, inputs, output: ran.append(module))
    network(images(torch.float32))
    assert sorted(map(id, ran)) == sorted(map(id, relus))


@pytest.mark.parametrize("build", [CellNetwork, original])
def test_momentum_0_leaves_the_running_statistics(build: Callable[[Cell, CellSkeleton, Draw], nn.Module]) -> None:
    network = build(Cell((CONV3,) * 6), SKELETON, Draw(seed=0, momentum=0))
    network(images(torch.float32))
    means, variances = (
        [tensor for name, tensor in network.named_buffers() if name.endswith(end)]
        for end in ("running_mean", "running_var")
    )
    assert len(means) == len(variances) == 1 + 3 * 6 + 2 * 2 + 1
    assert all((mean == 0).all() for mean in means)
    assert all((variance == 1).all() for variance in variances)


@pytest.mark.slow
def test_a_pass_leaves_the_images_as_they_were() -> None:
    x = images(torch.float32)
    for cell in SAMPLE:
        CellNetwork(cell, SKELETON, Draw(seed=0))(x)
        assert torch.equal(x, images(torch.float32))


def test_networks_of_one_supernet_share_their_weights() -> None:
    draw = Draw(seed=0)
    a = CellNetwork(Cell((CONV3,) * 6), SKELETON, draw)
    b = CellNetwork(Cell((CONV3, SKIP, SKIP, SKIP, SKIP, SKIP)), SKELETON, draw)
    theirs = dict(a.named_parameters())
    assert all(theirs[name] is parameter for name, parameter in b.named_parameters())
