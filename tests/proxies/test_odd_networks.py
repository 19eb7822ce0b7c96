"""On networks that lack what most have, every proxy gives a finite number or a reason, and never fails otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from stacks import Build, StackSkeleton, drawn, space_probe
from torch import nn

from images.base import Batch
from probe.needs import NEEDS
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import ModuleScore, score_modules
from proxies.testing import make_batch
from spaces.draw import Draw
from spaces.output import Output
from spaces.space import Skeleton

pytestmark = pytest.mark.slow

EVERY = registry.create_all("all")


class Parts(nn.Module):
    """Parts one after the other, each a block, and a classifier; `stages` are the numbers of those that end one."""

    def __init__(self, parts: list[nn.Module], classifier: nn.Module, stages: tuple[int, ...]) -> None:
        super().__init__()
        self.parts, self.classifier, self.stages = nn.ModuleList(parts), classifier, stages

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.parts)

    def forward(self, x: torch.Tensor) -> Output:
        maps = []
        for part in self.parts:
            x = part(x)
            maps.append(x)
        pooled = x.mean((2, 3))
        return Output(self.classifier(pooled), pooled, tuple(maps[number] for number in self.stages))


def normed(draw: Draw, place: str, widths: tuple[int, int], *behind: nn.Module, stride: int = 1) -> nn.Module:
    return nn.Sequential(*draw.conv_bn(place, *widths, 3, stride), *behind)


def one_stage(skeleton: Skeleton, draw: Draw) -> nn.Module:
    C = skeleton.channels
    parts = [normed(draw, "0", (3, C), nn.ReLU()), normed(draw, "1", (C, C), nn.ReLU())]
    return Parts(parts, draw.linear("c", C, 5), (1,))


def one_block(skeleton: Skeleton, draw: Draw) -> nn.Module:
    C = skeleton.channels
    return Parts([normed(draw, "0", (3, C), nn.ReLU())], draw.linear("c", C, 5), (0,))


def late_relu(skeleton: Skeleton, draw: Draw) -> nn.Module:
    """The only rectifiers are behind the first stage."""
    C = skeleton.channels
    parts = [normed(draw, "0", (3, C)), normed(draw, "1", (C, C), nn.ReLU(), stride=2)]
    return Parts(parts, draw.linear("c", C, 5), (0, 1))


def no_relu(skeleton: Skeleton, draw: Draw) -> nn.Module:
    C = skeleton.channels
    parts = [normed(draw, "0", (3, C)), normed(draw, "1", (C, C), stride=2)]
    return Parts(parts, draw.linear("c", C, 5), (0, 1))


def one_layer(skeleton: Skeleton, draw: Draw) -> nn.Module:
    return Parts([nn.Identity()], draw.linear("c", 3, 5), (0,))


class Unlisted(nn.Module):
    """No list of blocks and no stages."""

    def __init__(self, skeleton: Skeleton, draw: Draw) -> None:
        super().__init__()
        self.conv = normed(draw, "0", (3, skeleton.channels), nn.ReLU())
        self.classifier = draw.linear("c", skeleton.channels, 5)

    def forward(self, x: torch.Tensor) -> Output:
        pooled = self.conv(x).mean((2, 3))
        return Output(self.classifier(pooled), pooled, ())


NO_RECTIFIER = dict.fromkeys(("nwot", "swap", "swap_regularised", "linear_regions", "wrcor"), "this network has none")
NO_BLOCK = {"az_progressivity": "one map alone", "az_trainability": "none behind the stem"}
NO_MAPS = dict.fromkeys(
    ("diswot", "diswot_relation", "zen", "linear_regions", "at", "fitnet", "ickd", "kdsvd", "nst", "sp"),
    "none was found",
)
NO_LIST = dict.fromkeys(("az_expressivity", "az_progressivity", "az_trainability"), "no list `blocks`")
NO_LIST |= {"wrcor": "name blocks"}
NO_CONVOLUTION = {"auto_das_student": "has none"}
NO_CELL = {"skip_span": "made of none"}
ONE_STAGE = {"kdsvd": "one alone"}

IN_A_SPACE: dict[str, tuple[Build, dict[str, str]]] = {
    "one stage": (one_stage, ONE_STAGE),
    "one block": (one_block, ONE_STAGE | NO_BLOCK),
    "no ReLU": (no_relu, NO_RECTIFIER),
    "late ReLU": (late_relu, {"linear_regions": "on the first stage"}),
    "one layer": (one_layer, NO_RECTIFIER | ONE_STAGE | NO_BLOCK | NO_CONVOLUTION | {"meco": "no layer puts out"}),
    "unlisted": (Unlisted, NO_MAPS | NO_LIST),
}
SINGULAR = {"no ReLU", "one layer"}
"""A network that is linear between batch norms has equal rows in the kernel of `ntk`, which then is minus infinity."""


def told(name: str, outcome: float | NotApplicable, reasons: dict[str, str], infinite: bool) -> None:
    if name in reasons:
        assert isinstance(outcome, NotApplicable), f"{name}: {outcome}"
        assert reasons[name] in str(outcome)
    elif name == "ntk" and infinite:
        assert outcome == -math.inf
    else:
        assert not isinstance(outcome, NotApplicable), f"{name}: {outcome}"
        assert math.isfinite(outcome), name


@pytest.mark.parametrize("name", IN_A_SPACE)
def test_an_odd_network_of_a_space(name: str) -> None:
    build, reasons = IN_A_SPACE[name]
    student, teacher = (space_probe(build, make_batch(6), NEEDS, seed=seed) for seed in (0, 1))
    for proxy in EVERY:
        try:
            outcome: float | NotApplicable = proxy.score(student, teacher)
        except NotApplicable as reason:
            outcome = reason
        told(proxy.label, outcome, NO_CELL | reasons, name in SINGULAR)


NO_MODULE_BLOCKS = dict.fromkeys(("az_expressivity", "az_progressivity", "az_trainability", "wrcor"), "name blocks")
NEVER = NO_CELL | {"linear_regions": "such form", "swap_regularised": "largest network"}
NO_MODULE_RECTIFIER = dict.fromkeys(("nwot", "swap", "wrcor"), "this network has none")
NO_MODULE_MAPS = dict.fromkeys(set(NO_MAPS) - {"linear_regions"}, "none was found") | {"meco": "does not run on"}

NOT_POOLED = dict.fromkeys(("cc", "cka", "diswot", "diswot_semantic", "pkt", "rkd"), "reads a vector")


def head(width: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)]


OF_ONES_OWN: dict[str, tuple[Callable[[], nn.Module], dict[str, str]]] = {
    "one stage": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *head(4)),
        NO_MODULE_BLOCKS | ONE_STAGE,
    ),
    "one block": (lambda: one_block(StackSkeleton(), drawn()), NO_MODULE_BLOCKS | ONE_STAGE),
    "no ReLU": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, 2), *head(6)),
        NO_MODULE_BLOCKS | NO_MODULE_RECTIFIER,
    ),
    "one layer": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5)),
        NO_MODULE_BLOCKS | NO_MODULE_RECTIFIER | NO_MODULE_MAPS | NO_CONVOLUTION,
    ),
    "one convolution": (
        lambda: nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()),
        NO_MODULE_BLOCKS | NO_MODULE_RECTIFIER | ONE_STAGE | NOT_POOLED,
    ),
    "perceptron": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, 5)),
        NO_MODULE_BLOCKS | NO_MODULE_MAPS | NO_CONVOLUTION,
    ),
}


@pytest.mark.parametrize("name", OF_ONES_OWN)
def test_an_odd_network_of_ones_own(name: str) -> None:
    make, reasons = OF_ONES_OWN[name]
    torch.manual_seed(0)
    found = score_modules(EVERY, make(), make_batch(6), teacher=make())
    for label, one in found.items():
        told(label, one.value if isinstance(one, ModuleScore) else one, NEVER | reasons, False)


COMPARE = dict.fromkeys(("jacov", "epe_nas", "ntk", "ntk_distance", "sp", "pkt", "cc", "diswot", "zen", "swap"), 2)
COMPARE |= dict.fromkeys(("diswot_relation", "nwot", "wrcor", "gradsign", "gradsign_mean", "swap_regularised"), 2)
COMPARE |= dict.fromkeys(("epsilon", "rkd", "ntk_alignment"), 3)


class Cut(nn.Module):
    """A network that makes its logits without a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = OF_ONES_OWN["one stage"][0]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.inner(x)


