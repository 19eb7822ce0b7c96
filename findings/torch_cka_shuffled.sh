#!/usr/bin/env bash
# Tried: torch_cka 0.21, centred kernel alignment of a network with its exact copy, over one DataLoader that shuffles.
# Expected: 1 for each layer with itself: both networks answer the same images in the same way.
# What happens: near 0. With one DataLoader given (it says that it uses "the same dataloader for both models") it is
# iterated twice side by side, and each iteration shuffles anew: one network sees other images than its copy. Without
# shuffling it is 1. With an in-place ReLU the batch norm before it is reported to be the ReLU, as what a layer returned
# is kept without a copy and is written over: their alignment is 1 where it is .91 with an ordinary ReLU.
# Why it matters: a DataLoader of training images shuffles, and a teacher and a student that are alike look unrelated.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 matplotlib==3.11.0 tqdm
"$tmp/venv/bin/pip" install --quiet --no-deps torch_cka==0.21

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - 2> "$tmp/progress" <<'PY'
import copy
from importlib.metadata import version

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_cka import CKA

torch.manual_seed(0)
data = TensorDataset(torch.randn(512, 3, 8, 8))
LAYERS = ["0", "1", "2", "5"]  # convolution, batch norm, ReLU, linear


def network(in_place):
    torch.manual_seed(1)
    relu, head = nn.ReLU(inplace=in_place), nn.Linear(128, 10)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), relu, nn.AdaptiveAvgPool2d(4), nn.Flatten(), head)


def alignment(in_place, shuffle):
    one = network(in_place)
    other = copy.deepcopy(one)
    metric = CKA(one, other, "one", "its copy", LAYERS, LAYERS)
    metric.compare(DataLoader(data, 64, shuffle=shuffle))
    return metric.export()["CKA"]


print("torch_cka", version("torch_cka"), "torch", torch.__version__)
ordered, shuffled, in_place = alignment(False, False), alignment(False, True), alignment(True, False)
for name, found in {"in order": ordered, "shuffled": shuffled}.items():
    print(f"a network and its copy, {name}: each layer with itself", [f"{value:.2f}" for value in found.diag().tolist()])
print(f"batch norm with ReLU: {ordered[1, 2]:.2f}; where the ReLU is in place: {in_place[1, 2]:.2f}")
assert (ordered.diag() - 1).abs().max() < 1e-4
assert shuffled.diag().abs().max() < 0.3
assert ordered[1, 2] < 0.95 and abs(in_place[1, 2] - 1) < 1e-4
PY
