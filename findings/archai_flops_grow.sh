#!/usr/bin/env bash
# Tried: TorchFlops of archai 1.0.0 on 200 random networks of depthwise blocks, with ReLU, SiLU or GELU, as a constraint
# of a search, in one order and in the reverse.
# Expected: the count of one network is one number, whatever was counted before. Layers in ignore_layers are left out.
# What happens: each count wraps the functions of torch.nn.functional and unwraps them at its end, silu and gelu
# excepted. Their wrappers pile up, one for each count of any network, and each adds the activation's FLOPs once more.
# With ReLU the fifth count is the first; with SiLU or GELU it grows by one activation a time, forever, in every network
# of the process. ignore_layers compares names with classes and never meets one; a class given there has its operations
# added to the parent's. Nothing is left out either way.
# Why it matters: networks are ranked by when they were counted. Of the 101 within a limit on FLOPs a search refuses 48
# in one order and 39 in the other, all with SiLU or GELU, and a fifth of all pairs of counts are the wrong way round.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 overrides==3.1.0 tqdm==4.70.1 PyYAML==6.0.4 \
    matplotlib==3.11.2 pandas==3.1.1
"$tmp/venv/bin/pip" install --quiet --no-deps archai==1.0.0

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
import sys, types
from importlib.metadata import version

# archai imports these two, of which nothing is used here: leave them out.
sys.modules["ray"], sys.modules["onnxruntime"] = types.ModuleType("unused"), types.ModuleType("unused")
import numpy as np
import torch
from archai.discrete_search.api import ArchaiModel, SearchObjectives
from archai.discrete_search.evaluators import TorchFlops
from torch import nn
from torch.nn import functional

IMAGE, SIDE, CLASSES = torch.randn(1, 3, 16, 16), 16, 10
PLAIN = {"silu": functional.silu, "gelu": functional.gelu}
ACTIVATIONS = nn.ReLU, nn.SiLU, nn.GELU


def network(width, depth, activation):
    layers = [nn.Conv2d(3, width, 1, bias=False)]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), activation()]
        layers += [nn.Conv2d(width, width, 1, bias=False), activation()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES, bias=False)]
    return nn.Sequential(*layers)


def by_hand(width, depth, activation):
    """Counts two for a multiply-add and one for each number that goes into an activation or the pooling."""
    block = 2 * (9 * width + width * width) + 2 * width
    return SIDE * SIDE * (2 * 3 * width + depth * block + width) + 2 * width * CLASSES


def count(made, **options):
    return int(TorchFlops(IMAGE, **options).evaluate(ArchaiModel(made, "one")))


def restore():
    for name, function in PLAIN.items():
        setattr(functional, name, function)


print("archai", version("archai"), "torch", torch.__version__)
for activation in ACTIVATIONS:
    choice = 16, 4, activation
    counts = [count(network(*choice)) for _ in range(5)]
    print(f"{activation.__name__}: counted five times {counts}, by hand {by_hand(*choice)}")
    elements = 2 * 4 * 16 * SIDE * SIDE
    assert set(np.diff(counts)) == ({0} if activation is nn.ReLU else {elements})
    restore()
    assert count(network(*choice)) == by_hand(*choice)
    restore()
assert functional.silu is PLAIN["silu"]

plain = network(16, 4, nn.ReLU)
ways = None, ["Conv2d"], ["1"], [nn.Conv2d], [nn.Conv2d, nn.ReLU, nn.Linear]
ignoring = [count(plain, ignore_layers=way) for way in ways]
print("ignore_layers, five ways:", ignoring)
assert len({*ignoring}) == 1 and ignoring[0] == by_hand(16, 4, nn.ReLU)

draw = np.random.default_rng(0)
choices = [(8 * int(draw.integers(2, 9)), int(draw.integers(2, 9)), ACTIVATIONS[draw.integers(3)]) for _ in range(200)]
right = np.array([by_hand(*choice) for choice in choices])
LIMIT = float(np.median(right))
within = right <= LIMIT
for order in "first to last", "last to first":
    restore()
    search = SearchObjectives()
    search.add_constraint("FLOPs", TorchFlops(IMAGE), (0, LIMIT))
    places = np.arange(200) if order == "first to last" else np.arange(200)[::-1]
    models = [ArchaiModel(network(*choices[place]), f"network {place}") for place in places]
    results, accepted = search.validate_constraints(models)
    counted, kept = np.empty(200), np.zeros(200, bool)
    counted[places], kept[places[accepted]] = results["FLOPs"], True
    refused = np.flatnonzero(within & ~kept)
    rectifier = [choices[place][2] is nn.ReLU for place in range(200)]
    pairs = np.sign(right[:, None] - right)
    wrong = ((np.sign(counted[:, None] - counted) != pairs) & (pairs != 0)).sum() / (pairs != 0).sum()
    print(f"{order}: {len(refused)} of {within.sum()} networks within the limit are refused,", end=" ")
    print(f"{sum(rectifier[place] for place in refused)} of them with ReLU; {wrong:.1%} of pairs the wrong way round")
    assert len(refused) > 20 and not any(rectifier[place] for place in refused) and wrong > 0.1
    assert (counted == right)[rectifier].all()
restore()
clean = []
for choice in choices:
    clean.append(count(network(*choice)))
    restore()
print("with silu and gelu put back after each count:", (np.array(clean) == right).all())
assert (np.array(clean) == right).all()
PY
