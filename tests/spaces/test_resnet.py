"""ResNets and Wide ResNets compute what is published for them, from draws that depend on nothing but their position."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from test_skeleton import observed_multiply_adds
from torch import nn

from common.errors import BadUsage
from spaces.draw import INITS, Draw
from spaces.output import Output
from spaces.resnet.names import RESNETS
from spaces.resnet.network import (
    ResNet,
    ResNetShape,
    count_multiply_adds,
    count_parameters,
    resnet_shape,
    shape_named,
    teacher_network,
    wide_shape,
)

SHAPES = {
    "resnet": ResNetShape((2, 1, 2), classes=7, widths=(4, 8, 12), stem=4),
    "wider than its stem": ResNetShape((2, 1, 1), classes=7, widths=(8, 8, 8), stem=4),
    "wide": ResNetShape((2, 1, 2), classes=7, widths=(8, 12, 16), stem=4, preactivated=True),
    "wide by 1": ResNetShape((1, 2, 1), classes=7, widths=(4, 8, 16), stem=4, preactivated=True),
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def images(count: int = 5, size: int = 8, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=dtype)


def unsettled(shape: ResNetShape) -> ResNet:
    """A network in float64 whose every parameter and running statistic is away from where it started."""
    network = ResNet(shape, Draw(3)).double()
    with torch.no_grad():
        for seed, tensor in enumerate([*network.parameters(), *network.buffers()]):
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed)), alpha=0.2)
    return network


def rendered(shape: ResNetShape, state: dict[str, torch.Tensor], x: torch.Tensor, training: bool) -> Output:
    """The forward pass as the papers draw it, from the names in a state dict."""

    def conv(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=1 if weight.shape[-1] == 3 else 0)

    def bn(x: torch.Tensor, name: str) -> torch.Tensor:
        if training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        else:
            mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        mean, var, weight, bias = (
            v[:, None, None] for v in (mean, var, state[f"{name}.weight"], state[f"{name}.bias"])
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def basic(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        y = bn(conv(x, f"{name}.conv1", stride), f"{name}.bn1").relu()
        y = bn(conv(y, f"{name}.conv2"), f"{name}.bn2")
        if f"{name}.shortcut.0.weight" in state:
            x = bn(conv(x, f"{name}.shortcut.0", stride), f"{name}.shortcut.1")
        return (x + y).relu()

    def preactivated(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        a = bn(x, f"{name}.bn1").relu()
        y = conv(bn(conv(a, f"{name}.conv1", stride), f"{name}.bn2").relu(), f"{name}.conv2")
        return y + (conv(a, f"{name}.shortcut", stride) if f"{name}.shortcut.weight" in state else x)

    x = conv(x, "stem.0")
    if not shape.preactivated:
        x = bn(x, "stem.1").relu()
    features = []
    for stage, depth in enumerate(shape.depths):
        for number in range(depth):
            stride = 2 if stage > 0 and number == 0 else 1
            x = (preactivated if shape.preactivated else basic)(x, f"stages.{stage}.{number}", stride)
        features.append(x)
    if shape.preactivated:
        features[-1] = bn(x, "lastact.0").relu()
    pooled = features[-1].mean((2, 3))
    return Output(pooled @ state["classifier.weight"].T + state["classifier.bias"], pooled, tuple(features))


@pytest.mark.parametrize("training", [True, False])
@each_shape
def test_values_are_those_of_the_pass_written_out(shape: ResNetShape, training: bool) -> None:
    network, x = unsettled(shape).train(training), images(dtype=torch.float64)
    expected = rendered(shape, {k: v.clone() for k, v in network.state_dict().items()}, x, training)
    with torch.no_grad():
        found = network(x)
    for a, b in zip((*found[:2], *found.features), (*expected[:2], *expected.features), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@each_shape
def test_output_shapes(shape: ResNetShape) -> None:
    found = ResNet(shape, Draw(0))(images(size=12))
    a, b, c = shape.widths
    assert [tuple(feature.shape) for feature in found.features] == [(5, a, 12, 12), (5, b, 6, 6), (5, c, 3, 3)]
    assert found.logits.shape == (5, 7)
    torch.testing.assert_close(found.pooled, found.features[-1].mean((2, 3)))
    assert found.features[-1].min() >= 0
    rectified = [bool(feature.min() >= 0) for feature in found.features]
    assert rectified == [not shape.preactivated, not shape.preactivated, True]


@each_shape
def test_the_pass_is_channels_last_and_leaves_the_images_as_they_were(shape: ResNetShape) -> None:
    network, x = ResNet(shape, Draw(0)), images()
    read: list[torch.Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    for each in (*network(x).features, *read):
        assert each.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, images())


@each_shape
def test_each_relu_is_a_module_of_its_own_and_runs_once(shape: ResNetShape) -> None:
    """So that whoever hooks the ReLUs sees each of them."""
    network = ResNet(shape, Draw(0))
    ran: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, inputs, output: ran.append(module))
    network(images())
    assert len(ran) == len(set(map(id, ran))) == 2 * sum(shape.depths) + 1


@each_shape
def test_every_parameter_has_a_gradient(shape: ResNetShape) -> None:
    network = unsettled(shape)
    F.cross_entropy(network(images(dtype=torch.float64)).logits, torch.arange(5)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-12, name


def test_the_stem_is_a_module_whose_output_can_be_read() -> None:
    for shape, first in ((SHAPES["resnet"], True), (SHAPES["wide"], False)):
        network = ResNet(shape, Draw(0))
        stem = network.stem(images())
        assert stem.shape == (5, 4, 8, 8)
        assert bool(stem.min() >= 0) == first


# names


def names_of_resnet(depths: tuple[int, int, int]) -> list[str]:
    """The rule that teachers' files are written by."""
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = ["stem.0.weight", *(f"stem.1.{each}" for each in norm)]
    for stage, depth in enumerate(depths):
        for number in range(depth):
            block = f"stages.{stage}.{number}"
            for conv in (1, 2):
                names += [f"{block}.conv{conv}.weight", *(f"{block}.bn{conv}.{each}" for each in norm)]
            if stage and not number:
                names += [f"{block}.shortcut.0.weight", *(f"{block}.shortcut.1.{each}" for each in norm)]
    return [*names, "classifier.weight", "classifier.bias"]


