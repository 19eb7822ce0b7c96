"""A network of one's own gets the score that its formula gives when it is worked out by its modules, or a reason."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import module_formulas as formulas
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.errors import BadUsage
from images.base import Batch
from images.noise import noise
from probe.module.examples import CLASSES, KINDS, SIZE, example
from probe.module.probe import module_probe
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import ModuleScore, observed_teacher, score_module, score_modules
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, TEACHER, TEACHER_SKELETON, make_batch, make_probe
from spaces.draw import Draw
from spaces.nb201.cell import Cell
from spaces.nb201.network import CellNetwork

pytestmark = pytest.mark.slow

EVERY = registry.create_all("all")
NAMES = [proxy.label for proxy in EVERY]


def batch(count: int = 8, seed: int = 0, size: int = SIZE) -> Batch:
    images = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.arange(count) % CLASSES, f"images {seed}")


def score(text: str, network: nn.Module, of: Batch | None = None, **options: object) -> float:
    return score_module(registry.create(text), network, of or batch(), **options).value  # type: ignore[arg-type]


def exact(count: int = 8) -> Batch:
    """In float64."""
    given = batch(count)
    return Batch(given.images.double(), given.labels, given.hash)


# cells, which a space's own probe scores too


@pytest.mark.parametrize("cell", [*ORDINARY, DEGENERATE[1], DEGENERATE[2]])
def test_a_cells_network_gets_the_cells_score_from_every_proxy(cell: str) -> None:
    images = make_batch(8)
    network = CellNetwork(Cell.parse(cell), SKELETON, Draw(0), "executed")
    teacher = CellNetwork(Cell.parse(TEACHER), TEACHER_SKELETON, Draw(0, role="teacher "))
    found = score_modules(EVERY, network, images, teacher=teacher, second=make_batch(8, seed=1))
    for proxy in EVERY:
        student = make_probe(cell, images, proxy.needs, proxy.init, proxy.sees)
        of_teacher = make_probe(TEACHER, images, proxy.needs, "default", proxy.sees, teacher=True)
        one = found[proxy.label]
        if isinstance(one, NotApplicable):
            with pytest.raises(NotApplicable, match=re.escape(str(one))):
                proxy.score(student, of_teacher)
        else:
            expected = proxy.score(student, of_teacher)
            assert one.value == pytest.approx(expected, rel=1e-6, nan_ok=True), proxy.name


def test_a_frozen_cells_network_in_evaluation_gets_the_cells_score_too() -> None:
    images, readers = make_batch(8), registry.create_all("gradsign,vkdnw,snip,grasp,zen,params,synflow")
    network = CellNetwork(Cell.parse(ORDINARY[1]), SKELETON, Draw(0), "executed")
    expected = score_modules(readers, network, images)
    network.eval().requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert score_modules(readers, network, images) == expected
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


# worked out by modules


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def network(kind: str) -> nn.Module:
    """Of a kind, in float64 and without dropout."""
    found = example(kind).double()
    for module in found.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return found


ATTENTION = {"ViT": 2 * 2 * 17 * 17 * 16, "Swin": 2 * 2 * 16 * 4 * 16}
"""Multiply-adds of the products of attention: blocks x products x tokens x tokens that each sees x channels."""


def test_counts_are_those_of_its_parameters_and_layers(kind: str) -> None:
    ours = network(kind)
    assert score("params", ours) == formulas.params(ours)
    assert score("layers", ours) == len(formulas.weights(ours))
    flops = formulas.multiply_adds(ours, exact().images[:1]) + ATTENTION.get(kind, 0)
    assert score("flops", ours) == score("az_complexity", ours) == flops


def test_sums_over_weights_are_those_over_its_layers(kind: str) -> None:
    ours, given = network(kind), exact()
    found = {
        name: score(name, ours, given) for name in ("snip", "plain", "grad_norm", "fisher") if (kind, name) != FOLDED
    }
    for name, value in found.items():
        expected = getattr(formulas, name)(ours, given.images, given.labels)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12), name
    assert score("l2_norm", ours) == pytest.approx(formulas.l2_norm(ours), rel=1e-12)


FOLDED = ("Swin", "fisher")


def test_all_parameters_count_where_a_formula_sums_over_parameters(kind: str) -> None:
    """Class tokens, position embeddings, scales and norms too."""
    ours = network(kind)
    images = noise("noise", 0, 8, SIZE, CLASSES)
    copied = formulas.still(ours)
    F.cross_entropy(copied(images.images.double()), images.labels).backward()
    total = sum(p.grad.square().sum().item() for p in copied.parameters() if p.grad is not None)
    assert score("grad_norm_all", ours, init="given") == pytest.approx(math.sqrt(total), rel=1e-9)


def test_derivatives_in_images_are_its_own(kind: str) -> None:
    ours, given = network(kind), exact()
    assert score("jacov", ours, given) == pytest.approx(formulas.jacov(ours, given.images), rel=1e-9)


def test_the_divergence_from_a_teacher_is_that_of_its_logits(kind: str) -> None:
    teacher, ours, given = network(kind), formulas.still(example(kind, seed=1)).double(), exact()
    expected = formulas.kd(teacher, ours, given.images)
    assert score("kd", ours, given, teacher=teacher) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["ResNet", "VGG", "MobileNet", "group norm"])
def test_codes_are_those_of_its_rectifiers(kind: str) -> None:
    ours, given = network(kind), exact()
    assert score("nwot", ours, given) == pytest.approx(formulas.nwot(ours, given.images), rel=1e-9)
    assert score("swap", ours, given, init="given") == formulas.swap(ours, given.images)


ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid, nn.GELU)


def test_ranks_are_those_of_what_its_modules_put_out(kind: str) -> None:
    ours, given = network(kind), exact()
    expected = formulas.near(ours, given.images, ACTIVATIONS)
    assert score("near", ours, given) == pytest.approx(expected, rel=1e-6)  # roots of eigenvalues near zero


@pytest.mark.parametrize("kind", ["ResNet", "VGG", "group norm"])
def test_the_flow_is_that_of_magnitudes_without_norms(kind: str) -> None:
    ours = network(kind)
    assert score("synflow", ours) == pytest.approx(formulas.synflow(ours, (3, SIZE, SIZE)), rel=1e-9)


@pytest.mark.parametrize(("kind", "last"), [("ResNet", "1"), ("MobileNet", "3"), ("VGG", "5"), ("SiLU, SE", "2")])
def test_zens_distance_and_scales_are_those_of_its_batch_norms(kind: str, last: str) -> None:
    ours = network(kind)
    images = noise("noise", 0, 8, SIZE, CLASSES).images.double()
    assert score("zen", ours, init="given") == pytest.approx(formulas.zen(ours, images, last), rel=1e-9)


def test_signs_are_those_of_each_image_alone(kind: str) -> None:
    ours, given = network(kind), exact(4)
    signs: dict[int, torch.Tensor] = {}
    for image, label in zip(given.images.split(1), given.labels.split(1), strict=True):
        for place, (_, gradient) in enumerate(formulas.gradients(ours, image, label)):
            signs[place] = signs.get(place, torch.zeros(())) + gradient.sign()
    expected = sum(each.abs().sum().item() for each in signs.values())
    assert score("gradsign", ours, given) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["ResNet", "ViT"])
def test_the_jacobian_of_first_weights_is_that_of_small_steps(kind: str) -> None:
    ours = network(kind)
    given = exact(3)
    logits, jacobian = module_probe(ours, given, ("forward", "weights")).logit_jacobian(7)
    still = formulas.still(ours).eval()
    assert logits.allclose(still(given.images))
    for place, parameter in enumerate(list(still.parameters())[:7]):
        found = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                parameter[(0,) * parameter.ndim] += step
                found.append(still(given.images))
            parameter[(0,) * parameter.ndim] += 1e-6
        torch.testing.assert_close(jacobian[:, :, place], (found[0] - found[1]) / 2e-6, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", ["ViT", "Swin", "ConvNeXt"])
def test_attention_and_smooth_activations_are_differentiated_twice(kind: str) -> None:
    ours, given = network(kind), exact()
    copied = formulas.still(ours)
    layers = formulas.weights(copied)

    def along(step: float, direction: list[torch.Tensor]) -> list[torch.Tensor]:
        with torch.no_grad():
            for weight, each in zip(layers, direction, strict=True):
                weight += step * each
        return list(torch.autograd.grad(F.cross_entropy(copied(given.images), given.labels), layers))

    gradient = along(0, layers)
    ahead, behind = along(1e-5, gradient), along(-2e-5, gradient)
    along(1e-5, gradient)
    expected = -sum((w * (a - b)).sum().item() / 2e-5 for w, a, b in zip(layers, ahead, behind, strict=True))
    assert score("grasp", ours, given) == pytest.approx(expected, rel=1e-5)


# what has a meaning, and what has none

NEVER = {"linear_regions": "such form", "swap_regularised": "largest network", "skip_span": "made of none"}
SMOOTH = {
    "nwot": "bends elsewhere",
    "swap": "bends elsewhere",
    "synflow": "pass on",
    "synflow_bn": "pass on",
    "logsynflow": "without bounds",
    "wrcor": "has none",
}
NO_BATCH_NORM = {"zen": "no term for another norm"}
FIXED_SIZE = {"meco": "does not run on images"}
ONE_STAGE = {"kdsvd": "one alone"}
NO_BLOCKS = dict.fromkeys(("az_expressivity", "az_progressivity", "az_trainability", "wrcor"), "name blocks")
ALIKE = {"epsilon": "all channels are alike"}
REFUSED = {
    "ResNet": {},
    "VGG": FIXED_SIZE | NO_BLOCKS,
    "MobileNet": {"synflow": "upper end", "logsynflow": "upper end"},
    "group norm": NO_BATCH_NORM,
    "SiLU, SE": SMOOTH | ONE_STAGE,
    "ConvNeXt": SMOOTH | NO_BATCH_NORM | ALIKE,
    "ViT": SMOOTH | NO_BATCH_NORM | FIXED_SIZE | ONE_STAGE | ALIKE,
    "Swin": SMOOTH | NO_BATCH_NORM | FIXED_SIZE | ONE_STAGE | ALIKE | {"fisher": "folded", "dextr": "to be found"},
}


def test_every_proxy_gives_a_number_or_says_why_there_is_none(kind: str) -> None:
    found = score_modules(EVERY, example(kind), batch(), teacher=example(kind, seed=1))
    assert list(found) == NAMES
    expected = NEVER | REFUSED[kind]
    assert {name for name, one in found.items() if isinstance(one, NotApplicable)} == set(expected)
    for name, one in found.items():
        if isinstance(one, NotApplicable):
            assert re.search(expected[name], str(one)), one
        else:
            assert math.isfinite(one.value), name


# however it is spelled

RELUS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "F.relu": F.relu,
    "in place": lambda x: F.relu(x, inplace=True),
    "torch.relu_": torch.relu_,
    "Tensor.relu_": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_": lambda x: x.clamp_(0),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, math.inf),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "aten": torch.ops.aten.relu,
}


class Spelled(nn.Module):
    """Convolutions, with and without norms, a residual block and hidden layers; `relu` says what rectifies."""

    def __init__(self, relu: Callable[[torch.Tensor], torch.Tensor] | None, normed: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(i, 6, 3, padding=1, stride=s) for i, s in ((3, 1), (6, 1), (6, 2)))
        self.norms = nn.ModuleList(nn.BatchNorm2d(6) if normed else nn.Identity() for _ in range(3))
        self.hidden, self.classifier = nn.Linear(6, 12), nn.Linear(12, CLASSES)
        self.relu = relu or nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norms[0](self.convs[0](x)))
        x = self.relu(self.norms[1](self.convs[1](x)) + x)
        x = self.relu(self.norms[2](self.convs[2](x)))
        return self.classifier(self.relu(self.hidden(x.mean((2, 3)))))


class Unmodular(Spelled):
    """The same with nothing but functions of its parameters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for place, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = torch.conv2d(x, conv.weight, conv.bias, stride=conv.stride, padding=1)
            if isinstance(norm, nn.BatchNorm2d):
                y = F.batch_norm(y, None, None, norm.weight, norm.bias, training=True)
            x = torch.relu(y + x if place == 1 else y)
        hidden = torch.addmm(self.hidden.bias, x.mean((2, 3)), self.hidden.weight.t())
        return F.linear(torch.relu(hidden), self.classifier.weight, self.classifier.bias)


