"""What of several outputs is read as class scores: the first one of a layer that no other layer reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from images.base import Batch
from probe.module.examples import CLASSES, SIZE
from probe.module.probe import module_probe
from proxies import registry
from proxies.module import ModuleScore, score_modules


def batch() -> Batch:
    images = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(6) % CLASSES, "")


class Heads(nn.Module):
    """A network with a main head, an auxiliary one and an embedding, which returns what is asked for."""

    def __init__(self, wrap: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.main = nn.Conv2d(3, 8, 3), nn.Linear(8, CLASSES)
        self.aux, self.embed = nn.Linear(8, CLASSES), nn.Linear(8, 3)
        self.wrap = wrap

    def forward(self, x: torch.Tensor) -> Any:
        pooled = F.relu(self.conv(x)).mean((2, 3))
        return self.wrap(self.main(pooled), self.aux(pooled), self.embed(pooled), pooled)


WRAPS: dict[str, Callable[..., Any]] = {
    "auxiliary head": lambda main, aux, embed, pooled: (main, aux),
    "projection": lambda main, aux, embed, pooled: [main, embed],
    "mapping": lambda main, aux, embed, pooled: {"out": main, "aux": aux},
    "probabilities": lambda main, aux, embed, pooled: {"probs": main.softmax(1), "scores": main, "emb": embed},
    "features": lambda main, aux, embed, pooled: (pooled * 2, main, aux),
    "a loss": lambda main, aux, embed, pooled: (aux.mean(), main, aux),
    "nested": lambda main, aux, embed, pooled: (main, (aux, embed)),
    "logits": lambda main, aux, embed, pooled: {"aux": aux, "logits": main},
    "object": lambda main, aux, embed, pooled: Said(main, aux),
}


class Said:
    """Something with attributes, none of which is called `logits`."""

    def __init__(self, main: torch.Tensor, aux: torch.Tensor) -> None:
        self.out, self.aux = main, aux


@pytest.mark.parametrize("name", WRAPS)
def test_the_first_scores_are_read(name: str) -> None:
    network = Heads(WRAPS[name])
    expected = module_probe(Heads(lambda main, *_: main), batch(), ("forward",)).logits
    assert module_probe(network, batch(), ("forward",)).logits.equal(expected)


@pytest.mark.slow
def test_a_network_with_an_auxiliary_head_has_the_scores_of_its_main_head() -> None:
    readers = registry.create_all("snip,kd,jacov,grad_norm,ntk,cka")
    main, both = Heads(lambda main, *_: main), Heads(WRAPS["auxiliary head"])
    expected = score_modules(readers, main, batch(), teacher=main)
    found = score_modules(readers, both, batch(), teacher=main)
    for label, one in expected.items():
        assert isinstance(one, ModuleScore)
        assert found[label] == one, label
    kd = expected["kd"]
    assert isinstance(kd, ModuleScore)
    assert kd.value == 0


def test_scores_that_are_scaled_are_not_passed_over_for_an_embedding() -> None:
    found = module_probe(Heads(lambda main, aux, embed, pooled: (main / 0.07, embed)), batch(), ("forward",))
    assert found.logits.shape == (6, CLASSES)
