#!/usr/bin/env bash
# Tried: torch 2.13.0's own counter, torch.utils.flop_counter.FlopCounterMode, on layers for sequences, on the CPU.
# Expected: what a layer multiplies, whichever mode it is in; an LSTM four times an RNN, as a GRU is three times one.
# What happens: in evaluation without gradients a TransformerEncoderLayer and MultiheadAttention count 0 operations, as
# each is one kernel there that the counter does not know; in training they count, and with need_weights=False all but
# the two products of scaled dot product attention, which is a kernel of its own on the CPU. An LSTM counts 0 in any
# mode, a GRU and an RNN all they do. A matrix times a vector counts 0, times a matrix of one column all. No warning.
# Why it matters: FLOPs are the line that scores of untrained networks have to beat, and are measured in evaluation
# without gradients as a rule. A vision transformer is its patch embedding and its head, and nothing between.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

BATCH, TOKENS, WIDTH = 2, 16, 64
x = torch.randn(BATCH, TOKENS, WIDTH)


def count(call, gradients):
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(gradients):
        call()
    return counter.get_total_flops()


def both(module, *inputs, **options):
    return [
        count(lambda: module.train(mode)(*inputs, **options), gradients) for mode, gradients in ((True, True), (False, False))
    ]


print("torch", torch.__version__, "\noperations in training with gradients, in evaluation without:")
attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
encoder = nn.TransformerEncoderLayer(WIDTH, 4, 128, dropout=0.0, batch_first=True)
projections, products = 2 * BATCH * TOKENS * WIDTH * 4 * WIDTH, 2 * 2 * BATCH * TOKENS * TOKENS * WIDTH
two_layers = 2 * 2 * BATCH * TOKENS * WIDTH * 128
found = {
    "attention, need_weights=True": both(attention, x, x, x, need_weights=True),
    "attention, need_weights=False": both(attention, x, x, x, need_weights=False),
    "encoder layer": both(encoder, x),
    **{kind.__name__: both(kind(WIDTH, 32, batch_first=True), x) for kind in (nn.RNN, nn.GRU, nn.LSTM)},
}
vector, column = torch.randn(WIDTH), torch.randn(WIDTH, 1)
found["matrix times a vector"] = [count(lambda: x[0] @ vector, grad) for grad in (True, False)]
found["matrix times a column"] = [count(lambda: x[0] @ column, grad) for grad in (True, False)]
for name, counts in found.items():
    print(f"{name}:", *counts)
assert found["attention, need_weights=True"] == [projections + products, 0]
assert found["attention, need_weights=False"] == [projections, 0]
assert found["encoder layer"] == [projections + two_layers, 0]
assert found["GRU"] == [3 * count for count in found["RNN"]] and found["RNN"][1] > 0
assert found["LSTM"] == [0, 0]
assert found["matrix times a vector"] == [0, 0]
assert found["matrix times a column"] == [2 * TOKENS * WIDTH] * 2
PY