def test_without_a_graph_nothing_is_differentiated() -> None:
    found = score_modules(EVERY, Cut(), make_batch(6), teacher=Cut())
    assert isinstance(found["nwot"], ModuleScore)
    for label in ("synflow", "synflow_bn", "logsynflow", "ntk", "ntk_alignment", "auto_das_student"):
        assert "without a graph" in str(found[label]), label


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_teachers_and_students_may_differ_in_precision(kind: torch.dtype) -> None:
    def make() -> nn.Module:
        torch.manual_seed(0)
        wide = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        return wide.append(nn.Conv2d(6, 8, 3, 2, 1)).append(nn.ReLU()).extend(head(8))

    readers = [proxy for proxy in EVERY if "teacher" in proxy.needs]
    for student, teacher in ((make().to(kind), make()), (make(), make().to(kind))):
        found = score_modules(readers, student, make_batch(6), teacher=teacher)
        assert all(isinstance(one, ModuleScore) for one in found.values())


@pytest.mark.parametrize("name", OF_ONES_OWN)
def test_one_image_is_enough_or_refused(name: str) -> None:
    torch.manual_seed(0)
    make, one = OF_ONES_OWN[name][0], make_batch(1)
    for batch in (one, Batch(torch.zeros_like(one.images), one.labels, "")):
        found = score_modules(EVERY, make(), batch, teacher=make())
        assert len(found) == len(EVERY)
        for label, least in COMPARE.items():
            assert str(found[label]) == f"{label} compares images: it takes {least} or more, and here is 1"


def test_images_of_a_class_are_compared_where_there_are_two_of_one() -> None:
    torch.manual_seed(0)
    network, batch = OF_ONES_OWN["one stage"][0](), make_batch(4)
    apart = Batch(batch.images, torch.arange(4), "")
    said = str(score_modules([registry.create("epe_nas")], network, apart)["epe_nas"])
    assert said == "epe_nas compares images of a class: it takes 2 of one, and here is 1"
    pair = Batch(batch.images, torch.tensor([0, 1, 2, 2]), "")
    assert isinstance(score_modules([registry.create("epe_nas")], network, pair)["epe_nas"], ModuleScore)
