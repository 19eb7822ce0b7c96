#!/usr/bin/env bash
# Tried: GroupTaylorImportance of torch-pruning 1.6.1 on a convolution with batch norm, whose types are both among its
# default target_types.
# Expected: |weight times gradient| summed over all of the group's layers, as GroupMagnitudeImportance and
# GroupHessianImportance include batch norm.
# What happens: the branch for batch norm asks for group norm's function, so that batch norm never counts. With
# target_types=[BatchNorm2d], the gates alone, the importance is None, and the pruner takes
# None for "nothing to do": it returns the network as it was, without a word.
# Why it matters: Taylor scores are compared with magnitude and Hessian ones that count another set of parameters. One
# who prunes by batch norm's gates measures the accuracy of the unpruned network.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$tmp/venv/bin/pip" install --quiet --no-deps torch-pruning==1.6.1

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

import torch
import torch_pruning
from torch import nn
from torch_pruning.pruner.importance import GroupHessianImportance, GroupMagnitudeImportance, GroupTaylorImportance

torch.manual_seed(0)
images, labels = torch.randn(32, 3, 8, 8), torch.randint(4, (32,))
CASES = {"batch norm": [nn.BatchNorm2d], "convolutions": [nn.Conv2d], "both": [nn.Conv2d, nn.BatchNorm2d]}


def network():
    torch.manual_seed(1)
    parts = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16), nn.ReLU()
    net = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))
    for norm in net[1], net[4]:
        nn.init.uniform_(norm.weight, 0.1, 3)
    nn.functional.cross_entropy(net(images), labels).backward()
    return net


def importance(kind, types):
    net = network()
    scorer = kind(group_reduction="sum", normalizer=None, target_types=types)
    if kind is GroupHessianImportance:
        scorer.accumulate_grad(net)
    graph = torch_pruning.DependencyGraph().build_dependency(net, example_inputs=images[:1])
    return scorer(graph.get_pruning_group(net[0], torch_pruning.prune_conv_out_channels, [*range(16)]))


def pruned(kind, types):
    net = network()
    scorer = kind(target_types=types)
    if kind is GroupHessianImportance:
        scorer.accumulate_grad(net)
    pruner = torch_pruning.MetaPruner(net, images[:1], scorer, pruning_ratio=0.5, ignored_layers=[net[8]])
    pruner.step()
    return net[0].out_channels, net[3].out_channels


print("torch-pruning", version("torch-pruning"), "torch", torch.__version__)
for kind in GroupMagnitudeImportance, GroupHessianImportance, GroupTaylorImportance:
    found = {name: importance(kind, types) for name, types in CASES.items()}
    parts = ", ".join(f"{name} {None if one is None else round(float(one.sum()), 4)}" for name, one in found.items())
    left = {name: pruned(kind, types) for name, types in CASES.items()}
    print(f"{kind.__name__}: summed importance by {parts}; channels of 16 and 16 that are left {left}")
    if kind is GroupTaylorImportance:
        assert found["batch norm"] is None and torch.equal(found["both"], found["convolutions"])
        assert left == {"batch norm": (16, 16), "convolutions": (8, 8), "both": (8, 8)}
        net = network()
        gate = (net[1].weight * net[1].weight.grad).abs()
        print(f"the formula for batch norm: {float(gate.sum()):.4f} in sum, {float(gate.max() / gate.min()):.0f} to 1")
        assert gate.min() > 0
    else:
        assert torch.allclose(found["both"], found["convolutions"] + found["batch norm"])
        assert set(left.values()) == {(8, 8)}
PY