@pytest.mark.slow
def test_names_in_the_state_of_a_resnet_stay() -> None:
    """Other names here would mean that no stored teacher opens."""
    state = teacher_network("resnet20", 10, seed=0).state_dict()
    assert sorted(state) == sorted(names_of_resnet((3, 3, 3)))
    assert len(state) == 128
    assert state["stages.1.0.conv1.weight"].shape == (32, 16, 3, 3)
    assert state["stages.1.0.shortcut.0.weight"].shape == (32, 16, 1, 1)
    assert state["classifier.weight"].shape == (10, 64)


def test_names_in_the_state_of_a_wide_resnet_stay() -> None:
    names = {name for name, _ in teacher_network("wrn-10-2", 10, seed=0).named_parameters()}
    block = {f"{conv}.weight" for conv in ("conv1", "conv2", "shortcut")}
    block |= {f"bn{k}.{each}" for k in (1, 2) for each in ("weight", "bias")}
    ends = {"stem.0.weight", "lastact.0.weight", "lastact.0.bias", "classifier.weight", "classifier.bias"}
    assert names == ends | {f"stages.{stage}.0.{name}" for stage in range(3) for name in block}


@each_shape
def test_a_state_survives_saving_into_a_network_of_another_draw(shape: ResNetShape) -> None:
    network = unsettled(shape).eval()
    other = ResNet(shape, Draw(4, "gaussian")).double().eval()
    other.load_state_dict(network.state_dict())
    x = images(dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(network(x).logits, other(x).logits)


# counts


@each_shape
def test_counts_equal_those_of_the_network(shape: ResNetShape) -> None:
    for size in (8, 9):
        network = ResNet(shape, Draw(0)).eval()
        assert count_parameters(shape) == sum(p.numel() for p in network.parameters())
        assert count_multiply_adds(shape, size) == observed_multiply_adds(network, size)


@pytest.mark.parametrize(
    ("depths", "parameters"), [((3, 3, 3), 278_324), ((7, 1, 3), 259_892)], ids=["[3,3,3]", "[7,1,3]"]
)
def test_parameters_are_those_reported_for_the_depth_space(depths: tuple[int, int, int], parameters: int) -> None:
    shape = ResNetShape(depths, classes=100)
    assert count_parameters(shape) == parameters
    assert sum(p.numel() for p in ResNet(shape, Draw(0)).parameters()) == parameters


@pytest.mark.parametrize("depth", RESNETS.values())
def test_resnets_have_the_parameters_of_the_closed_form(depth: int) -> None:
    """With n blocks a stage: 97,216 n - 19,824 and the classifier, from 18 C^2 + 4 C a block of C channels less what
    the two blocks with half the channels at their input save, plus their shortcuts and the stem.
    """
    n = (depth - 2) // 6
    inside = sum(18 * c * c + 4 * c for c in (16, 32, 64)) * n
    halved = sum(-9 * (c // 2) * c + (c // 2) * c + 2 * c for c in (32, 64))
    assert inside + halved + 27 * 16 + 32 == 97_216 * n - 19_824
    for classes in (10, 100):
        assert count_parameters(resnet_shape(depth, classes)) == 97_216 * n - 19_824 + 65 * classes


@pytest.mark.parametrize("widen", [1, 2, 4, 10])
@pytest.mark.parametrize("depth", [10, 16, 28, 40])
def test_wide_resnets_have_the_parameters_of_the_closed_form(depth: int, widen: int) -> None:
    """n blocks a stage of C = 16 k, 32 k, 64 k channels: 18 C^2 + 4 C each, but for the first, which reads c channels:
    9 c C + 9 C^2 + 2 c + 2 C and, where c is not C, a shortcut of c C.
    """
    n, k = (depth - 4) // 6, widen
    expected = 27 * 16 + 2 * 64 * k + (64 * k + 1) * 100
    for c, C in ((16, 16 * k), (16 * k, 32 * k), (32 * k, 64 * k)):
        expected += (n - 1) * (18 * C * C + 4 * C) + 9 * c * C + 9 * C * C + 2 * c + 2 * C + (c != C) * c * C
    assert count_parameters(wide_shape(depth, widen, 100)) == expected


@pytest.mark.parametrize(
    ("name", "classes", "millions"),
    [
        ("wrn-16-2", 100, 0.70),
        ("wrn-40-2", 100, 2.26),
        ("wrn-40-1", 100, 0.57),
        ("wrn-28-10", 10, 36.5),
        ("wrn-40-4", 10, 8.9),
        ("resnet20", 10, 0.27),
        ("resnet32", 10, 0.46),
        ("resnet44", 10, 0.66),
        ("resnet56", 10, 0.85),
        ("resnet110", 10, 1.7),
    ],
)
def test_parameters_are_the_published_ones_to_their_last_digit(name: str, classes: int, millions: float) -> None:
    """Of ResNets the published count is without the two projections, .0027 M."""
    digit = 0.1 if millions in (36.5, 8.9, 1.7) else 0.01
    projections = 0.0027 if name.startswith("resnet") else 0.0
    assert count_parameters(shape_named(name, classes)) / 1e6 - projections == pytest.approx(millions, abs=digit / 1.9)


@pytest.mark.parametrize(("name", "millions"), [("resnet20", 41), ("resnet56", 126), ("resnet110", 253)])
def test_multiply_adds_are_the_published_ones(name: str, millions: int) -> None:
    assert round(count_multiply_adds(shape_named(name, 10)) / 1e6) == millions


# draws


@pytest.mark.slow
def test_depth_is_counted_in_layers() -> None:
    """Convolutions that are not shortcuts, and the classifier."""
    for name, depth in [(f"resnet{depth}", depth) for depth in RESNETS.values()] + [("wrn-16-1", 16), ("wrn-22-1", 22)]:
        network = teacher_network(name, 10, seed=0)
        layers = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in n]
        # a WRN's published depth counts the three shortcuts, there or not, and leaves out the classifier
        assert len(layers) + 2 * name.startswith("wrn") == depth
        assert max(int(n.split(".")[2]) for n in layers if n.startswith("stages")) + 1 == sum(network.shape.depths) / 3


@pytest.mark.parametrize("init", INITS)
def test_weights_are_the_draws_at_their_positions(init: str) -> None:
    draw = Draw(2, init)
    state = ResNet(SHAPES["resnet"], draw).state_dict()
    assert torch.equal(state["stages.1.0.conv1.weight"], draw.draw("resnet/stages.1.0/conv1", (8, 4, 3, 3), 36))
    assert torch.equal(state["stages.1.0.conv2.weight"], draw.draw("resnet/stages.1.0/conv2", (8, 8, 3, 3), 72))
    assert torch.equal(state["stages.1.0.shortcut.0.weight"], draw.draw("resnet/stages.1.0/shortcut", (8, 4, 1, 1), 4))
    assert torch.equal(state["classifier.weight"], draw.draw("resnet/classifier", (7, 12), 12))
    bias = draw.draw("resnet/classifier/bias", (7,), 12) if init == "default" else torch.zeros(7)
    assert torch.equal(state["classifier.bias"], bias)
    norms = [module for module in ResNet(SHAPES["resnet"], draw).modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 1 + 2 * 5 + 2
    assert all((norm.weight == 1).all() and not norm.bias.any() for norm in norms)


def test_positions_are_all_different() -> None:
    for shape in SHAPES.values():
        modules = [m for m in ResNet(shape, Draw(0)).modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        n = sum(shape.depths)
        projections = sum(block.is_projected for blocks in shape.stages() for block in blocks)
        norms = 2 * n + 1 + projections * (not shape.preactivated)
        assert len(modules) == 1 + 2 * n + projections + norms


@pytest.mark.slow
def test_a_network_does_not_depend_on_what_was_built_before_it() -> None:
    depths = [(3, 1, 3), (1, 1, 1), (7, 1, 3), (1, 5, 3)]
    forward, backward = Draw(1), Draw(1)
    a = {d: ResNet(ResNetShape(d, 10), forward).state_dict() for d in depths}
    b = {d: ResNet(ResNetShape(d, 10), backward).state_dict() for d in reversed(depths)}
    for d in depths:
        for name, tensor in ResNet(ResNetShape(d, 10), Draw(1)).state_dict().items():
            assert torch.equal(tensor, a[d][name])
            assert torch.equal(tensor, b[d][name])
    shared = a[1, 1, 1].keys() & a[7, 1, 3].keys()
    assert shared == a[1, 1, 1].keys()
    assert all(torch.equal(a[1, 1, 1][name], a[7, 1, 3][name]) for name in shared)


@pytest.mark.parametrize("name", ["resnet20", "wrn-10-1"])
def test_building_neither_reads_nor_changes_the_global_random_state(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        states = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            before = torch.random.get_rng_state()
            states.append(teacher_network(name, 10, seed=0).state_dict())
            assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.slow
def test_seeds_differ_and_so_do_families_and_the_roles_of_teacher_and_student() -> None:
    teacher, other = teacher_network("resnet20", 10, seed=0), teacher_network("resnet20", 10, seed=1)
    student = ResNet(resnet_shape(20, 10), Draw(0, "kaiming"))
    wide = teacher_network("wrn-16-1", 10, seed=0)
    states = [network.state_dict() for network in (teacher, other, student, wide)]
    for name in ("stem.0.weight", "stages.0.0.conv1.weight", "stages.2.0.conv2.weight", "classifier.weight"):
        for k, a in enumerate(states):
            for b in states[:k]:
                ranks = torch.stack([a[name].flatten().argsort().argsort(), b[name].flatten().argsort().argsort()])
                assert torch.corrcoef(ranks.float())[0, 1].abs() < 0.2, name


def test_the_draw_that_teachers_start_from_is_still_drawn() -> None:
    """Other numbers here would mean that a teacher trained again is another teacher."""
    state = teacher_network("resnet20", 10, seed=0).state_dict()
    assert state["stem.0.weight"].flatten()[:3].tolist() == pytest.approx(
        [0.299834371, -0.011226969, -0.377583951], abs=1e-6
    )
    assert state["stages.2.1.conv1.weight"].flatten()[:3].tolist() == pytest.approx(
        [0.052756738, -0.036051832, 0.040129896], abs=1e-6
    )


def test_kaiming_is_of_the_fan_in_and_the_teachers_default() -> None:
    state = teacher_network("wrn-10-2", 100, seed=0).state_dict()
    for name in ("stages.1.0.conv1.weight", "stages.2.0.conv1.weight", "stages.2.0.conv2.weight", "classifier.weight"):
        weight = state[name]
        assert weight.std().item() == pytest.approx(math.sqrt(2 / weight[0].numel()), rel=0.03), name
    assert not state["classifier.bias"].any()
    assert teacher_network("wrn-10-2", 100, 0, "default").state_dict()["classifier.bias"].any()


def test_a_draw_serves_networks_of_other_widths_and_classes_too() -> None:
    draw = Draw(0)
    ResNet(wide_shape(10, 1, 10), draw)
    for shape in (wide_shape(10, 2, 10), wide_shape(10, 1, 100)):
        state, alone = (ResNet(shape, one).state_dict() for one in (draw, Draw(0)))
        assert all(torch.equal(value, alone[name]) for name, value in state.items())


# teachers by name


@pytest.mark.parametrize(
    ("name", "depths", "widths"),
    [
        ("resnet20", (3, 3, 3), (16, 32, 64)),
        ("resnet32", (5, 5, 5), (16, 32, 64)),
        ("resnet44", (7, 7, 7), (16, 32, 64)),
        ("resnet56", (9, 9, 9), (16, 32, 64)),
        ("resnet110", (18, 18, 18), (16, 32, 64)),
        ("wrn-40-2", (6, 6, 6), (32, 64, 128)),
        ("wrn-16-4", (2, 2, 2), (64, 128, 256)),
        ("wrn-28-10", (4, 4, 4), (160, 320, 640)),
        ("wrn-10-1", (1, 1, 1), (16, 32, 64)),
    ],
)
def test_names_name_their_shapes(name: str, depths: tuple[int, int, int], widths: tuple[int, int, int]) -> None:
    wide = name.startswith("wrn")
    assert shape_named(name, 10) == ResNetShape(depths, 10, widths, stem=16, preactivated=wide)


@pytest.mark.parametrize(
    "name", ["resnet8", "resnet-20", "", "wrn", "wrn-40", "wrn-40-0", "wrn-040-2", "wrn-4０-2", "vgg"]
)
def test_an_unknown_name_is_bad_usage(name: str) -> None:
    with pytest.raises(BadUsage, match=r"unknown teacher network .*(did you mean|known: resnet110, resnet20)"):
        teacher_network(name, 10, seed=0)


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(BadUsage, match=r"did you mean .*'resnet56'"):
        shape_named("resnet-56", 10)
    with pytest.raises(BadUsage, match=r"did you mean .*'wrn-40-2'"):
        shape_named("wrn40-2", 10)


@pytest.mark.parametrize("name", ["wrn-41-2", "wrn-4-2", "wrn-18-1"])
def test_a_depth_that_cannot_be_is_bad_usage(name: str) -> None:
    with pytest.raises(BadUsage, match=r"WRN of depth \d+: the depth must be 6 n \+ 4"):
        shape_named(name, 10)
    with pytest.raises(BadUsage, match=r"ResNet of depth 21: the depth must be 6 n \+ 2"):
        resnet_shape(21, 10)


def test_an_unknown_initialisation_is_bad_usage() -> None:
    with pytest.raises(BadUsage, match="did you mean 'gaussian'"):
        teacher_network("resnet20", 10, 0, "gausian")
