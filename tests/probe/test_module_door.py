"""What is handed in with a network of one's own is looked at first: what is wrong with it is told in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.quantization import quantize_dynamic
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

from common.errors import BadInput, BadUsage
from images.base import Batch
from probe.module.examples import CLASSES, SIZE, example
from probe.module.probe import module_probe
from proxies import registry
from proxies.base import NotApplicable, Proxy, Reference
from proxies.module import ModuleScore, observed_teacher, score_module, score_modules
from proxies.nwot import NWOT

EVERY = registry.create_all("all")


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def batch(pixels: Any = None, labels: Any = (0, 1, 2, 3)) -> Batch:
    return Batch(images() if pixels is None else pixels, labels, "")


def score(network: Any = None, given: Any = None, proxy: Any = None, **options: Any) -> float:
    network = example("ResNet") if network is None else network
    return score_module(proxy or registry.create("nwot"), network, given or batch(), **options).value


def held(parameter: nn.Parameter) -> nn.Module:
    network = nn.Module()
    network.weight = parameter
    return network


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.ReLU, "network is the class ReLU: hand in a network of it, ReLU(...)"),
        (lambda x: x, "network is a function: hand in an nn.Module"),
        (torch.relu, "network is a function: hand in an nn.Module"),
        ("resnet18", "network is 'resnet18': hand in an nn.Module"),
        ({"a": nn.ReLU()}, "network is of type dict: hand in an nn.Module"),
        (nn.Linear(2, 2, device="meta"), "network: Linear is on the meta device"),
        (
            nn.DataParallel(nn.Linear(2, 2)),
            "network: DataParallel spreads batches over devices (DataParallel): use the `.",
        ),
        (held(nn.Parameter(torch.ones(2, 2, dtype=torch.int8), False)), "network: Module is quantised: the weights of"),
        (
            torch.jit.script(nn.Linear(2, 2)),
            "network: RecursiveScriptModule is TorchScript, whose calls cannot be seen",
        ),
        (nn.Linear(2, 2, dtype=torch.complex64), "network: Linear has complex parameters, and formulas are of real"),
        (held(nn.Parameter(torch.eye(2).to_sparse())), "network: Module holds sparse_coo tensors"),
    ],
    ids=["class", "lambda", "function", "text", "dict", "meta", "parallel", "whole", "script", "complex", "sparse"],
)
def test_what_is_no_network_is_told(network: Any, words: str) -> None:
    for run in (lambda: score(network), lambda: module_probe(network, batch(), ("forward",))):
        with pytest.raises(BadInput, match=re.escape(words)):
            run()
    with pytest.raises(BadInput, match=re.escape(words.replace("network", "teacher", 1))):
        score(teacher=network)
    with pytest.raises(BadInput, match=re.escape(words.replace("network", "teacher", 1))):
        observed_teacher(network, batch(), EVERY)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_quantised_network_is_told_by_all_proxies() -> None:
    packed = quantize_dynamic(example("ResNet"), {nn.Linear})
    for proxy in registry.create_all("params,flops,nwot,l2_norm"):
        with pytest.raises(BadInput, match="network: Sequential is quantised: the weights of"):
            score(packed, proxy=proxy)


def test_none_is_no_network() -> None:
    with pytest.raises(BadInput, match=r"network is None: hand in an nn\.Module"):
        score_module(NWOT(), None, batch())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (4.5, "batch is of type float: hand in an images.base.Batch"),
        ((images(), [0, 1, 2, 3]), "batch is of type tuple"),
        (batch("cat.png"), "images of type str make no tensor"),
        (batch([images()[0].tolist(), [1.0]]), "images of type list make no tensor"),
        (batch(images().byte()), "images are torch.uint8 [4, 3, 16, 16]: hand in floating point"),
        (batch(images()[0]), "images are torch.float32 [3, 16, 16]: hand in floating point"),
        (batch(images()[:0], ()), "images are torch.float32 [0, 3, 16, 16]"),
        (batch(images() * torch.nan), "images hold NaN"),
        (batch(images() / 0), "images hold NaN or infinity"),
        (batch(torch.empty(4, 3, SIZE, SIZE, device="meta")), "images are on the meta device"),
        (batch(images().to_sparse()), "images are sparse_coo: hand in floating point"),
        (batch(torch.quantize_per_tensor(images(), 0.1, 0, torch.qint8)), "images are quantised: hand in"),
        (batch(labels=torch.arange(4).to_sparse()), "labels are sparse_coo: hand in whole numbers [4], dense"),
        (batch(labels="abcd"), "labels of type str make no tensor"),
        (batch(labels=[0, 1]), "labels are torch.int64 [2]: hand in whole numbers [4]"),
        (batch(labels=torch.eye(4)), "labels are torch.float32 [4, 4]: hand in whole numbers [4]"),
        (batch(labels=[0.0, 1.0, 2.0, 3.0]), "labels are torch.float32 [4]: hand in whole numbers [4]"),
        (batch(labels=torch.zeros(4, dtype=torch.int64, device="meta")), "labels are on the meta device"),
        (batch(labels=[0, 1, 2, CLASSES]), f"labels are 0 to {CLASSES}"),
    ],
)  # fmt: skip
def test_what_is_no_batch_is_told(given: Any, words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)):
        score(given=given)
    if "labels are 0" not in words:
        with pytest.raises(BadInput, match=re.escape(words.replace("batch", "second", 1))):
            score(second=given)


@pytest.mark.slow
def test_the_teacher_is_called_one() -> None:
    teacher = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(BadInput, match="labels are 0 to 3, and the teacher Sequential scores 2 classes"):
        score(proxy=registry.create("diswot"), teacher=teacher)


@pytest.mark.slow
def test_a_stage_that_is_unknown_is_told_those_with_a_name() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Flatten(2)).append(nn.AvgPool1d(SIZE**2)).append(nn.Flatten())
    for name in ("layer", ""):
        with pytest.raises(BadUsage, match=r"'(layer|)': known: 0, 1, 2, 3$"):
            score(network, proxy=registry.create("zen"), stages=[name])


@pytest.mark.parametrize("value", [None, 3, "scores"])
def test_a_network_that_returns_no_tensor_is_told(value: Any) -> None:
    network = nn.Linear(1, 1)
    network.forward = lambda _: value  # type: ignore[method-assign]
    with pytest.raises(BadInput, match=f"Linear returns {type(value).__name__} without a tensor"):
        score(network)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pixels", [lambda: images().numpy(), lambda: images().tolist(), lambda: images().double().numpy()]
)
def test_arrays_and_lists_are_images(pixels: Callable[[], Any]) -> None:
    assert score(given=batch(pixels(), np.arange(4))) == score()
    assert module_probe(example("ResNet"), batch(pixels()), ("forward",)).logits.shape == (4, CLASSES)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stages": []}, r"stages is \[\]: hand in names of modules"),
        ({"blocks": ()}, r"blocks is \[\]: hand in names of modules"),
        ({"stages": "layer1"}, "stages is 'layer1': hand in names of modules"),
        ({"stages": 3}, "stages is 3: hand in names of modules"),
        ({"blocks": [nn.ReLU()]}, r"blocks is \[ReLU\(\)\]: hand in names"),
        ({"seed": "a"}, "seed is 'a': hand in a whole number"),
        ({"seed": 1.5}, "seed is 1.5: hand in a whole number"),
        ({"init": "kaimin"}, "unknown initialisation 'kaimin'"),
        ({"proxy": "nwot"}, r"proxy is 'nwot': hand in one that is made"),
        ({"proxy": NWOT}, "proxy is <class"),
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadUsage, match=words):
        score(**options)


@dataclass(frozen=True)
class Declares(Proxy):
    name = "declares"
    family = "test"
    needs = ("forwards",)
    reference = Reference("t", 2026, "", "")

    def score(self, student: Any, teacher: Any) -> float:
        return 0.0


@pytest.mark.slow
def test_needs_are_words_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadUsage, match="unknown word in needs of declares 'forwards': did you mean 'forward'"):
        score(proxy=Declares())
    monkeypatch.setattr(Declares, "needs", ("forward"))
    with pytest.raises(BadUsage, match="needs of declares is 'forward': it has to be a tuple"):
        score(proxy=Declares())
    for needs in ("forward", 3):
        with pytest.raises(BadUsage, match="it has to be a tuple of words"):
            module_probe(example("ResNet"), batch(), needs)  # type: ignore[arg-type]
    assert module_probe(example("ResNet"), batch(), iter(("forward",))).loss.isfinite()


LABELS = {"dkd", "diswot", "diswot_semantic", "epe_nas", "fisher", "grad_norm", "gradsign", "grasp", "plain", "snip"}
LABELS |= {"gradsign_mean", "wrcor", "zico"}


@pytest.mark.slow
def test_labels_are_asked_for_by_those_who_read_them() -> None:
    network, teacher = example("ResNet"), example("ResNet", seed=1)
    expected = score_modules(EVERY, network, batch(), teacher=teacher)
    found = score_modules(EVERY, network, batch(labels=None), teacher=teacher)
    for name, one in found.items():
        if name in LABELS:
            assert str(one) == "it reads labels: give them with the images", name
        elif isinstance(one, ModuleScore):
            assert one == expected[name], name
        else:
            assert str(one) == str(expected[name])
    with pytest.raises(NotApplicable, match="it reads labels"):
        score(given=batch(labels=None), proxy=registry.create("snip"))


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = checkpoint(self.body, pixels.clone().requires_grad_(), use_reentrant=self.reentrant)
        return self.head(seen.mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("reentrant", [False, True])
def test_a_network_that_runs_a_part_again_is_refused_and_stays_as_it_was(reentrant: bool) -> None:
    network = Checkpointed(reentrant)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batch = Batch(torch.randn(4, 3, 8, 8), torch.arange(4), "")
    for name in ("snip", "nwot", "synflow"):
        with pytest.raises(BadInput, match="switch checkpointing off"):
            score_module(registry.create(name), network, batch, init="gaussian")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = self.conv(pixels).clone()
        seen[seen < 0] = 0
        return self.head(seen.mean((2, 3)))


@pytest.mark.slow
def test_a_call_that_writes_and_returns_nothing_is_followed() -> None:
    batch = Batch(torch.randn(4, 3, 8, 8), torch.arange(4), "")
    found = score_module(registry.create("snip"), network := Masked(), batch).value
    loss = nn.functional.cross_entropy(network(batch.images), batch.labels)
    weights = [network.conv.weight, network.head.weight]
    gradients = torch.autograd.grad(loss, weights)
    assert found == pytest.approx(sum((w * g).abs().sum().item() for w, g in zip(weights, gradients, strict=True)))


@pytest.mark.slow
def test_a_weight_that_is_computed_with_buffers_leaves_them_as_they_were() -> None:
    torch.manual_seed(0)
    conv = spectral_norm(nn.Conv2d(3, 4, 3))
    network = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batch = Batch(torch.randn(4, 3, 8, 8), torch.arange(4), "")
    for name in ("params", "nwot", "jacov"):
        first, second = (score_module(registry.create(name), network, batch).value for _ in range(2))
        assert first == second
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
