"""On networks of the families of `transformers` every proxy gives the number that its formula means, or a reason."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import module_formulas as formulas
import pytest
import torch
from torch import nn

from images.base import Batch
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import ModuleScore, score_modules
from proxies.vkdnw import VkdnwEntropy

pytest.importorskip("transformers", reason="the families are those of the package transformers")
from families import CLASSES, FAMILIES, family

pytestmark = pytest.mark.slow

# one way forward for each tensor it looks at: of 24 they are enough to see whether a network can be derived forward
EVERY = [replace(one, tensors=24) if isinstance(one, VkdnwEntropy) else one for one in registry.create_all("all")]


@pytest.fixture(scope="module", params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def batch(name: str, count: int = 6) -> Batch:
    side = 64 if name == "LeViT" else 32
    images = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(count) % CLASSES, "")


def exact(name: str, count: int = 6) -> Batch:
    given = batch(name, count)
    return Batch(given.images.double(), given.labels, "")


NEVER = {"linear_regions": "such form", "swap_regularised": "largest network", "skip_span": "made of none"}
MIXED = {"nwot": "bends elsewhere", "swap": "bends elsewhere", "synflow": "rectifiers pass on"}
MIXED |= {"synflow_bn": "rectifiers pass on", "logsynflow": "without bounds"}
SMOOTH = MIXED | {"wrcor": "this network has none"}
NO_BATCH_NORM = {"zen": "no term for another norm"}
FIXED_SIZE = {"meco": "does not run on images"}
ONE_STAGE = {"kdsvd": "one alone"}
FOLDED = {"fisher": "images that are folded"}
ALONE = ("gradsign", "gradsign_mean", "dextr", "auto_das_student")
ONE_IMAGE = dict.fromkeys(ALONE, "more than 1 value per channel")
UNKNOWN = {"dextr": "none to be found"}
ALIKE = {"epsilon": "all channels are alike"}
"""With one constant for all weights all channels are alike, and a norm over them answers every image with its bias."""
TOKENS = {"az_trainability": "whole strides"}
NOT_POOLED = dict.fromkeys(("cc", "cka", "diswot", "diswot_semantic", "pkt", "rkd"), "reads a vector an image")
REFUSED: dict[str, dict[str, str]] = {
    "ResNet": {},
    "RegNet": MIXED,
    "ConvNeXt": SMOOTH | NO_BATCH_NORM | ALIKE,
    "MobileNetV2": ONE_IMAGE | {"synflow": "upper end", "logsynflow": "upper end", "synflow_bn": "more than 1 value"},
    "EfficientNet": SMOOTH | ONE_IMAGE | {"near": "made by hand"},
    "PoolFormer": SMOOTH | NO_BATCH_NORM,
    "ViT": SMOOTH | NO_BATCH_NORM | FIXED_SIZE | ONE_STAGE | ALIKE,
    "DeiT": SMOOTH | NO_BATCH_NORM | FIXED_SIZE | ONE_STAGE | ALIKE,
    "Swin": SMOOTH | NO_BATCH_NORM | FOLDED | UNKNOWN | ALIKE,
    "SegFormer": SMOOTH | NO_BATCH_NORM | ALIKE,
    "PVT": SMOOTH | NO_BATCH_NORM | FIXED_SIZE | TOKENS | ALIKE,
    "LeViT": SMOOTH | ONE_IMAGE | TOKENS | {"meco": "more than 1 value", "near": "is not known"},
    "MobileViT": SMOOTH | NO_BATCH_NORM | ONE_IMAGE | FOLDED | UNKNOWN,
    "BERT": SMOOTH | NO_BATCH_NORM | FIXED_SIZE | ONE_STAGE | ALIKE,
    "GPT-2": SMOOTH | NO_BATCH_NORM | FIXED_SIZE | ONE_STAGE | FOLDED | NOT_POOLED | ALIKE | {"near": "made by hand"},
}
SINGULAR = {"LeViT": "ntk"}
"""Its logits are behind batch norms: the sum over the batch does not change, and the kernel is singular."""


def test_every_proxy_gives_a_number_or_a_reason(name: str) -> None:
    expected = NEVER | REFUSED[name]
    found = score_modules(EVERY, family(name), batch(name), teacher=family(name, seed=1))
    assert {label for label, one in found.items() if isinstance(one, NotApplicable)} == set(expected)
    for label, one in found.items():
        if isinstance(one, NotApplicable):
            assert re.search(expected[label], str(one)), f"{label}: {one}"
        elif SINGULAR.get(name) == label:
            assert one.value == -math.inf
        else:
            assert math.isfinite(one.value), label


# checked by modules


def test_sums_over_weights_and_derivatives_are_those_of_its_modules(name: str) -> None:
    ours, teacher, given = family(name).double(), family(name, seed=1).double(), exact(name)
    expected: dict[str, float] = {
        "params": formulas.params(ours),
        "jacov": formulas.jacov(ours, given.images),
        "kd": formulas.kd(teacher, ours, given.images),
    }
    if name != "GPT-2":  # whose layers are modules of its own
        expected["layers"] = len(formulas.weights(ours))
        expected["l2_norm"] = formulas.l2_norm(ours)
        for label in ("snip", "plain", "grad_norm"):
            expected[label] = getattr(formulas, label)(ours, given.images, given.labels)
        if "fisher" not in REFUSED[name]:
            expected["fisher"] = formulas.fisher(ours, given.images, given.labels)
    found = score_modules([registry.create(label) for label in expected], ours, given, teacher=teacher)
    for label, value in expected.items():
        one = found[label]
        assert isinstance(one, ModuleScore), f"{label}: {one}"
        assert one.value == pytest.approx(value, rel=1e-7, abs=1e-14), label


CONVOLUTIONAL = ["ResNet", "RegNet", "ConvNeXt", "MobileNetV2", "EfficientNet", "PoolFormer"]


@pytest.mark.parametrize("name", CONVOLUTIONAL, scope="module")
def test_multiply_adds_are_those_of_its_layers(name: str) -> None:
    ours, given = family(name), batch(name)
    found = score_modules([registry.create("flops")], ours, given)["flops"]
    assert found == ModuleScore(formulas.multiply_adds(ours, given.images[:1]))


@pytest.mark.parametrize("name", ["ResNet", "MobileNetV2"], scope="module")
def test_codes_and_ranks_are_those_of_its_rectifiers(name: str) -> None:
    ours, given = family(name).double(), exact(name)
    found = score_modules(registry.create_all("nwot,swap,near"), ours, given, init="given")
    expected = {
        "nwot": formulas.nwot(ours, given.images),
        "swap": formulas.swap(ours, given.images),
        "near": formulas.near(ours, given.images, (nn.ReLU, nn.ReLU6)),
    }
    for label, value in expected.items():
        one = found[label]
        assert isinstance(one, ModuleScore)
        assert one.value == pytest.approx(value, rel=1e-6), label


def test_the_flow_of_a_residual_network_is_that_of_magnitudes() -> None:
    ours = family("ResNet").double()
    (found,) = score_modules([registry.create("synflow")], ours, exact("ResNet")).values()
    assert isinstance(found, ModuleScore)
    assert found.value == pytest.approx(formulas.synflow(ours, (3, 32, 32)), rel=1e-9)


def test_the_tied_embedding_of_a_language_model_is_one_weight() -> None:
    ours = family("GPT-2").double()
    names = [name for name, _ in ours.named_parameters()]
    assert "model.transformer.wte.weight" in names
    assert "model.lm_head.weight" not in names
    given = exact("GPT-2")
    found = score_modules(registry.create_all("layers,snip"), ours, given)
    copied = formulas.still(ours)
    logits = copied(given.images)
    nn.functional.cross_entropy(logits, given.labels).backward()
    norms = ("ln_", "wpe")
    weights = [w for n, w in copied.named_parameters() if w.ndim > 1 and not any(part in n for part in norms)]
    expected = sum((w * w.grad).abs().sum().item() for w in weights if w.grad is not None)
    assert found["layers"] == ModuleScore(len(weights))
    assert found["snip"] == ModuleScore(pytest.approx(expected, rel=1e-9))
