"""Multiply-adds of a network of one's own: closed forms for layers that torch may run as one kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from diswot_bench import NotApplicable, score

pytestmark = pytest.mark.slow

TOKENS, WIDTH, HIDDEN = 16, 32, 24
STEM = TOKENS * WIDTH * 3 * 4 * 4
HEAD = WIDTH * 5
ATTENTION = TOKENS * WIDTH * 4 * WIDTH + 2 * TOKENS * TOKENS * WIDTH
ENCODER = ATTENTION + 2 * TOKENS * WIDTH * HIDDEN


class Tokens(nn.Module):
    """Sixteen patches of an image through a `body`, and their mean through a linear classifier."""

    def __init__(self, body: nn.Module, call: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, WIDTH, 4, 4), body, nn.Linear(WIDTH, 5)
        self.call = call

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(images).flatten(2).transpose(1, 2)
        return self.head(self.call(self.body, tokens).mean(1))


def first(body: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    return body(tokens)[0]


def itself(body: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    return body(tokens)


def to_itself(body: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    return body(tokens, tokens, tokens, need_weights=False)[0]


def by_each(body: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Each token times a vector: the product of a matrix and a vector."""
    return tokens * (tokens[0] @ body.weight[0])[None, :, None]


def with_itself(body: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    return body(tokens, tokens)


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, 4, HIDDEN, dropout=0.0, batch_first=True)


def recurrent(gates: int, inputs: int = WIDTH, outputs: int = WIDTH, hidden: int = WIDTH) -> int:
    """Multiply-adds of a recurrent layer: all its gates read the input and the last output, at each token."""
    return TOKENS * gates * hidden * (inputs + outputs)


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, torch.Tensor], torch.Tensor], int]] = {
    "encoder layer": (encoder, itself, ENCODER),
    "two of them": (lambda: nn.TransformerEncoder(encoder(), 2, enable_nested_tensor=False), itself, 2 * ENCODER),
    "attention": (lambda: nn.MultiheadAttention(WIDTH, 4, batch_first=True), to_itself, ATTENTION),
    "LSTM": (lambda: nn.LSTM(WIDTH, WIDTH, batch_first=True), first, recurrent(4)),
    "LSTM both ways": (
        lambda: nn.LSTM(WIDTH, WIDTH // 2, batch_first=True, bidirectional=True),
        first,
        2 * recurrent(4, outputs=WIDTH // 2, hidden=WIDTH // 2),
    ),
    "two LSTMs": (lambda: nn.LSTM(WIDTH, WIDTH, 2, batch_first=True), first, 2 * recurrent(4)),
    "GRU": (lambda: nn.GRU(WIDTH, WIDTH, batch_first=True), first, recurrent(3)),
    "RNN": (lambda: nn.RNN(WIDTH, WIDTH, batch_first=True), first, recurrent(1)),
    "a vector": (lambda: nn.Linear(WIDTH, 1, bias=False), by_each, TOKENS * WIDTH),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_products_of_whatever_runs_as_one_kernel_are_counted(name: str, training: bool) -> None:
    body, call, expected = CASES[name]
    network = Tokens(body(), call).train(training)
    images, labels = torch.randn(5, 3, 16, 16), torch.arange(5)
    fast = torch.backends.mha.get_fastpath_enabled()
    assert score("flops", network, images, labels) == STEM + expected + HEAD
    assert torch.backends.mha.get_fastpath_enabled() is fast


def test_a_bilinear_layer_has_no_count_that_is_agreed_on() -> None:
    network = Tokens(nn.Bilinear(WIDTH, WIDTH, WIDTH), with_itself)
    with pytest.raises(NotApplicable, match="the network calls a bilinear layer, which is neither"):
        score("flops", network, torch.randn(5, 3, 16, 16), torch.arange(5))
