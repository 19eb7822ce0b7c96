#!/usr/bin/env bash
# Tried: FlopCounterMode of torch 2.13.0 around the forward and the backward pass of a convolution with G groups.
# Expected: backward computes a gradient for the input and one for the weight, each as dear as the forward pass: twice.
# What happens: the forward count is right, but the weight's gradient is counted as if there were no groups, so that
# backward comes to 1 + G times the forward pass: 17 times at 16 groups, where 2 would be right.
# Why it matters: the training cost of depthwise networks, where G is the number of channels, is overstated many times
# against plain ones. A ranking by counted training cost is unfair to them.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

"$tmp/venv/bin/python" -I - <<'PY'
import torch
from torch.utils.flop_counter import FlopCounterMode


def counts(groups):
    convolution = torch.nn.Conv2d(16, 16, 3, padding=1, groups=groups, bias=False)
    with FlopCounterMode(display=False) as forward:
        output = convolution(torch.randn(2, 16, 8, 8, requires_grad=True))
    with FlopCounterMode(display=False) as backward:
        output.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


print("torch", torch.__version__)
for groups in 1, 2, 4, 8, 16:
    forward, backward = counts(groups)
    print(f"{groups:2} groups: forward {forward:,}, backward {backward:,}, {backward / forward:g} times")
    assert forward == 2 * 2 * 8 * 8 * 16 * (16 // groups) * 9  # two FLOPs a multiply-add
    assert backward == (1 + groups) * forward
PY
