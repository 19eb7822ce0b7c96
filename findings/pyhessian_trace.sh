#!/usr/bin/env bash
# Tried: the trace of the Hessian of 12 small new networks by PyHessian 0.1, twelve calls each, at its defaults: at most
# 100 random vectors, and an end as soon as the mean changes by less than .001 of itself. Beside it the Hessian itself,
# and the same rule with the size of the mean.
# Expected: more vectors until the mean is that stable, also where single terms are negative.
# What happens: the change is divided by the mean with its sign. As soon as the mean is negative the quotient is too,
# which is less than any tolerance, and the mean so far, of two terms in most cases, is the answer: below zero in one
# call of eight where every trace is positive, and too low by a quarter on average. A smaller tolerance does not help.
# The network also stays in evaluation mode, and the trace is the one there: .8 to 1.4, where batch norm in training
# mode makes it -42 to 20.
# Why it matters: the trace scores networks (flatness) and layers (bits for each). An answer that is wrong in sign looks
# like one that has converged, and whatever is scored afterwards is scored with batch norm's initial statistics.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$tmp/venv/bin/pip" install --quiet --no-deps pyhessian==0.1

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import torch
from pyhessian import hessian
from torch import nn

torch.manual_seed(0)
images, labels = torch.randn(16, 3, 8, 8), torch.randint(4, (16,))
loss = nn.CrossEntropyLoss()


def network(width=4):
    first = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
    second = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
    return nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))


def true_hessian(net):
    def flat(value):
        slopes = torch.autograd.grad(value, [*net.parameters()], create_graph=True)
        return torch.cat([slope.flatten() for slope in slopes])

    return torch.stack([flat(slope).detach() for slope in flat(loss(net(images), labels))])


def with_size(matrix, draw):
    terms, before = [], 0.0
    for _ in range(100):
        sides = draw.choice([-1.0, 1.0], len(matrix))
        terms.append(sides @ matrix @ sides)
        now = np.mean(terms)
        if abs(now - before) < 1e-3 * abs(before):
            break
        before = now
    return np.mean(terms)


print("pyhessian", version("pyhessian"), "torch", torch.__version__)
draw = np.random.default_rng(0)
true, training, theirs, count, ours = [], [], [], [], []
for seed in range(12):
    torch.manual_seed(seed)
    net = network()
    training.append(float(true_hessian(net).trace()))
    net.apply(lambda part: getattr(part, "reset_running_stats", int)())
    matrix = true_hessian(net.eval()).double().numpy()
    true.append(matrix.trace())
    for call in range(12):
        net.train()
        answer = hessian(net, loss, data=(images, labels), cuda=False).trace()
        assert not net.training
        theirs.append(np.mean(answer))
        count.append(len(answer))
        ours.append(with_size(matrix, draw))
true, theirs, count, ours = map(np.array, (true, theirs, count, ours))
low = theirs < 0
print(f"12 networks: traces {true.min():.2f} to {true.max():.2f}, mean {true.mean():.2f};", end=" ")
print(f"in training mode {min(training):.0f} to {max(training):.0f}")
for name, answers in {"pyhessian": theirs, "the same with the size of the mean": ours}.items():
    print(f"{name}: 144 answers {answers.min():.2f} to {answers.max():.2f}, mean {answers.mean():.2f},", end=" ")
    print(f"below zero {(answers < 0).sum()}")
print(f"vectors used in the median: {np.median(count[low]):g} below zero, {np.median(count[~low]):g} above")
assert true.min() > 0 and low.sum() > 10 and (ours < 0).sum() < 3
assert theirs.mean() < 0.85 * true.mean() and abs(ours.mean() / true.mean() - 1) < 0.1 and np.median(count[low]) == 2
PY
