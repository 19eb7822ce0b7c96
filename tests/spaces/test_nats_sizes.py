"""NATS-Bench's size space: order and texts, counts, xautodl's networks, shared weights, and every proxy on it."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench.benchmarks import ResNetTeacher, benchmark, names
from bench.measure.speed import NoiseSetup
from bench.plan import Pass, select
from bench.worker import Worker
from common.errors import BadUsage
from proxies import registry
from spaces.draw import Draw
from spaces.nats_sizes.space import CELL, SIZES, Sizes, SizeSkeleton
from spaces.registry import space
from spaces.space import SEES

pytestmark = pytest.mark.slow

FULL = SizeSkeleton(8, 100, 32)
TINY = replace(
    benchmark("nats-sizes-digits"),
    skeleton=SizeSkeleton(2, 10, 16),
    teacher=ResNetTeacher(20, 4, (4, 8, 16), 10),
    batch=8,
)
SOME = ("8:8:8:8:8", "64:64:64:64:64", "8:16:32:48:64", "64:8:24:24:8", "16:56:56:40:40")


def named(text: str) -> Sizes:
    return SIZES.at(SIZES.resolve(text))


def network(text: str, skeleton: SizeSkeleton = FULL, draw: Draw | None = None) -> nn.Module:
    return SIZES.builder("own")(named(text), skeleton, draw or Draw(0, momentum=0.0), "function")


# order and texts


def test_the_order_is_lexicographic_in_numbers_and_whole() -> None:
    expected = [":".join(map(str, widths)) for widths in itertools.product(range(8, 65, 8), repeat=5)]
    assert len(SIZES) == 32_768 == 8**5
    assert [str(SIZES.at(index)) for index in range(len(SIZES))] == expected
    for index in range(0, len(SIZES), 397):
        assert SIZES.resolve(expected[index]) == SIZES.resolve(str(index)) == SIZES.at(index).index == index
        assert SIZES.index_of(SIZES.chosen(index)) == index
    assert space("nats_sizes") == SIZES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8:16:32:48", "unknown architecture of the space nats_sizes '8:16:32:48': did you mean '8:"),
        ("8:16:32:48:64:64", "did you mean '"),
        ("8:16:32:48:65", "did you mean '8:16:32:48:"),
        ("8:16:32:48:064", "did you mean '8:16:32:48:64'"),
        (
            "",
            "known: 16:16:16:16:16, 16:16:16:16:24, 16:16:16:16:32, 16:16:16:16:40, 16:16:16:16:48, ... (32768 in all)",
        ),
        ("32768", "index 32768 is out of range: the space nats_sizes has 0 to 32767"),
        ("-1", "index -1 is out of range"),
    ],
)
def test_what_names_no_network_is_told(text: str, message: str) -> None:
    with pytest.raises(BadUsage) as error:
        SIZES.resolve(text)
    assert message in str(error.value)


def test_no_two_networks_are_one_function() -> None:
    for sees in SEES:
        assert tuple(SIZES.representatives(sees)) == tuple(range(len(SIZES)))
    assert select("all", SIZES, 7) == select("all", SIZES)[:7] != list(range(7))


# networks


@pytest.mark.parametrize("text", SOME)
def test_networks_are_xautodls(text: str) -> None:
    models = pytest.importorskip("xautodl.models", reason="xautodl is installed by `make setup`")
    with torch.random.fork_rng():
        config = SimpleNamespace(
            super_type="basic", name="infer.shape.tiny", channels=text, genotype=CELL, num_classes=100
        )
        theirs = models.get_cell_based_tiny_net(config)
    ours = network(text, draw=Draw(0))
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))  # both in the order of execution
    with torch.no_grad():
        for own, their in pairs:
            assert own.shape == their.shape
            own.copy_(torch.randn(own.shape, generator=torch.Generator().manual_seed(own.numel())).mul_(0.1))
            their.copy_(own)
        images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        for training in (True, False):
            output = ours.train(training)(images)
            pooled, logits = theirs.train(training)(images)
            torch.testing.assert_close(output.logits, logits, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(output.pooled, pooled, rtol=1e-5, atol=1e-5)
    assert sum(their.numel() for _, their in pairs) == FULL.count_parameters(named(text))


@pytest.mark.parametrize("text", SOME)
@pytest.mark.parametrize("skeleton", [FULL, SizeSkeleton(3, 10, 12), TINY.skeleton.small(), FULL.thin()], ids=str)
def test_counts_are_those_of_the_network_that_is_built(text: str, skeleton: SizeSkeleton) -> None:
    net, sizes = network(text, skeleton), named(text)
    assert skeleton.count_parameters(sizes) == sum(parameter.numel() for parameter in net.parameters())
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert skeleton.count_layers(sizes) == len(layers)
    spent = []

    def count(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        spent.append((output[0, 0].numel() if output.ndim == 4 else 1) * layer.weight.numel())

    for layer in layers:
        layer.register_forward_hook(count)
    with torch.no_grad():
        output = net(torch.zeros(2, 3, skeleton.size, skeleton.size))
    widths = skeleton.widths(sizes)
    assert [features.shape[1] for features in output.features] == [widths[0], widths[2], widths[4]]
    if skeleton.size % 4 == 0:  # else pooled maps are smaller than convolved ones
        assert skeleton.count_multiply_adds(sizes) == sum(spent)


def test_the_last_network_is_the_largest() -> None:
    counts = [FULL.count_parameters(SIZES.at(index)) for index in range(0, len(SIZES) - 1, 31)]
    assert max(counts) < FULL.most_parameters() == FULL.count_parameters(named("64:64:64:64:64")) == 719_524
    assert FULL.width == 64


def test_shape_of_the_skeleton_is_part_of_a_scores_identity() -> None:
    assert FULL.record() == {"space": "nats_sizes", "channels": 8, "classes": 100, "size": 32}
    assert [name for name in names() if benchmark(name).space == SIZES] == [
        "nats-sizes-digits",
        "nats-sizes-cifar10",
        "nats-sizes-cifar100",
    ]


# weights


def test_a_narrow_network_is_a_part_of_a_wide_one_whatever_was_built_before() -> None:
    draw = Draw(0, momentum=0.0)
    wide, narrow = network("64:64:64:64:64", draw=draw), network("8:16:24:48:8", draw=draw)
    alone, own = network("8:16:24:48:8").state_dict(), dict(wide.named_parameters())
    assert all(torch.equal(value, alone[name]) for name, value in narrow.state_dict().items())
    compared = 0
    for name, value in narrow.named_parameters():
        if name in own and value.ndim > 1:
            part = own[name][tuple(map(slice, value.shape))]
            fan_in = (part[0].numel() if name.startswith("stem") else own[name][0].numel()) / value[0].numel()
            torch.testing.assert_close(value, part * math.sqrt(fan_in))
            compared += 1
    assert compared == 1 + 15 + 6 + 1
    assert network("8:16:24:48:8", draw=draw).stem[0] is narrow.stem[0], "leaves are made once"


# proxies


@cache
def tiny_worker() -> Worker:
    return NoiseSetup(TINY, tuple(map(registry.create, registry.known())), (), None, "cpu")()


@cache
def score(proxy: str, text: str) -> tuple[float | None, str, str]:
    worker = tiny_worker()
    number = list(registry.known()).index(proxy)
    (found,) = worker.score(Pass(0, worker.proxies[number].init, SIZES.resolve(text), (number,)))
    return found.score, found.status, found.reason


AS_WIDE = "8:16:32:48:64"  # at the end of its stages as wide as the teacher: 2, 8, 16 channels against 4, 8, 16
NARROWER = "16:8:24:40:24"


@pytest.mark.parametrize("proxy", list(registry.known()))
def test_every_proxy_scores_a_network_or_says_why_not(proxy: str) -> None:
    for text in (AS_WIDE, NARROWER):
        value, status, reason = score(proxy, text)
        if status == "ok":
            assert value is not None
            assert math.isfinite(value)
        else:
            assert (value, status) == (None, "not_applicable"), reason
            assert reason


def test_what_compares_channels_is_not_applicable_between_unequal_widths() -> None:
    compares = {proxy for proxy in registry.known() if score(proxy, NARROWER)[1] == "not_applicable"}
    assert compares == {"diswot", "diswot_semantic", "fitnet", "cc", "ickd", "kdsvd", "skip_span"}
    # skip_span is of cells that differ in their connections
    assert {proxy for proxy in compares if score(proxy, AS_WIDE)[1] == "not_applicable"} == {"kdsvd", "skip_span"}


def test_padded_channels_compare_any_widths() -> None:
    proxies = registry.create_all("diswot:variant=padded,diswot_semantic:variant=padded")
    worker = NoiseSetup(TINY, tuple(proxies), (), None, "cpu")()
    for text in SOME:
        both, semantic = worker.score(Pass(0, "default", SIZES.resolve(text), (0, 1)))
        assert both.status == semantic.status == "ok"
        assert -math.sqrt(2) <= semantic.score < 0
        assert both.score < semantic.score


CONSTANT = ("layers", "swap", "skip_span")
"""Shortcuts are convolutions in both; 8 images can tell 256 units apart, and there are more; the cell is the same."""


@pytest.mark.parametrize("proxy", [name for name in registry.known() if name not in CONSTANT])
def test_each_width_is_seen(proxy: str) -> None:
    assert score(proxy, "8:16:32:48:64") != score(proxy, "16:24:40:56:64")


def test_linear_regions_are_those_of_the_first_cell() -> None:
    """And of the reduction behind it, which reads maps of the same size and number of channels."""
    assert score("linear_regions", "8:16:32:48:64") == score("linear_regions", "8:16:64:8:8")
    narrow, wide = (score("linear_regions", f"{width}:16:32:48:64")[0] for width in (8, 64))
    assert narrow is not None
    assert wide is not None
    assert narrow < wide <= 3000


def test_a_score_is_the_same_beside_others_and_alone() -> None:
    worker = tiny_worker()
    known = list(registry.known())
    numbers = tuple(number for number, proxy in enumerate(worker.proxies) if proxy.init == "default")
    for found in worker.score(Pass(0, "default", SIZES.resolve(AS_WIDE), numbers)):
        alone, status, _ = score(known[found.proxy], AS_WIDE)
        assert found.status == status
        assert found.score == (None if alone is None else pytest.approx(alone, rel=1e-5)), known[found.proxy]


def test_the_wider_of_two_networks_counts_more() -> None:
    rng = random.Random(0)
    for _ in range(50):
        index = rng.randrange(len(SIZES))
        chosen = SIZES.chosen(index)
        place = rng.randrange(5)
        if chosen[place] < 7:
            wider = SIZES.index_of((*chosen[:place], chosen[place] + 1, *chosen[place + 1 :]))
            for count in (FULL.count_parameters, FULL.count_multiply_adds):
                assert count(SIZES.at(wider)) > count(SIZES.at(index))
