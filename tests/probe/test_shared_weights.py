"""A module under two names, and a parameter that two layers hold: each counts once, and stays what it was."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from stacks import StackSkeleton, drawn, space_probe
from torch import nn

import diswot_bench as db
from images.base import Batch
from probe.module.probe import module_probe
from probe.needs import NEEDS
from probe.network import Probe
from probe.stand_ins import run_with
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import ModuleScore, score_modules
from proxies.testing import make_batch
from spaces.draw import Draw
from spaces.output import Output
from spaces.space import Skeleton

EVERY = registry.create_all("all")


class Stack(nn.Module):
    """Convolution, batch norm, ReLU, four times; `doubled` gives the first a second name, `tied` the last two one
    weight."""

    def __init__(self, skeleton: Skeleton, draw: Draw, doubled: bool = False, tied: bool = False) -> None:
        super().__init__()
        C = skeleton.channels
        widths = ((3, C, 1), (C, C, 2), (C, C, 1), (C, C, 1))
        self.layers = nn.ModuleList(
            nn.Sequential(*draw.conv_bn(f"layer {place}", i, o, 3, stride), nn.ReLU())
            for place, (i, o, stride) in enumerate(widths)
        )
        if doubled:
            self.stem = self.layers[0]
        if tied:
            self.layers[3][0].weight = self.layers[2][0].weight  # type: ignore[index, union-attr]
        self.classifier = draw.linear("classifier", C, skeleton.classes)

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.layers)

    def forward(self, images: torch.Tensor) -> Output:
        x, maps = images, []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        pooled = x.mean((2, 3))
        return Output(self.classifier(pooled), pooled, (maps[0], maps[3]))


def stack(exact: bool = False, **how: bool) -> Stack:
    network = Stack(StackSkeleton(), drawn(), **how)
    return network.double() if exact else network


def exact_batch() -> Batch:
    given = make_batch(6)
    return Batch(given.images.double(), given.labels, given.hash)


def probe_of(network: nn.Module, batch: Batch, needs: Iterable[str], **how: bool) -> Probe:
    """As of a network of a space."""
    return space_probe(partial(Stack, **how), batch, needs, network)


def held(network: nn.Module) -> list[tuple[str, int, torch.dtype]]:
    """All that stands in all places, those under second names too."""
    parameters = network.named_parameters(remove_duplicate=False)
    buffers = network.named_buffers(remove_duplicate=False)
    return [(name, id(one), one.dtype) for name, one in (*parameters, *buffers)]


SHARED: list[dict[str, bool]] = [{"doubled": True}, {"tied": True}, {"doubled": True, "tied": True}]


@pytest.mark.parametrize("how", SHARED, ids=" and ".join)
def test_every_place_gets_the_stand_in_and_its_own_tensor_back(how: dict[str, bool]) -> None:
    network = stack(**how)
    own = held(network)
    seen: list[torch.dtype] = []
    network.layers[0].register_forward_pre_hook(lambda *_: seen.extend(one[2] for one in held(network)))
    tensors = {
        name: one.detach().double()
        for name, one in (*network.named_parameters(), *network.named_buffers())
        if one.is_floating_point()
    }
    images = exact_batch().images
    found = run_with(network, tensors, images).logits
    assert held(network) == own
    assert set(seen) == {torch.float64, torch.int64}  # the counters of batch norms
    assert found.equal(copy.deepcopy(network).double()(images).logits)


@pytest.mark.slow
@pytest.mark.parametrize("how", SHARED, ids=" and ".join)
def test_proxies_leave_the_network_of_a_space_as_it_was(how: dict[str, bool]) -> None:
    network, batch = stack(**how), make_batch(6)
    before = held(network)
    for proxy in EVERY:
        with suppress(NotApplicable):
            proxy.score(*(probe_of(network, batch, NEEDS, **how) for _ in range(2)))
        assert held(network) == before, proxy.name


def scores(network: nn.Module, **how: bool) -> dict[str, float]:
    """Of every proxy that is applicable, read of one probe of a network of a space."""
    batch = make_batch(6)
    student, teacher = probe_of(network, batch, NEEDS, **how), probe_of(stack(), batch, NEEDS)
    found: dict[str, float] = {}
    for proxy in EVERY:
        with suppress(NotApplicable):
            found[proxy.label] = proxy.score(student, teacher)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
def test_a_second_name_of_a_module_changes_no_score(tied: bool) -> None:
    doubled = scores(stack(doubled=True, tied=tied), doubled=True, tied=tied)
    single = scores(stack(tied=tied), tied=tied)
    assert doubled == pytest.approx(single, rel=1e-9, nan_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
def test_a_second_name_of_a_module_changes_no_score_of_a_network_of_ones_own(tied: bool) -> None:
    found = [
        score_modules(EVERY, stack(doubled=doubled, tied=tied), make_batch(6), teacher=stack(), second=make_batch(6, 1))
        for doubled in (False, True)
    ]
    for label, one in found[0].items():
        other = found[1][label]
        if isinstance(one, ModuleScore):
            assert isinstance(other, ModuleScore), f"{label}: {other}"
            assert other.value == pytest.approx(one.value, rel=1e-6), label
        else:
            assert str(one) == str(other)


# a parameter that two layers hold: the probe of a space's network, and that of any network


def of_space(network: nn.Module, *needs: str) -> Probe:
    return probe_of(network, exact_batch(), needs, tied=True)


def of_any(network: nn.Module, *needs: str) -> Probe:
    return module_probe(network, exact_batch(), needs)


TIED = "layers.2.0.weight"
both = pytest.mark.parametrize("probe", [of_space, of_any])
Observe = Callable[..., Probe]


@both
def test_a_tied_weight_is_one_weight_and_its_gradient_that_of_both_uses(probe: Observe) -> None:
    network = stack(exact=True, tied=True)
    found = probe(network, "forward", "gradients", "weights")
    names = ["layers.0.0.weight", "layers.1.0.weight", TIED, "classifier.weight"]
    assert list(found.weights) == names
    assert found.classifier_weight.shape == (5, 4)
    batch = exact_batch()
    apart = copy.deepcopy(network)
    last: Any = apart.layers[3][0]  # type: ignore[index]
    last.weight = nn.Parameter(last.weight.detach().clone())
    F.cross_entropy(apart(batch.images).logits, batch.labels).backward()
    expected = apart.get_parameter(TIED).grad + last.weight.grad
    torch.testing.assert_close(found.gradients[TIED], expected)


@both
def test_gates_of_a_tied_weight_are_summed_over_its_uses(probe: Observe) -> None:
    network, batch = stack(exact=True, tied=True), exact_batch()
    found = probe(network, "forward", "gate_gradients").gate_gradients
    outputs: list[torch.Tensor] = []
    copied = copy.deepcopy(network)
    for place in (2, 3):
        conv = copied.layers[place][0]  # type: ignore[index]
        conv.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    loss = F.cross_entropy(copied(batch.images).logits, batch.labels)
    gradients = torch.autograd.grad(loss, outputs)
    expected = sum((a * g).sum((2, 3)) for a, g in zip(outputs, gradients, strict=True))
    torch.testing.assert_close(found[TIED], expected)


@both
def test_the_hessian_of_a_tied_weight_is_that_of_both_uses(probe: Observe) -> None:
    network, batch = stack(exact=True, tied=True), exact_batch()
    found = probe(network, "forward", "gradients", "hessian_gradient").hessian_gradient
    names = list(found)

    def gradient(step: float, along: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        moved = copy.deepcopy(network)
        with torch.no_grad():
            for name, direction in along.items():
                moved.get_parameter(name).add_(step * direction)
        loss = F.cross_entropy(moved(batch.images).logits, batch.labels)
        return dict(zip(names, torch.autograd.grad(loss, [moved.get_parameter(name) for name in names]), strict=True))

    along = gradient(0, {})
    ahead, behind = gradient(1e-6, along), gradient(-1e-6, along)
    for name in names:
        torch.testing.assert_close(found[name], (ahead[name] - behind[name]) / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@both
def test_signs_of_a_tied_weight_are_those_of_the_sum_over_its_uses(probe: Observe) -> None:
    network, batch = stack(exact=True, tied=True), exact_batch()
    found = probe(network, "forward", "weights").sign_sums()
    expected = torch.zeros(4, 4, 3, 3, dtype=torch.float64)
    for image, label in zip(batch.images.split(1), batch.labels.split(1), strict=True):
        copied = copy.deepcopy(network)
        loss = F.cross_entropy(copied(image).logits, label)
        expected += torch.autograd.grad(loss, copied.get_parameter(TIED))[0].sign()
    assert found[TIED].equal(expected)


@pytest.mark.slow
@both
def test_the_jacobian_in_a_tied_weight_is_that_of_both_uses(probe: Observe) -> None:
    network, batch = stack(exact=True, tied=True), exact_batch()
    place = [name for name, _ in network.named_parameters()].index(TIED)
    _, jacobian = probe(network, "forward", "weights").logit_jacobian(place + 1)
    still, logits = copy.deepcopy(network).eval(), []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            still.get_parameter(TIED)[0, 0, 0, 0] += step
            logits.append(still(batch.images).logits)
    torch.testing.assert_close(jacobian[:, :, place], (logits[0] - logits[1]) / 2e-6, rtol=1e-5, atol=1e-8)


@both
def test_the_flow_through_a_tied_weight_is_that_of_both_uses(probe: Observe) -> None:
    network = stack(exact=True, tied=True)
    weights = {name: one.detach().abs().requires_grad_() for name, one in network.named_parameters()}
    x = torch.ones(1, 3, 8, 8, dtype=torch.float64)
    for place, stride in enumerate((1, 2, 1, 1)):
        x = F.relu(F.conv2d(x, weights[f"layers.{min(place, 2)}.0.weight"], stride=stride, padding=1))
    total = F.linear(x.mean((2, 3)), weights["classifier.weight"], weights["classifier.bias"]).sum()
    layers = [weights[name] for name in weights if weights[name].ndim > 1]
    expected = sum((w * g).abs().sum().item() for w, g in zip(layers, torch.autograd.grad(total, layers), strict=True))
    found = registry.create("synflow").score(*(probe(network, "weights") for _ in range(2)))
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_modules_that_run_twice_are_seen_twice() -> None:
    class Twice(Stack):
        """The last layer runs in the place of the one before, too."""

        def forward(self, images: torch.Tensor) -> Output:
            x = self.layers[1](self.layers[0](images))
            for _ in range(2):
                x = self.layers[3](x)
            pooled = x.mean((2, 3))
            return Output(self.classifier(pooled), pooled, (x,))

    network = Twice(StackSkeleton(), drawn()).double()
    name = "layers.3.0.weight"
    ours, own = of_space(network, "forward", "gate_gradients", "weights"), of_any(network, "gate_gradients", "weights")
    torch.testing.assert_close(ours.gate_gradients[name], own.gate_gradients[name])
    assert ours.sign_sums()[name].equal(own.sign_sums()[name])
    for one, other in zip(ours.logit_jacobian(9), own.logit_jacobian(9), strict=True):
        torch.testing.assert_close(one, other)


class Sliced(nn.Module):
    """Reads the first `count` rows of a larger convolution's weight."""

    def __init__(self, count: int, whole: int) -> None:
        super().__init__()
        self.conv, self.classifier = nn.Conv2d(3, whole, 3, bias=False), nn.Linear(count, 4)
        self.count = count

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.classifier(F.conv2d(images, self.conv.weight[: self.count]).relu().mean((2, 3)))
        return found


@pytest.mark.slow
def test_the_weights_of_a_channel_are_not_counted_where_a_part_of_them_is_read() -> None:
    images, labels = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4
    part, whole = Sliced(4, 8), Sliced(4, 4)
    with torch.no_grad():
        whole.conv.weight.copy_(part.conv.weight[:4])
        whole.classifier.load_state_dict(part.classifier.state_dict())
    assert db.score("snip", part, images, labels) == pytest.approx(db.score("snip", whole, images, labels))
    with pytest.raises(db.NotApplicable, match=r"of conv\.weight a part is read"):
        db.score("fisher", part, images, labels)
