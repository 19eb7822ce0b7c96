"""M networks side by side are, in values, gradients, statistics and training, the M networks one by one."""

from __future__ import annotations

import pytest
import torch
from tiny import CELL, TINY, equal, share, stack_of, state, student
from torch import nn

from distill.recipes import ALL_3X3
from spaces.draw import Draw
from spaces.nb201.cell import Cell
from spaces.nb201.network import CellNetwork
from spaces.output import Output
from spaces.stack import Stack, unstack

CELLS = {
    "mixed": CELL,
    "all 3x3": Cell.parse(ALL_3X3),
    "pools and skips": Cell.parse(
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    ),
    "all none": Cell.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"),
    "disconnected": Cell.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"),
}
SETTINGS = [([0, 1, 2, 3], 1), ([0, 1, 2, 3], 2), ([5, 5, 6, 6], 2), ([4, 4, 4], 1), ([7, 8, 9], 3), ([3], 1)]
"""Seeds of the networks and the number of streams of images."""


def images_of(streams: int, count: int = 6, step: int = 0) -> torch.Tensor:
    """[streams, B, 3, 8, 8] float64, of each stream its own."""
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randn(streams, count, 3, 8, 8, generator=generator, dtype=torch.double)


def side_by_side(images: torch.Tensor) -> torch.Tensor:
    return torch.cat(list(images), 1)


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def gradient_of(parameter: torch.Tensor) -> torch.Tensor:
    """Zero where nothing that was computed depends on the parameter."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def of_network(output: Output, number: int, of: int) -> list[torch.Tensor]:
    """Logits, pooled features and feature maps of one network of a stack."""
    return [unstack(value, of)[number] for value in (output.logits, output.pooled, *output.features)]


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize(("seeds", "streams"), SETTINGS)
def test_outputs_gradients_and_statistics_are_those_of_the_networks_apart(
    cell: Cell, seeds: list[int], streams: int
) -> None:
    count = len(seeds)
    stack, apart = stack_of(seeds, streams, cell).double(), [student(cell=cell, seed=seed).double() for seed in seeds]
    generator = torch.Generator().manual_seed(9)
    weights = torch.randn(count, 6, 10, generator=generator, dtype=torch.double)
    for step in range(2):
        images = images_of(streams, step=step)
        together = stack(side_by_side(images))
        (unstack(together.logits, count) * weights).sum().backward()
        for number, network in enumerate(apart):
            alone = network(images[number * streams // count])
            (alone.logits * weights[number]).sum().backward()
            parts = zip(of_network(together, number, count), (alone.logits, alone.pooled, *alone.features), strict=True)
            for found, expected in parts:
                assert found.shape == expected.shape
                close(found, expected)
    parameters, values = dict(stack.named_parameters()), stack.state_dict()
    for number, network in enumerate(apart):
        assert parameters.keys() == dict(network.named_parameters()).keys()
        for name, parameter in network.named_parameters():
            close(share(gradient_of(parameters[name]), number, count), gradient_of(parameter).reshape(-1))
        moved = [name for name in values if "running" in name or "tracked" in name]
        assert moved
        for name in moved:
            close(share(values[name], number, count), network.state_dict()[name].reshape(-1))
    stack.eval()
    images = images_of(streams, step=3)
    together = stack(side_by_side(images))
    for number, network in enumerate(apart):
        close(of_network(together, number, count)[0], network.eval()(images[number * streams // count]).logits)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "streams"), SETTINGS)
def test_a_stack_trained_is_its_networks_trained_apart(seeds: list[int], streams: int) -> None:
    count = len(seeds)
    stack, apart = stack_of(seeds, streams).double(), [student(seed=seed).double() for seed in seeds]
    optimisers = [
        torch.optim.SGD(each.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)
        for each in (stack, *apart)
    ]
    for step in range(4):
        images = images_of(streams, step=step)
        outputs = [stack(side_by_side(images))] + [
            network(images[number * streams // count]) for number, network in enumerate(apart)
        ]
        for optimiser, output in zip(optimisers, outputs, strict=True):
            optimiser.zero_grad()
            output.logits.square().sum().backward()
            optimiser.step()
    values = state(stack)
    for number, network in enumerate(apart):
        for name, value in state(network).items():
            close(share(values[name], number, count), value.reshape(-1), 1e-9)
    assert not torch.equal(apart[0].classifier.weight, student(seed=seeds[0]).double().classifier.weight)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "streams"), SETTINGS)
def test_in_single_precision_the_outputs_differ_by_rounding_alone(seeds: list[int], streams: int) -> None:
    images = images_of(streams).float()
    stack = stack_of(seeds, streams)
    together = stack(side_by_side(images))
    assert together.logits.dtype == torch.float32
    for number, seed in enumerate(seeds):
        alone = student(seed=seed)(images[number * streams // len(seeds)])
        close(of_network(together, number, len(seeds))[0], alone.logits, 1e-4)


def test_networks_of_equal_seeds_and_images_are_equal_and_of_other_seeds_are_not() -> None:
    logits = unstack(stack_of([1, 1, 2])(side_by_side(images_of(1).float())).logits, 3)
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


@pytest.mark.slow
def test_a_stack_starts_from_its_draws_bit_for_bit_in_channels_last() -> None:
    seeds = [3, 0, 5]
    values = state(stack_of(seeds))
    for number, seed in enumerate(seeds):
        for name, value in state(student(seed=seed)).items():
            assert torch.equal(share(values[name], number, 3), value.reshape(-1)), name
    for module in stack_of(seeds).modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
def test_training_a_stack_leaves_the_draws_untouched_and_is_no_mixture() -> None:
    draws = [Draw(seed) for seed in (0, 1)]
    before = [state(CellNetwork(CELL, TINY.skeleton, draw)) for draw in draws]
    stack = CellNetwork(CELL, TINY.skeleton, Stack(draws))
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(1)
    stack(side_by_side(images_of(1).float()))
    assert all(
        equal(old, state(CellNetwork(CELL, TINY.skeleton, draw))) for old, draw in zip(before, draws, strict=True)
    )


def test_a_network_of_a_stack_does_not_feel_the_others() -> None:
    """Its gradient with respect to another's parameters and images is zero, exactly."""
    stack = stack_of([0, 1, 2, 3], streams=2).double()
    images = images_of(2).requires_grad_()
    unstack(stack(side_by_side(images)).logits, 4)[1].square().sum().backward()
    assert images.grad is not None
    assert images.grad[0].any()
    assert not images.grad[1].any()
    for name, parameter in stack.named_parameters():
        assert parameter.grad is not None
        for other in (0, 2, 3):
            assert not share(parameter.grad, other, 4).any(), name


def test_unstack_is_a_view_whose_first_dimension_is_the_networks_in_their_order() -> None:
    values = torch.arange(2 * 6 * 3).reshape(2, 6, 3)
    apart = unstack(values, 3)
    assert apart.shape == (3, 2, 2, 3)
    for number in range(3):
        assert torch.equal(apart[number], values[:, 2 * number : 2 * number + 2])
    apart[1].zero_()
    assert not values[:, 2:4].any()
    assert values[:, 4:].all()
