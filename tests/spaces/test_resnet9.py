"""ResNet9 is what its formula says: parameters, maps and numbers, and a draw that no student shares."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from tiny import equal, state

from distill.process.stages import Tapped
from distill.teachers import NETWORKS, load_teacher, spec
from spaces.draw import Draw
from spaces.nb201.cell import cell_at
from spaces.nb201.network import CellNetwork
from spaces.resnet.network import ResNet, shape_named
from spaces.resnet.resnet9 import ResNet9

CONVS = {
    "stem": (3, 1),
    "widen0": (1, 2),
    "residual0/0": (2, 2),
    "residual0/1": (2, 2),
    "widen1": (2, 4),
    "widen2": (4, 8),
    "residual2/0": (8, 8),
    "residual2/1": (8, 8),
}
"""Channels that go in and come out, in units of those of the stem; but the stem reads three."""


def network(channels: int = 4, classes: int = 10, seed: int = 0, init: str = "kaiming") -> ResNet9:
    return ResNet9(channels, classes, Draw(seed, init, role="teacher "))


def convolution(of: ResNet9, place: str) -> torch.nn.Sequential:
    """The module of a place of `CONVS`."""
    if place == "stem":
        return of.stem
    found = of.widen[int(place[5:])] if place.startswith("widen") else of.residual[place[8]][int(place[10])]
    assert isinstance(found, torch.nn.Sequential)
    return found


def images(size: int, count: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(size), dtype=dtype)


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("channels", [1, 8, 16, 32])
def test_parameters_are_those_of_the_closed_form(channels: int, classes: int) -> None:
    """Convolutions 27 C and 9 times 2 + 8 + 32 + 2 * 4 + 2 * 64 of C^2; norms 2 * 35 C; classifier (8 C + 1) K."""
    C, found = channels, network(channels, classes)
    assert sum(p.numel() for p in found.parameters()) == 1602 * C**2 + 97 * C + (8 * C + 1) * classes
    convolutions = [module for module in found.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == len(CONVS) == 8
    for place, (i, o) in CONVS.items():
        conv, bn, relu = convolution(found, place)
        assert conv.weight.shape == (o * C, 3 if place == "stem" else i * C, 3, 3), place
        assert (conv.bias, conv.stride, conv.padding) == (None, (1, 1), (1, 1))
        assert bn.num_features == o * C
        assert isinstance(relu, torch.nn.ReLU)


@pytest.mark.parametrize("size", [8, 16, 24, 32])
def test_maps_are_halved_three_times_and_features_are_the_ends_of_the_stages(size: int) -> None:
    output = network(4, 7)(images(size))
    shapes = [(2, 4 * wide, size // part, size // part) for wide, part in ((2, 2), (4, 4), (8, 8))]
    assert [tuple(map(int, feature.shape)) for feature in output.features] == shapes
    assert output.features[-1].shape[-1] >= 1
    assert (output.pooled.shape, output.logits.shape) == ((2, 32), (2, 7))
    torch.testing.assert_close(output.pooled, output.features[-1].mean((2, 3)))


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network.startswith("resnet9-")])
def test_on_the_images_of_a_benchmark_no_map_is_below_1x1(name: str) -> None:
    plan = spec(name)
    built = plan.build()
    assert isinstance(built, ResNet9)
    output = built(images(plan.recipe.skeleton.size))
    sides = [feature.shape[-1] for feature in output.features]
    assert sides == [8, 4, 2]
    assert output.logits.shape == (2, plan.recipe.skeleton.classes)


def test_a_forward_pass_is_the_formula_written_out() -> None:
    found = network(3, 5).double().eval()
    generator = torch.Generator().manual_seed(1)
    for module in found.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                values.uniform_(0.5, 1.5, generator=generator)

    def block(place: str, x: torch.Tensor) -> torch.Tensor:
        conv, bn, _ = convolution(found, place)
        y = F.conv2d(x, conv.weight, padding=1)
        scale = bn.weight / (bn.running_var + bn.eps).sqrt()
        return (y * scale.view(-1, 1, 1) + (bn.bias - bn.running_mean * scale).view(-1, 1, 1)).clamp(min=0)

    def halved(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, :, y::2, z::2] for y in (0, 1) for z in (0, 1)]).amax(0)

    x = images(16, dtype=torch.double)
    one = halved(block("widen0", block("stem", x)))
    one = one + block("residual0/1", block("residual0/0", one))
    two = halved(block("widen1", one))
    three = halved(block("widen2", two))
    three = three + block("residual2/1", block("residual2/0", three))
    output = found(x)
    for feature, expected in zip(output.features, (one, two, three), strict=True):
        torch.testing.assert_close(feature, expected, rtol=1e-9, atol=1e-9)
    logits = three.mean((2, 3)) @ found.classifier.weight.T + found.classifier.bias
    torch.testing.assert_close(output.logits, logits, rtol=1e-9, atol=1e-9)


def test_every_parameter_is_trained() -> None:
    found = network(4, 10, init="default")
    found(images(16, 8)).logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in found.parameters())


@pytest.mark.parametrize("init", ["kaiming", "default"])
def test_weights_are_drawn_by_position_whatever_else_was_drawn(init: str) -> None:
    found, draw = network(4, 10, 3, init), Draw(3, init, role="teacher ")
    for place, (i, o) in CONVS.items():
        shape = (4 * o, 3 if place == "stem" else 4 * i, 3, 3)
        expected = draw.draw(f"resnet9/{place}", shape, shape[1] * 9)
        assert torch.equal(convolution(found, place)[0].weight, expected), place
    assert torch.equal(found.classifier.weight, draw.draw("resnet9/classifier", (10, 32), 32))
    assert bool(found.classifier.bias.any()) == (init == "default")
    after_others = Draw(3, init, role="teacher ")
    ResNet(shape_named("resnet20", 10), after_others)
    assert equal(state(ResNet9(4, 10, after_others)), state(found))


def beginnings(of: torch.nn.Module) -> set[tuple[float, ...]]:
    """The first nine values of every tensor that is drawn."""
    return {tuple(value.flatten()[:9].tolist()) for value in state(of).values() if value.ndim in (2, 4)}


@pytest.mark.slow
def test_no_weight_is_that_of_a_student_of_another_seed_or_of_another_teacher() -> None:
    """Neither of equal shapes, which only the keys of the draws keep apart, nor in how tensors of others begin."""
    found = network(8)
    drawn = [name for name, value in state(found).items() if value.ndim in (2, 4)]
    assert len(drawn) == len(beginnings(found)) == 9
    for other in (ResNet9(8, 10, Draw(0, "kaiming")), network(8, seed=1), network(8, init="default")):
        assert not any(torch.equal(state(found)[name], state(other)[name]) for name in drawn)
    skeleton = spec("cifar10-16px").recipe.skeleton
    for role in ("", "teacher "):
        cell = CellNetwork(cell_at(1462), skeleton, Draw(0, "kaiming", role=role))
        resnet = ResNet(shape_named("resnet20", 10), Draw(0, "kaiming", role=role))
        assert not beginnings(found) & (beginnings(cell) | beginnings(resnet))


def test_the_untrained_teacher_of_a_name_is_this_network_frozen() -> None:
    teacher = load_teacher("random:cifar10-16px-resnet9-4")
    assert equal(state(teacher.network), state(network(4, 10, 0, "kaiming")))
    assert not any(module.training for module in teacher.network.modules())
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    assert load_teacher("random:cifar10-16px-resnet9-8").hash != teacher.hash
    logits = teacher.network(images(16)).logits
    assert all(map(math.isfinite, logits.flatten().tolist()))


def test_what_distillation_reads_of_a_teacher_is_there() -> None:
    found, x = network(4, 10), images(16)
    seen = Tapped(found).look(x)
    output = found.eval()(x)
    assert torch.equal(seen.logits, output.logits)
    assert [tuple(map(int, stage.shape)) for stage in seen.features] == [(2, 8, 8, 8), (2, 16, 4, 4), (2, 32, 2, 2)]
    assert torch.equal(seen.stem, found.stem(x))
    assert torch.equal(seen.classifier, found.classifier.weight)
