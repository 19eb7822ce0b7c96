"""The weights that formulas sum over are all that a network has, or there is no sum."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

from images.base import Batch
from probe.module.examples import CLASSES, SIZE, example
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import ModuleScore, score_modules

pytestmark = pytest.mark.slow

SUMS = registry.create_all("l2_norm,snip,plain,grad_norm,grasp,fisher,synflow,logsynflow,layers,gradsign,zico")
TOKENS, WIDTH = 16, 12


def batch() -> Batch:
    images = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(6) % CLASSES, "")


class Partly(nn.Module):
    """A convolution, `body` on 16 tokens of 12 channels in a way of its own, and a classifier."""

    def __init__(self, body: nn.Module, call: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, WIDTH, 4, 4), body, nn.Linear(WIDTH, CLASSES)
        self.call = call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.call(self.body, self.stem(x).flatten(2).transpose(1, 2)).mean(1))


class Held(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape))


def cells(body: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return body(x.flatten(0, 1)).unflatten(0, x.shape[:2])


PARTIAL: dict[str, tuple[Callable[[], nn.Module], Callable[..., torch.Tensor], str]] = {
    "LSTM": (lambda: nn.LSTM(WIDTH, WIDTH, batch_first=True), lambda body, x: body(x)[0], "weight_ih_l0"),
    "GRU": (lambda: nn.GRU(WIDTH, WIDTH, batch_first=True), lambda body, x: body(x)[0], "weight_ih_l0"),
    "RNN": (lambda: nn.RNN(WIDTH, WIDTH, batch_first=True), lambda body, x: body(x)[0], "weight_ih_l0"),
    "cell": (lambda: nn.GRUCell(WIDTH, WIDTH), cells, "weight_ih"),
    "bilinear": (lambda: nn.Bilinear(WIDTH, WIDTH, WIDTH), lambda body, x: body(x, x), "weight"),
    "sparse": (
        lambda: Held(WIDTH, WIDTH),
        lambda body, x: torch.sparse.mm(body.weight.to_sparse(), x.flatten(0, 1).T).T.unflatten(0, x.shape[:2]),
        "weight",
    ),
    "computed": (lambda: Held(WIDTH, WIDTH), lambda body, x: x @ body.weight.softmax(0), "weight"),
    "embedding": (lambda: Held(9, WIDTH), lambda body, x: x + F.embedding(x.argmax(2) % 9, body.weight), "weight"),
    "distances": (lambda: Held(WIDTH, WIDTH), lambda body, x: torch.cdist(x, body.weight), "weight"),
}


@pytest.mark.parametrize("name", PARTIAL)
def test_a_network_with_further_weights_has_no_sum_over_those_of_its_layers(name: str) -> None:
    body, call, weight = PARTIAL[name]
    found = score_modules(SUMS, Partly(body(), call), batch())
    for label, one in found.items():
        assert f"the network multiplies by body.{weight} too, which is no layer's weight" in str(one), label
    others = registry.create_all("params,diswot_semantic,kd")
    for one in score_modules(others, Partly(body(), call), batch(), teacher=Partly(body(), call)).values():
        assert isinstance(one, ModuleScore)
    if name not in ("embedding", "computed"):
        (near,) = score_modules(registry.create_all("near"), Partly(body(), call), batch()).values()
        assert isinstance(near, NotApplicable)


@pytest.mark.parametrize("name", ["sparse", "distances"])
def test_products_that_nobody_counts_have_no_count(name: str) -> None:
    body, call, _ = PARTIAL[name]
    (found,) = score_modules(registry.create_all("flops"), Partly(body(), call), batch()).values()
    assert "whose multiply-adds are not counted" in str(found)


WHOLE: dict[str, tuple[Callable[[], nn.Module], Callable[..., torch.Tensor], int]] = {
    "positions": (lambda: Held(1, TOKENS, WIDTH), lambda body, x: x + body.weight, 2),
    "scales": (lambda: Held(1, 1, WIDTH), lambda body, x: x * body.weight, 2),
    "token": (
        lambda: Held(1, 1, WIDTH),
        lambda body, x: torch.cat([body.weight.expand(len(x), -1, -1), x], 1),
        2,
    ),
    "mask": (
        lambda: Held(TOKENS, TOKENS),
        lambda body, x: F.scaled_dot_product_attention(x, x, x, attn_mask=body.weight),
        2,
    ),
    "matrix": (lambda: Held(WIDTH, WIDTH), lambda body, x: x @ body.weight, 3),
    "latent": (
        lambda: nn.ModuleList([nn.Linear(WIDTH, WIDTH), Held(1, WIDTH)]),
        lambda body, x: x * (x @ body[0](body[1].weight).T).softmax(1),
        3,
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_positions_scales_tokens_and_matrices_leave_the_sums(name: str) -> None:
    body, call, layers = WHOLE[name]
    found = score_modules(registry.create_all("layers,snip,l2_norm"), Partly(body(), call), batch())
    assert found["layers"] == ModuleScore(layers)
    assert all(isinstance(one, ModuleScore) for one in found.values())


MADE: dict[str, Callable[[nn.Module], object]] = {
    "spectral_norm": spectral_norm,
    "parametrised": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "weight_norm": parametrizations.weight_norm,
}


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("name", MADE)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_weight_that_is_made_of_another_is_no_weight(name: str, runs: bool) -> None:
    network = example("VGG") if runs else nn.Sequential(example("VGG"))
    layer = network.get_submodule("0") if runs else nn.Conv2d(3, 4, 3)
    if not runs:
        network[0].aside = layer  # type: ignore[index, union-attr]
        network[0].forward = lambda x: nn.Sequential(*list(network[0])[:-1])(x)  # type: ignore[index, arg-type]
    MADE[name](layer)
    for label, one in score_modules(SUMS, network, batch()).items():
        assert "a layer's weight is made of" in str(one), label
    assert isinstance(score_modules(registry.create_all("nwot"), network, batch())["nwot"], ModuleScore)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_products_that_make_a_weight_are_none_of_an_image() -> None:
    outcomes = {}
    for name, make in MADE.items():
        network = example("VGG")
        make(network.get_submodule("0"))
        outcomes[name] = score_modules(registry.create_all("flops"), network, batch())["flops"]
    plain = score_modules(registry.create_all("flops"), example("VGG"), batch())["flops"]
    assert outcomes["pruned"] == outcomes["weight_norm"] == plain
    for name in ("spectral_norm", "parametrised", "orthogonal"):
        assert "by products that are none of an image" in str(outcomes[name]), name