def spelled(
    relu: Callable[[torch.Tensor], torch.Tensor] | None, normed: bool, kind: type[Spelled] = Spelled
) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return kind(relu, normed)


MODULAR = ("vkdnw", "vkdnw_entropy", "az_expressivity", "az_progressivity", "az_trainability", "wrcor")
"""They read running statistics and blocks, which take modules."""


@pytest.mark.parametrize("normed", [True, False])
def test_a_networks_scores_do_not_depend_on_how_it_is_written(normed: bool) -> None:
    given, teacher = batch(), spelled(None, normed)
    with torch.no_grad():
        teacher.classifier.weight.mul_(2)  # type: ignore[union-attr, operator]
    observed = observed_teacher(teacher, given, EVERY)
    expected = score_modules(EVERY, spelled(None, normed), given, teacher=observed, blocks=["convs.1", "convs.2"])
    variants = {name: spelled(relu, normed) for name, relu in RELUS.items()}
    variants["functions"] = spelled(None, normed, Unmodular)
    for name, ours in variants.items():
        functions = name == "functions"
        readers = [proxy for proxy in EVERY if not functions or proxy.name not in MODULAR]
        more = {} if functions else {"blocks": ["convs.1", "convs.2"]}
        found = score_modules(readers, ours, given, teacher=observed, **more)  # type: ignore[arg-type]
        for proxy in readers:
            one, wanted = found[proxy.label], expected[proxy.label]
            if isinstance(wanted, NotApplicable):
                assert str(one) == str(wanted)
            else:
                assert isinstance(one, ModuleScore), f"{name}, {proxy.name}: {one}"
                assert one.value == pytest.approx(wanted.value, rel=1e-5, abs=1e-7), f"{name}, {proxy.name}"


