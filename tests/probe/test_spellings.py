"""One network is one network however it is written, and what cannot be seen is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from images.base import Batch
from probe.module.examples import CLASSES, SIZE
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import ModuleScore, score_module, score_modules

pytestmark = pytest.mark.slow

EVERY = registry.create_all("all")


def batch() -> Batch:
    images = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(6) % CLASSES, "")


class Small(nn.Module):
    """Two convolutions and a classifier; how they are applied, and what is between and behind them, is said."""

    def __init__(
        self,
        relu: Callable[[torch.Tensor], torch.Tensor] = F.relu,
        read: Callable[[nn.Linear, torch.Tensor], torch.Tensor] = nn.Linear.forward,
        last: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, 2, 1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(8)])
        self.classifier = nn.Linear(8, CLASSES)
        self.relu, self.read, self.last = relu, read, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norms[0](self.first(x)))
        x = self.relu(self.norms[1](self.second(x)))
        return self.last(self.read(self.classifier, x.mean((2, 3))))


def outcome(name: str, network: nn.Module) -> float | str:
    try:
        return score_module(registry.create(name), network, batch()).value
    except NotApplicable as reason:
        return str(reason)


CLASSIFIERS: dict[str, Callable[[nn.Linear, torch.Tensor], torch.Tensor]] = {
    "@ and +": lambda layer, x: x @ layer.weight.T + layer.bias,
    "in place": lambda layer, x: torch.mm(x, layer.weight.t()).add_(layer.bias),
    "the other way round": lambda layer, x: layer.bias + torch.matmul(x, layer.weight.mT),
    "addmm": lambda layer, x: torch.addmm(layer.bias, x, layer.weight.T),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_bias_that_is_added_by_hand_belongs_to_its_layer(name: str) -> None:
    expected, found = (
        score_modules(EVERY, Small(read=read), batch(), teacher=Small())
        for read in (nn.Linear.forward, CLASSIFIERS[name])
    )
    for label, one in expected.items():
        if isinstance(one, ModuleScore):
            assert found[label] == ModuleScore(pytest.approx(one.value, rel=1e-4, abs=1e-6), one.notes), label


def zeros(x: torch.Tensor) -> torch.Tensor:
    return 0 * x


@pytest.mark.parametrize(
    "relu",
    [
        lambda x: torch.fmax(x, zeros(x)),
        lambda x: -torch.fmin(-x, zeros(x)),
        lambda x: torch.stack([x, zeros(x)]).amax(0),
        lambda x: torch.stack([x, zeros(x)]).max(0).values,
        lambda x: torch.stack([x, zeros(x)], 1).amax(dim=1),
        lambda x: x.sort(1).values,
        lambda x: x.topk(x.shape[1], 1).values,
        lambda x: x.amax(1, keepdim=True) + x,
        lambda x: torch.logaddexp(x, zeros(x)),
        torch.log1p,
        torch.round,
    ],
    ids=["fmax", "fmin", "amax", "max", "amax of a stack", "sort", "topk", "channels", "logaddexp", "log1p", "round"],
)
def test_what_bends_in_a_way_of_its_own_is_no_rectifier(relu: Callable[[torch.Tensor], torch.Tensor]) -> None:
    for name, reason in {"near": "made by hand", "nwot": "bends elsewhere", "synflow": "made by hand"}.items():
        assert reason in str(outcome(name, Small(relu)))


def test_an_extreme_over_pixels_is_a_pooling() -> None:
    network = Small()
    network.last = torch.clone

    class Pooled(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(F.relu(self.norms[0](self.first(x))).repeat(1, 2, 1, 1)[:, :8].amax((2, 3)))

    for name in ("near", "nwot", "synflow"):
        assert isinstance(outcome(name, Pooled()), float)


ENDS = {
    "softmax": lambda z: z.softmax(1),
    "functional": lambda z: F.softmax(z, dim=1),
    "sigmoid": torch.sigmoid,
    "special": lambda z: torch.special.softmax(z, 1),
}
LOGARITHMS = {
    "log_softmax": lambda z: F.log_softmax(z, 1),
    "special": lambda z: torch.special.log_softmax(z, 1),
    "log of softmax": lambda z: z.softmax(1).log(),
}
READ_LOGITS = "snip,plain,grad_norm,fisher,grasp,kd,dkd,jacov,epe_nas,ntk,ntk_alignment,vkdnw,gradsign,zico,epsilon"
FLOWS = "synflow,synflow_bn,logsynflow"
SUMS = f"{FLOWS},jacov,epe_nas,ntk,ntk_alignment,auto_das_student,epsilon,dextr"
SAME = "snip,plain,grad_norm,fisher,grasp,kd,dkd,vkdnw,gradsign,zico,near,nwot,l2_norm,zen"


@pytest.mark.parametrize("name", ENDS)
def test_probabilities_are_no_class_scores(name: str) -> None:
    readers = registry.create_all(f"{READ_LOGITS},{FLOWS}")
    for label, one in score_modules(readers, Small(last=ENDS[name]), batch(), teacher=Small()).items():
        assert isinstance(one, NotApplicable), label
        assert "it reads class scores, and Small ends in" in str(one) or "activation" in str(one), label
    for label, one in score_modules(
        registry.create_all("kd"), Small(), batch(), teacher=Small(last=ENDS[name])
    ).items():
        assert "the teacher Small ends in" in str(one), label


@pytest.mark.parametrize("name", LOGARITHMS)
def test_logarithms_of_probabilities_do_where_the_cross_entropy_is_read(name: str) -> None:
    network, teacher = Small(last=LOGARITHMS[name]), Small(F.gelu)
    for label, one in score_modules(registry.create_all(SUMS), network, batch(), teacher=teacher).items():
        assert "ends in log_softmax: hand in the network without it" in str(one), label
    same = registry.create_all(SAME)
    expected = score_modules(same, Small(), batch(), teacher=teacher)
    for label, one in score_modules(same, network, batch(), teacher=teacher).items():
        assert isinstance(one, ModuleScore), label
        assert one.value == pytest.approx(expected[label].value, rel=1e-2 if label == "zico" else 1e-3), label  # type: ignore[union-attr]


def test_class_scores_as_a_map_are_no_feature_map() -> None:
    """As of SqueezeNet: a convolution of one pixel in front of the pooling is the classifier."""
    pooled = Small(F.relu)

    class Squeeze(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.norms[1](self.second(F.relu(self.norms[0](self.first(x))))))
            return F.conv2d(x, self.classifier.weight[..., None, None], self.classifier.bias).mean((2, 3))

    assert outcome("zen", Squeeze()) == pytest.approx(outcome("zen", pooled), rel=1e-5)
