"""A probe tells the truth about its network, does the work once, and hands out only what was asked for in advance."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from images.base import Batch
from probe.needs import BACKWARD, NotApplicable
from probe.network import Probe
from proxies import registry
from proxies.testing import DEGENERATE, ORDINARY, TEACHER, make_batch, make_probe
from spaces.draw import INITS, Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.xautodl_backbone import XautodlNetwork
from spaces.output import Output

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=8)
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
"""Live is only the last node's convolution; of the two others each feeds a node that leads nowhere."""

SKIP = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
"""Each cell is the identity, its output the very tensor that came in."""


def exact_batch(size: int = 6, seed: int = 0) -> Batch:
    batch = make_batch(size, seed)
    return Batch(batch.images.double(), batch.labels, batch.hash)


def exact_probe(cell: str, needs: Iterable[str], init: str = "default", sees: str = "executed") -> Probe:
    """A probe of a float64 network on a float64 batch."""
    parsed, batch = Cell.parse(cell), exact_batch()
    network = CellNetwork(parsed, SKELETON, Draw(0, init, momentum=0.0), sees).double()
    return Probe(parsed, SKELETON, lambda: network, lambda: batch, needs)


@pytest.fixture
def backward_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each backward pass since."""
    passes: list[int] = []

    def counting(run: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            passes.append(1)
            return run(*args, **kwargs)

        return counted

    monkeypatch.setattr(torch.autograd, "grad", counting(torch.autograd.grad))
    monkeypatch.setattr(torch.Tensor, "backward", counting(torch.Tensor.backward))
    return passes


def count_forward_passes(probe: Probe) -> list[int]:
    passes: list[int] = []
    probe._network.register_forward_pre_hook(lambda *_: passes.append(1))
    return passes


# what it says of the network


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("cell", [*ORDINARY, *DEGENERATE])
def test_the_classifier_gradient_is_autograds(cell: str, init: str) -> None:
    probe = exact_probe(cell, ("forward",), init)
    weight = probe._network.classifier.weight
    assert isinstance(weight, nn.Parameter)
    loss = cross_entropy(probe._network(probe.images).logits, probe.labels)
    (expected,) = torch.autograd.grad(loss, weight)
    torch.testing.assert_close(probe.classifier_gradient, expected, rtol=1e-10, atol=1e-14)
    assert probe.classifier_gradient.shape == (SKELETON.classes, SKELETON.width)


def test_the_classifier_gradient_counts_a_label_as_often_as_it_occurs() -> None:
    batch = exact_batch()
    labels = torch.tensor([3, 3, 3, 3, 0, 3])
    network = CellNetwork(Cell.parse(ORDINARY[0]), SKELETON, Draw(0, momentum=0.0)).double()
    probe = Probe(
        network.cell, SKELETON, lambda: network, lambda: Batch(batch.images, labels, ""), ("forward", "gradients")
    )
    expected = probe.gradients["classifier.weight"]
    torch.testing.assert_close(probe.classifier_gradient, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("cell", [*ORDINARY, DEAD])
def test_loss_and_gradients_are_autograds(cell: str) -> None:
    probe = exact_probe(cell, ("forward", "gradients"))
    loss = cross_entropy(probe._network(probe.images).logits, probe.labels)
    loss.backward()
    torch.testing.assert_close(probe.loss, loss.detach(), rtol=1e-12, atol=0)
    parameters = dict(probe._network.named_parameters())
    assert probe.gradients.keys() == parameters.keys()
    for name, parameter in parameters.items():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(probe.gradients[name], expected, rtol=1e-9, atol=1e-13)


def test_parameters_of_dead_operations_have_gradients_of_zeros() -> None:
    gradients = exact_probe(DEAD, ("forward", "gradients")).gradients
    dead = [name for name in gradients if ".layers.0." in name or ".layers.1." in name]
    live = [name for name in gradients if ".layers.3." in name and name.endswith("op.1.weight")]
    assert len(dead) == 3 * 2 * 3  # three blocks, two convolutions, weight and the batch norm's two
    assert len(live) == 3
    assert not any(gradients[name].any() for name in dead)
    assert all(gradients[name].any() for name in live)


@pytest.mark.parametrize("cell", [*ORDINARY, *DEGENERATE])
def test_features_pooled_and_logits_fit_each_other(cell: str) -> None:
    probe = exact_probe(cell, ("forward",))
    C, size = SKELETON.channels, SKELETON.size
    shapes = [(6, C, size, size), (6, 2 * C, size // 2, size // 2), (6, 4 * C, size // 4, size // 4)]
    assert [tuple(feature.shape) for feature in probe.features] == shapes
    torch.testing.assert_close(probe.pooled, probe.features[-1].mean((2, 3)))
    bias = probe._network.classifier.bias
    torch.testing.assert_close(probe.logits, probe.pooled @ probe.classifier_weight.T + bias.detach())


def test_weights_are_those_of_convolutions_and_the_classifier_in_order() -> None:
    probe = exact_probe(ORDINARY[0], ("weights",))
    parameters = dict(probe._network.named_parameters())
    expected = [name for name, value in parameters.items() if value.ndim in (2, 4)]
    assert list(probe.weights) == expected
    assert all(torch.equal(probe.weights[name], parameters[name]) for name in expected)
    assert torch.equal(probe.classifier_weight, parameters["classifier.weight"])


def kernel(codes: Iterable[tuple[torch.Tensor, int]]) -> torch.Tensor:
    """Units on which two images agree, [B, B], summed over ReLUs."""
    total = torch.zeros((), dtype=torch.float64)
    for code, uses in codes:
        c = code.double()
        total = total + uses * (c @ c.T + (1 - c) @ (1 - c).T)
    return total


@pytest.mark.parametrize("cell", [*ORDINARY, *DEGENERATE, DEAD, *map(str, random.Random(4).sample(cells(), 12))])
def test_relu_codes_give_the_kernel_of_every_relu_of_the_original_network(cell: str) -> None:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    probe = exact_probe(cell, ("relu_codes",))
    original = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0)).double()
    expected: list[tuple[torch.Tensor, int]] = []
    for module in original.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, inputs: expected.append(((inputs[0] > 0).flatten(1), 1)))
    original(probe.images)
    assert sum(uses for _, uses in probe.relu_codes) == len(expected)
    assert all(code.dtype == torch.bool for code, _ in probe.relu_codes)
    assert torch.equal(kernel(probe.relu_codes), kernel(expected))


class Rectifier(nn.Module):
    """A network of one ReLU, on the image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, images: torch.Tensor) -> Output:
        features = self.relu(images)
        pooled = features.mean((2, 3))
        return Output(pooled, pooled, (features,))


