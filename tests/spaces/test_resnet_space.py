"""The 64 ResNets as a space: order and texts, counts, shared weights, and every proxy on them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from bench.benchmarks import benchmark
from bench.measure.speed import NoiseSetup
from bench.plan import Pass, select
from bench.teachers import ResNetTeacher
from bench.worker import Worker
from common.errors import BadUsage
from proxies import registry
from spaces.draw import Draw
from spaces.nb201.equivalence import SEES
from spaces.nb201.space import NB201
from spaces.registry import space
from spaces.resnet.space import RESNET, Depths, ResNetSkeleton, codes
from spaces.space import Space

FULL = benchmark("resnet-cifar100")
TINY = replace(
    FULL, skeleton=ResNetSkeleton(4, 10, 16), teacher=ResNetTeacher(20, 4, (4, 8, 16), 10), batch=8
)  # of one kind with the real one, for a hundredth of its cost


def network(code: str, skeleton: ResNetSkeleton, draw: Draw | None = None) -> nn.Module:
    draw = Draw(0, momentum=0.0) if draw is None else draw
    return RESNET.builder("own")(Depths.parse(code), skeleton, draw, "function")


# order and texts


def test_the_order_is_lexicographic_and_whole() -> None:
    expected = ["".join(code) for code in itertools.product("1357", repeat=3)]
    assert [str(RESNET.at(index)) for index in range(len(RESNET))] == expected
    assert [code.index for code in codes()] == list(range(64))
    assert RESNET.cell_set("all") == RESNET.cell_set("functions") == tuple(range(64))


@pytest.mark.parametrize("text", ["713", " 713\n", "7,1,3", "7, 1, 3", "[7, 1, 3]", "[7 1 3]", "49", "+49"])
def test_a_network_is_named_by_its_code_or_its_index(text: str) -> None:
    assert RESNET.resolve(text) == 49


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("723", "unknown depth code '723': expected three depths of 1, 3, 5, 7, such as 713"),
        ("7133", "unknown depth code '7133'"),
        ("713.0", "unknown depth code '713.0'"),
        ("", "unknown depth code ''"),
        ("|skip_connect~0|", "unknown depth code"),
        ("64", "network index 64 is out of range: the space resnet has 0 to 63"),
        ("-1", "network index -1 is out of range"),
    ],
)
def test_what_names_no_network_is_told(text: str, message: str) -> None:
    with pytest.raises(BadUsage) as error:
        RESNET.resolve(text)
    assert message in str(error.value)


def test_an_unknown_space_set_or_level_is_told() -> None:
    assert space("resnet") == RESNET
    assert space("nb201") == NB201
    with pytest.raises(BadUsage, match="did you mean 'resnet'"):
        space("resnets")
    with pytest.raises(BadUsage, match="unknown set of ResNets 'valid'"):
        RESNET.cell_set("valid")
    with pytest.raises(BadUsage, match="unknown level of equivalence"):
        RESNET.representatives("functions")


@pytest.mark.parametrize("of", [RESNET, NB201], ids=lambda of: of.name)
def test_choices_and_indices_are_each_others_inverse(of: Space) -> None:
    sizes = [len(choices) for choices in of.choices]
    assert math.prod(sizes) == len(of)
    some = range(0, len(of), 97 if len(of) > 100 else 1)
    for index in some:
        chosen = of.chosen(index)
        assert all(0 <= choice < size for choice, size in zip(chosen, sizes, strict=True))
        assert of.index_of(chosen) == index
        assert of.resolve(str(of.at(index))) == of.at(index).index == index


def test_choices_are_named_in_the_order_of_their_numbers() -> None:
    for index in range(64):
        named = [RESNET.choices[stage][choice] for stage, choice in enumerate(RESNET.chosen(index))]
        assert "".join(named) == str(RESNET.at(index))
    assert str(NB201.at(77)).startswith(f"|{NB201.choices[0][NB201.chosen(77)[0]]}~0|")


def test_no_two_networks_are_one_function() -> None:
    for sees in SEES:
        assert list(RESNET.representatives(sees)) == list(range(64))
        assert RESNET.members(sees) == {index: (index,) for index in range(64)}


def test_visiting_is_a_seeded_permutation_and_a_prefix_of_it() -> None:
    order = select("all", RESNET)
    assert sorted(order) == list(range(64)) != order
    assert select("all", RESNET, 7) == order[:7]


# counts


@pytest.mark.parametrize(("code", "parameters"), [("333", 278_324), ("713", 259_892)])
def test_published_numbers_of_parameters_are_found_again(code: str, parameters: int) -> None:
    assert FULL.skeleton.count_parameters(Depths.parse(code)) == parameters


@pytest.mark.parametrize("code", ["111", "713", "375"])
@pytest.mark.parametrize("skeleton", [FULL.skeleton, ResNetSkeleton(3, 10, 17), TINY.skeleton.thin()], ids=str)
def test_counts_are_those_of_the_network_that_is_built(code: str, skeleton: ResNetSkeleton) -> None:
    net, depths = network(code, skeleton), Depths.parse(code)
    assert skeleton.count_parameters(depths) == sum(parameter.numel() for parameter in net.parameters())
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert skeleton.count_layers(depths) == len(layers)
    spent = []

    def count(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        spent.append(layer.weight.numel() * (output[0, 0].numel() if output.ndim == 4 else 1))

    for layer in layers:
        layer.register_forward_hook(count)
    with torch.no_grad():
        net(torch.zeros(2, 3, skeleton.size, skeleton.size))
    assert skeleton.count_multiply_adds(depths) == sum(spent)


def test_the_largest_network_is_the_deepest() -> None:
    counts = [FULL.skeleton.count_parameters(code) for code in codes()]
    assert FULL.skeleton.most_parameters() == max(counts) == counts[-1]


# weights


def test_equal_positions_share_weights_and_others_differ() -> None:
    skeleton = TINY.skeleton
    draw = Draw(0, momentum=0.0)
    small, large = network("131", skeleton, draw), network("375", skeleton, draw)
    own = dict(large.named_parameters())
    common = {name: value for name, value in small.named_parameters() if name in own}
    assert len(common) == len(list(small.parameters()))
    assert all(value is own[name] for name, value in common.items())
    alone = dict(network("131", skeleton).named_parameters())
    assert all(torch.equal(value, alone[name]) for name, value in common.items()), "whatever else was built before"
    first, second = own["stages.1.1.conv1.weight"], own["stages.1.2.conv1.weight"]
    assert not torch.equal(first, second)


@pytest.mark.slow
def test_the_teacher_is_none_of_the_students() -> None:
    worker = tiny_worker()
    number = list(registry.known()).index("kd")
    teacher = worker.teacher(0, "default")
    student = worker.observe(Pass(0, "default", RESNET.resolve("333"), (number,)))  # the teacher's own architecture
    names = [[name for name, _ in probe._network.named_parameters()] for probe in (teacher, student)]
    assert names[0] == names[1]
    assert not torch.equal(teacher.classifier_weight, student.classifier_weight)
    assert not torch.equal(teacher.logits, student.logits)


# probes and proxies


@cache
def tiny_worker() -> Worker:
    return NoiseSetup(TINY, tuple(map(registry.create, registry.known())), (), None, "cpu")()


@cache
def score(proxy: str, code: str) -> tuple[float | None, str, str]:
    worker = tiny_worker()
    number = list(registry.known()).index(proxy)
    (found,) = worker.score(Pass(0, worker.proxies[number].init, RESNET.resolve(code), (number,)))
    return found.score, found.status, found.reason


@pytest.mark.slow
@pytest.mark.parametrize("proxy", list(registry.known()))
def test_every_proxy_scores_a_resnet_or_says_why_not(proxy: str) -> None:
    for code in ("111", "731"):
        value, status, reason = score(proxy, code)
        if status == "ok":
            assert value is not None
            assert math.isfinite(value)
        else:
            assert (value, status) == (None, "not_applicable"), reason
            assert reason


CONSTANT = ("swap", "skip_span")  # 8 images can tell 256 units apart, and so many are in every network; no cells
BLIND = {"linear_regions": ("317", "375"), "fitnet": ("131", "137")}
"""What counts the units of the first stage, and what compares the maps of the second: codes that are one to it."""


@pytest.mark.slow
@pytest.mark.parametrize("proxy", [name for name in registry.known() if name not in CONSTANT])
def test_depth_moves_every_score(proxy: str) -> None:
    assert score(proxy, "111") != score(proxy, "331")
    later = score(proxy, "111") != score(proxy, "117")
    assert later == (proxy not in BLIND)


@pytest.mark.slow
@pytest.mark.parametrize("proxy", BLIND)
def test_what_reads_the_early_stages_does_not_see_the_later_ones(proxy: str) -> None:
    one, other = BLIND[proxy]
    assert score(proxy, one) == score(proxy, other)


@pytest.mark.slow
def test_a_score_is_the_same_beside_others_and_alone() -> None:
    worker = tiny_worker()
    names = [name for name in registry.known() if worker.proxies[list(registry.known()).index(name)].init == "default"]
    numbers = tuple(list(registry.known()).index(name) for name in names)
    together = worker.score(Pass(0, "default", RESNET.resolve("731"), numbers))
    for name, found in zip(names, together, strict=True):
        alone, status, _ = score(name, "731")
        assert found.status == status
        assert found.score == (None if alone is None else pytest.approx(alone, rel=1e-5)), name


def test_small_and_thin_networks_have_the_same_depths() -> None:
    numbers = tuple(list(registry.known()).index(name) for name in ("ntk", "linear_regions"))
    probe = tiny_worker().observe(Pass(0, "kaiming", RESNET.resolve("371"), numbers))
    for view, channels, size in ((probe.small, 3, TINY.skeleton.size), (probe.thin, 1, 3)):
        shape = view._network.shape
        assert (shape.depths, shape.stem) == ((3, 7, 1), channels)
        assert shape.widths == (channels, 2 * channels, 4 * channels)
        assert view._batch.images.shape[2:] == (size, size)
        assert view.skeleton.count_parameters(probe.cell) == sum(p.numel() for p in view._network.parameters())


def test_blocks_are_the_stem_and_the_residual_blocks() -> None:
    number = list(registry.known()).index("az_trainability")
    probe = tiny_worker().observe(Pass(0, "kaiming", RESNET.resolve("131"), (number,))).noise
    gradients, net = probe.block_gradients, probe._network
    assert len(gradients) == 1 + 3 + 1
    x = net.stem(probe._batch.images)
    for block, found in zip(itertools.chain(*net.stages), gradients, strict=True):
        start = x.detach().clone().requires_grad_()
        after = torch.relu(block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(start))))) + shortcut(block, start))
        (expected,) = torch.autograd.grad(after, start, found.output)
        torch.testing.assert_close(found.input, expected, rtol=1e-4, atol=1e-5)
        x = after


def shortcut(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return x if block.shortcut is None else block.shortcut(x[:, :, :: block.stride, :: block.stride])