def test_relu6_is_seen_however_it_is_called() -> None:
    given = batch()
    ways = [nn.ReLU6(), nn.ReLU6(inplace=True), F.relu6, lambda x: F.hardtanh(x, 0, 6), lambda x: x.clamp(0, 6)]
    found = [score("nwot", spelled(way, True), given) for way in ways]
    assert len(set(found)) == 1
    assert found[0] == score("nwot", spelled(None, True), given)  # nothing is above 6 here


@pytest.mark.parametrize(
    "bend",
    [
        torch.sigmoid,
        lambda x: torch.where(x > 0, x, 0.1 * x),
        lambda x: x * (x > 0),
        lambda x: torch.maximum(x, torch.zeros_like(x)),
        lambda x: x.clamp(-1, 1),
        nn.Hardtanh(),
        lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
        nn.Hardswish(),
        nn.Softplus(),
    ],
)
def test_codes_of_rectifiers_say_nothing_where_something_else_bends(
    bend: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    class Mixed(Spelled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(bend(self.convs[0](x)).mean(1, keepdim=True).expand(-1, 3, -1, -1))

    with pytest.raises(NotApplicable, match="bends elsewhere too"):
        score("nwot", spelled(None, True, Mixed))
    with pytest.raises(NotApplicable):
        score("synflow", spelled(None, True, Mixed))


# what draws


def test_a_declared_initialisation_is_drawn_on_a_copy_by_position() -> None:
    ours, other = example("ResNet"), example("ResNet", seed=1)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    for name in ("swap", "zen", "grad_norm_all"):
        assert score(name, ours) == score(name, other)
    assert score("zen", ours) != score("zen", ours, seed=1)
    assert score("nwot", ours) != score("nwot", other)
    assert score("nwot", ours, init="kaiming") == score("nwot", other, init="kaiming")
    assert score("nwot", ours) == score("nwot", ours, init="given")
    assert all(value.equal(before[name]) for name, value in ours.state_dict().items())
    with pytest.raises(BadUsage, match="unknown initialisation 'kayming': did you mean 'kaiming'"):
        score("nwot", ours, init="kayming")


@pytest.mark.parametrize("init", ["default", "kaiming", "gaussian"])
def test_an_initialisation_has_the_rules_of_the_spaces_draws(init: str) -> None:
    ours = example("ViT")
    with torch.no_grad():
        ours.norm.weight.fill_(3)  # type: ignore[union-attr, operator]
    probe = module_probe(ours, batch(), ("weights",), init=init, seed=5)
    drawn, given = probe.parameters, dict(ours.named_parameters())
    weight = drawn["blocks.0.mix.0.weight"]
    bound = {"default": 1 / 4 / 3**0.5, "kaiming": (2 / 16) ** 0.5, "gaussian": 1.0}[init]
    assert weight.std().item() == pytest.approx(bound, rel=0.1)
    assert weight.abs().max().item() <= (0.25 if init == "default" else math.inf)
    assert bool(drawn["blocks.0.mix.0.bias"].any()) == (init == "default")
    assert drawn["norm.weight"].eq(1).all()
    assert drawn["norm.bias"].eq(0).all()
    for kept in ("token", "positions"):
        assert drawn[kept].equal(given[kept])
    assert not drawn["blocks.0.mix.0.weight"].equal(
        module_probe(ours, batch(), ("weights",), init=init).parameters["blocks.0.mix.0.weight"]
    )


def test_dropout_is_drawn_by_the_scores_seed() -> None:
    ours = example("VGG")
    torch.manual_seed(0)
    first = score("snip", ours)
    torch.manual_seed(1)
    assert score("snip", ours) == first
    assert score("snip", ours, seed=1) != first
    assert score("snip", network("VGG"), seed=1) == score("snip", network("VGG"))


# what is frozen


@pytest.mark.parametrize("kind", ["ResNet", "ViT"])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_frozen_parameters_are_parameters(kind: str, share: float) -> None:
    free, frozen, given = example(kind), example(kind), batch()
    parameters = list(frozen.parameters())
    for parameter in parameters[: int(share * len(parameters))]:
        parameter.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in parameters]
    expected, found = (score_modules(EVERY, one, given, teacher=free) for one in (free, frozen))
    assert {name: str(one) for name, one in found.items()} == {name: str(one) for name, one in expected.items()}
    assert [parameter.requires_grad for parameter in frozen.parameters()] == flags
    assert found["params"] == ModuleScore(sum(parameter.numel() for parameter in parameters))
    assert all(parameter.grad is None for parameter in parameters)


def test_a_network_that_cuts_gradients_off_says_so() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.classifier = example("ResNet")[:2], nn.Linear(16, CLASSES)  # type: ignore[index]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                x = self.body(x)
            return self.classifier(x.mean((2, 3)))

    found = score_modules(registry.create_all("snip,grad_norm,params,fisher,jacov,grasp"), Cut(), batch())
    for name in ("snip", "grad_norm", "grasp", "fisher"):
        one = found[name]
        assert isinstance(one, ModuleScore), one
        assert "6 of 7 layers" in one.notes[0]
    assert found["params"] == ModuleScore(sum(one.numel() for one in Cut().parameters()))


# what comes with it


def test_a_share_of_weights_without_a_gradient_is_said() -> None:
    ours = example("ResNet")
    nn.init.zeros_(ours.get_parameter("1.0.inner.1.1.weight"))
    nn.init.zeros_(ours.get_parameter("1.1.inner.1.1.weight"))
    for name in ("snip", "grasp", "grad_norm", "fisher"):
        (note,) = score_module(registry.create(name), ours, batch()).notes
        assert "4 of 7 layers, with 95% of the weights, have gradients of exactly zero" in note
    assert score_module(registry.create("nwot"), ours, batch()).notes == ()
    assert score_module(registry.create("snip"), example("ResNet"), batch()).notes == ()
    together = score_modules(registry.create_all("snip,nwot,grad_norm"), ours, batch())
    assert [len(one.notes) for one in together.values() if isinstance(one, ModuleScore)] == [1, 0, 1]


def test_two_batches_are_the_halves_of_one_unless_a_second_is_given() -> None:
    ours, given = example("ResNet"), batch()
    halves = score_module(registry.create("zico"), ours, given)
    assert halves.notes == ("the two batches are the halves of the one given",)
    first, second = (Batch(given.images[part], given.labels[part], "") for part in (slice(4), slice(4, 8)))
    given_both = score_module(registry.create("zico"), ours, first, second=second)
    assert given_both == ModuleScore(halves.value)
    with pytest.raises(NotApplicable, match="two batches"):
        score("zico", ours, batch(1))


def test_a_teacher_keeps_its_mode_and_its_weights() -> None:
    teacher, ours, given = example("ResNet", seed=1), example("ResNet"), batch()
    training = score("kd", ours, given, teacher=teacher)
    assert score("diswot:variant=released", ours, given, teacher=teacher) == score(
        "diswot:variant=released", ours, given, teacher=observed_teacher(teacher, given, EVERY)
    )
    teacher.eval()
    with torch.no_grad():
        expected = formulas.logits_of(teacher(given.images))
    probe = observed_teacher(teacher, given, EVERY)
    assert probe.logits.equal(expected)
    assert score("kd", ours, given, teacher=teacher) != training
    with pytest.raises(NotApplicable, match="give one"):
        score("kd", ours, given)


def test_networks_that_cannot_be_compared_say_why() -> None:
    class Other(Spelled):
        def __init__(self) -> None:
            super().__init__(None, True)
            self.classifier = nn.Linear(12, 7)

    ours, teacher = example("ResNet"), Other()
    found = score_modules(EVERY, ours, batch(), teacher=teacher)
    assert "the teacher has 7, the student 5" in str(found["kd"])
    assert "the teacher has 7, the student 5" in str(found["dkd"])
    assert "channels" in str(found["diswot"])
    assert "channels" in str(found["fitnet"])
    named = score_modules(registry.create_all("at,nst"), ours, batch(), teacher=example("ViT"))
    assert "compares stage with stage: the teacher has 1, the student 2" in str(named["at"])


def test_scores_in_company_are_those_alone() -> None:
    ours, given, teacher = example("ResNet"), batch(), example("ResNet", seed=1)
    together = score_modules(EVERY, ours, given, teacher=teacher)
    for proxy in EVERY[::3]:
        assert together[proxy.label] == score_modules([proxy], ours, given, teacher=teacher)[proxy.label] or isinstance(
            together[proxy.label], NotApplicable
        )