def test_a_unit_whose_input_is_exactly_zero_is_off() -> None:
    images = torch.tensor([0.0, 1.0, -1.0, -0.0]).view(2, 1, 1, 2)
    batch = Batch(images, torch.tensor([0, 0]), "")
    probe = Probe(Cell.parse(TEACHER), SKELETON, Rectifier, lambda: batch, ("relu_codes",))
    ((code, uses),) = probe.relu_codes
    assert code.tolist() == [[False, True], [False, False]]
    assert uses == 1


@pytest.mark.parametrize("cell", [*ORDINARY, *DEGENERATE, DEAD])
def test_gates_move_the_loss_as_the_weights_behind_them_do(cell: str) -> None:
    """A gate of all images on a channel scales its weights, and its bias: sum_b d loss / d gate = sum w dL/dw."""
    probe = exact_probe(cell, ("forward", "gradients", "gate_gradients"))
    gradients, gates = probe.gradients, probe.gate_gradients
    assert list(gates) == list(probe.weights)
    for name, weight in probe.weights.items():
        moved = (weight * gradients[name]).flatten(1).sum(1)
        if name == "classifier.weight":
            moved += probe._network.get_parameter("classifier.bias").detach() * gradients["classifier.bias"]
        assert gates[name].shape == (6, len(weight))
        torch.testing.assert_close(gates[name].sum(0), moved, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("cell", [ORDINARY[1], DEAD, DEGENERATE[1]])
def test_input_gradients_are_the_slope_of_the_logits_sum_in_every_image(cell: str) -> None:
    probe = exact_probe(cell, ("forward", "input_gradients"))
    direction = torch.randn(probe.images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    ahead, behind = (probe._network(probe.images + step * direction).logits.sum().item() for step in (1e-6, -1e-6))
    slope = (probe.input_gradients * direction.flatten(1)).sum().item()
    assert probe.input_gradients.shape == (6, 3 * SKELETON.size**2)
    assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("cell", [*ORDINARY, DEAD])
def test_the_hessian_gradient_is_half_the_slope_of_the_squared_gradient(cell: str) -> None:
    probe = exact_probe(cell, ("forward", "hessian_gradient"))
    weights = [probe._network.get_parameter(name) for name in probe.weights]
    loss = cross_entropy(probe._network(probe.images).logits, probe.labels)
    gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
    half = torch.stack([gradient.square().sum() for gradient in gradients]).sum() / 2
    expected = torch.autograd.grad(half, weights, materialize_grads=True)
    assert list(probe.hessian_gradient) == list(probe.weights)
    for found, wanted in zip(probe.hessian_gradient.values(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("needs", [("blocks",), ("blocks", "gradients"), ("blocks", "block_gradients")])
@pytest.mark.parametrize("cell", [*ORDINARY, *DEGENERATE, DEAD, SKIP])
def test_blocks_are_what_the_original_networks_stem_and_blocks_put_out(cell: str, needs: tuple[str, ...]) -> None:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    probe = exact_probe(cell, needs)
    original = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0)).double()
    theirs = Probe(probe.cell, SKELETON, lambda: original, lambda: probe._batch, ("blocks",)).blocks
    features = original.inner.stem(probe.images)
    for mine, other, block in zip(probe.blocks, theirs, (*original.inner.cells, nn.Identity()), strict=True):
        torch.testing.assert_close(mine, features, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(other, features, rtol=1e-12, atol=1e-13)
        features = block(features).detach()


@pytest.mark.parametrize("needs", [("block_gradients",), ("blocks", *BACKWARD)])
@pytest.mark.parametrize("cell", [*ORDINARY, *DEGENERATE, DEAD, SKIP])
def test_block_gradients_are_those_of_each_block_alone(cell: str, needs: tuple[str, ...]) -> None:
    probe = exact_probe(cell, needs)
    maps = exact_probe(cell, ("blocks",)).blocks
    blocks = list(probe._network.get_submodule("cells").children())
    assert len(blocks) == 5
    for block, before, after, found in zip(blocks, maps[:-1], maps[1:], probe.block_gradients, strict=True):
        assert found.output.shape == after.shape
        start = before.clone().requires_grad_()
        product = (block(start) * found.output).sum() + 0 * start.sum()
        (expected,) = torch.autograd.grad(product, start)
        torch.testing.assert_close(found.input, expected, rtol=1e-9, atol=1e-12)


def test_a_block_passes_all_or_nothing_of_its_gradient() -> None:
    passed = exact_probe(SKIP, ("block_gradients",)).block_gradients
    assert [torch.equal(*pair) for pair in passed] == [True, False, True, False, True]
    for cell in (DEGENERATE[0], DEGENERATE[2]):
        stopped = exact_probe(cell, ("block_gradients",)).block_gradients
        assert [bool(pair.input.any()) for pair in stopped] == [False, True, False, True, False]


@pytest.mark.slow
def test_signs_are_fair_and_the_same_for_every_network_of_a_batch() -> None:
    first = make_probe(ORDINARY[0], make_batch(64), ("block_gradients",)).block_gradients
    torch.manual_seed(9)
    state = torch.get_rng_state()
    second = make_probe(ORDINARY[1], make_batch(64), ("block_gradients",)).block_gradients
    assert torch.equal(torch.get_rng_state(), state)
    elsewhere = make_probe(ORDINARY[0], make_batch(64, seed=1), ("block_gradients",)).block_gradients
    assert not any(torch.equal(a.output, b.output) for a, b in zip(first, elsewhere, strict=True))
    for mine, other in zip(first, second, strict=True):
        assert torch.equal(mine.output, other.output)
        assert set(mine.output.unique().tolist()) == {-1.0, 1.0}
        assert abs(mine.output.mean().item()) < 4 / mine.output.numel() ** 0.5
    channels = first[0].output.movedim(1, -1).flatten(0, 2)
    torch.testing.assert_close(channels.T @ channels / len(channels), torch.eye(4), rtol=0, atol=0.08)
    assert first[1].output.shape == first[2].output.shape
    assert not torch.equal(first[1].output, first[2].output)


@pytest.mark.parametrize("need", ["blocks", "block_gradients"])
def test_a_network_of_other_parts_has_no_blocks(need: str) -> None:
    batch = Batch(torch.zeros(2, 3, 8, 8), torch.tensor([0, 0]), "")
    network = Rectifier()
    probe = Probe(Cell.parse(TEACHER), SKELETON, lambda: network, lambda: batch, (need, "relu_codes"))
    with pytest.raises(NotApplicable, match="Rectifier has no list `blocks`"):
        getattr(probe, need)
    assert not network.relu._forward_pre_hooks


# what it costs


BACKWARD_PASSES = {
    "snip,plain,grad_norm": 1,
    "fisher": 1,
    "snip,fisher": 1,
    "jacov,epe_nas": 1,
    "snip,jacov": 2,
    "grasp": 2,
    "az_expressivity,az_progressivity": 0,
    "az_expressivity,az_trainability": 5,  # each of the five blocks by itself
    "snip,fisher,grasp": 2,
    "snip,plain,grad_norm,fisher,grasp,jacov,epe_nas,nwot,diswot": 3,
}


@pytest.mark.parametrize(("text", "backward"), BACKWARD_PASSES.items())
def test_a_backward_pass_serves_all_that_differentiate_the_same(
    text: str, backward: int, backward_passes: list[int]
) -> None:
    readers = registry.create_all(text)
    needs = {need for proxy in readers for need in proxy.needs}
    student, teacher = make_probe(ORDINARY[1], make_batch(6), needs), make_probe(TEACHER, make_batch(6), needs)
    passes = count_forward_passes(student)
    for proxy in (*readers, *reversed(readers)):
        proxy.score(student, teacher)
    assert len(passes) == 1
    assert len(backward_passes) == backward


@pytest.mark.parametrize(
    "needs",
    [("gradients",), ("gradients", "forward", "relu_kernel"), ("gate_gradients",), ("block_gradients", "blocks")],
)
def test_a_graph_that_nobody_else_needs_is_gone_after_the_backward_pass(needs: tuple[str, ...]) -> None:
    probe = make_probe(ORDINARY[1], make_batch(6), needs)
    assert getattr(probe, needs[0])
    with pytest.raises(RuntimeError, match="second time"):
        probe._pass.output.logits.sum().backward()


def test_without_need_the_images_are_no_leaf_and_no_output_is_kept() -> None:
    probe = make_probe(ORDINARY[1], make_batch(6), ("forward", "gradients"))
    assert probe.gradients
    assert not probe._input.requires_grad
    assert not probe._pass.layers
    assert not probe._pass.blocks


def test_what_was_differentiated_is_freed_with_the_probe() -> None:
    probe = make_probe(ORDINARY[1], make_batch(6), BACKWARD)
    assert all(getattr(probe, need) is not None for need in BACKWARD)
    kept = weakref.ref(dict(probe._pass.layers)["classifier.weight"])
    gc.disable()  # by counting references, not when the collector comes by
    try:
        del probe
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_one_forward_and_one_backward_pass_serve_several_proxies(backward_passes: list[int]) -> None:
    readers = registry.create_all("diswot,diswot:variant=paper,nwot,snip,grad_norm,kd,params")
    needs = {need for proxy in readers for need in proxy.needs}
    batch = make_batch(6)
    student = make_probe(ORDINARY[1], batch, needs, sees="executed")
    teacher = make_probe(TEACHER, batch, needs, sees="executed", teacher=True)
    passes = count_forward_passes(student), count_forward_passes(teacher)
    for proxy in readers:
        proxy.score(student, teacher)
    assert [len(each) for each in passes] == [1, 1]
    assert len(backward_passes) == 1
    for proxy in readers:
        proxy.score(student, teacher)
    assert [len(each) for each in passes] == [1, 1]
    assert len(backward_passes) == 1


@pytest.mark.slow
def test_nobody_who_needs_gradients_means_no_backward_pass_and_no_graph(backward_passes: list[int]) -> None:
    readers = registry.create_all("diswot,diswot:variant=paper,nwot,kd,flops")
    needs = {need for proxy in readers for need in proxy.needs}
    batch = make_batch(6)
    student = make_probe(ORDINARY[1], batch, needs, sees="executed")
    teacher = make_probe(TEACHER, batch, needs, sees="executed", teacher=True)
    for proxy in readers:
        proxy.score(student, teacher)
    assert not backward_passes
    assert not student._pass.output.logits.requires_grad


@pytest.mark.slow
def test_gradients_are_there_for_a_caller_that_turned_gradients_off() -> None:
    expected, probe = (exact_probe(ORDINARY[0], ("forward", *BACKWARD)) for _ in range(2))
    with torch.no_grad():
        assert torch.equal(probe.loss, expected.loss)
        assert torch.equal(probe.input_gradients, expected.input_gradients)
        for need in ("gradients", "gate_gradients", "hessian_gradient"):
            found = getattr(probe, need)
            assert all(torch.equal(found[name], value) for name, value in getattr(expected, need).items())
        for mine, other in zip(probe.block_gradients, expected.block_gradients, strict=True):
            assert torch.equal(mine.input, other.input)


def test_proxies_that_count_build_no_network() -> None:
    def refuse() -> Any:
        raise AssertionError("built or loaded")

    probe = Probe(Cell.parse(TEACHER), SKELETON, refuse, refuse, ())
    for proxy in registry.create_all("params,flops"):
        assert proxy.score(probe, probe) > 0


def test_recording_leaves_no_hook_behind() -> None:
    needs = ("forward", "relu_codes", "gate_gradients", "blocks", "block_gradients")
    probe = make_probe(ORDINARY[0], make_batch(6), needs)
    assert probe.relu_codes
    assert probe.block_gradients
    assert probe.gate_gradients
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in probe._network.modules())


def test_a_failing_forward_pass_leaves_no_hook_behind() -> None:
    batch = make_batch(6)
    wrong = Batch(batch.images[:, :2], batch.labels, "")
    network = CellNetwork(Cell.parse(TEACHER), SKELETON, Draw(0))
    needs = ("relu_codes", "gate_gradients", "blocks")
    probe = Probe(network.cell, SKELETON, lambda: network, lambda: wrong, needs)
    with pytest.raises(RuntimeError):
        _ = probe.relu_codes
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.modules())


# what it gives to whom

READ = {
    "logits": "forward",
    "pooled": "forward",
    "features": "forward",
    "loss": "forward",
    "classifier_gradient": "forward",
    "relu_codes": "relu_codes",
    "gradients": "gradients",
    "gate_gradients": "gate_gradients",
    "input_gradients": "input_gradients",
    "hessian_gradient": "hessian_gradient",
    "blocks": "blocks",
    "block_gradients": "block_gradients",
    "network": "weights",
}


@pytest.mark.slow
@pytest.mark.parametrize(("attribute", "need"), READ.items())
def test_reading_what_was_not_declared_raises_lookup_error_that_names_the_need(attribute: str, need: str) -> None:
    others = {"forward", "relu_codes", "blocks", *BACKWARD, "weights", "teacher"} - {need}
    probe = make_probe(ORDINARY[0], make_batch(6), others)
    with pytest.raises(LookupError, match=f"'{need}'.*`needs`"):
        getattr(probe, attribute)
    assert getattr(make_probe(ORDINARY[0], make_batch(6), {need}), attribute) is not None


@pytest.mark.parametrize(
    ("attribute", "declared"),
    [("images", ("weights",)), ("labels", ("weights",)), ("weights", ()), ("classifier_weight", ())],
)
def test_images_and_weights_are_for_those_who_declared_a_need_of_them(
    attribute: str, declared: tuple[str, ...]
) -> None:
    """The batch and the initialisation are part of a score's identity only where `needs` says that they matter."""
    probe = make_probe(ORDINARY[0], make_batch(6), declared)
    with pytest.raises(LookupError):
        getattr(probe, attribute)


def test_everything_handed_out_is_detached() -> None:
    probe = make_probe(ORDINARY[1], make_batch(6), ("forward", "relu_codes", "blocks", *BACKWARD), sees="executed")
    handed = {
        "logits": [probe.logits],
        "pooled": [probe.pooled],
        "features": probe.features,
        "loss": [probe.loss],
        "relu_codes": [code for code, _ in probe.relu_codes],
        "gradients": list(probe.gradients.values()),
        "gate_gradients": list(probe.gate_gradients.values()),
        "input_gradients": [probe.input_gradients],
        "hessian_gradient": list(probe.hessian_gradient.values()),
        "blocks": probe.blocks,
        "block_gradients": [tensor for pair in probe.block_gradients for tensor in pair],
        "weights": list(probe.weights.values()),
        "classifier_weight": [probe.classifier_weight],
        "classifier_gradient": [probe.classifier_gradient],
    }
    assert probe._pass.output.logits.requires_grad  # there is a graph that could leak
    for name, tensors in handed.items():
        assert tensors, name
        assert not any(tensor.requires_grad or tensor.grad_fn is not None for tensor in tensors), name


def test_the_network_is_in_training_mode_and_keeps_its_running_statistics() -> None:
    probe = make_probe(ORDINARY[0], make_batch(6), ("forward", "weights"))
    before = {name: value.clone() for name, value in probe.network.named_buffers() if value.is_floating_point()}
    assert probe.network.training
    assert probe.logits.isfinite().all()
    assert before
    for name, value in before.items():
        assert torch.equal(probe.network.get_buffer(name), value), name


def test_what_proxies_share_is_computed_once() -> None:
    probe = make_probe(ORDINARY[0], make_batch(4), ("forward",))
    asked: list[Probe] = []

    def compute(observed: Probe) -> float:
        asked.append(observed)
        return observed.logits.sum().item()

    first = probe.once(("sum", 1), compute)
    assert probe.once(("sum", 1), compute) == first == probe.logits.sum().item()
    assert asked == [probe]
    probe.once(("sum", 2), compute)
    assert len(asked) == 2
