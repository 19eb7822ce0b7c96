#!/usr/bin/env bash
# Tried: top-1 and top-5 accuracy of a network in one MetricCollection of torchmetrics 1.9.0, over the same 1,000 images
# in two orders, in batches of 4.
# Expected: the accuracies of each metric alone, .663 and .962, whichever image comes first.
# What happens: where the network is right on all images of the first batch, both metrics have the same counts after it.
# The collection takes that for proof that they are one metric, keeps one state for both from then on, and answers one
# number twice: .663, or .962 where the name of top-5 comes first in the alphabet. Nothing warns. With
# compute_groups=False both are right. Both metrics are the package's own and differ in one documented argument.
# Why it matters: a good network is right on four images more often than a bad one, so it is the good ones whose top-5
# accuracy falls to top-1, or whose top-1 accuracy rises to top-5. Here a better network is ranked below a worse one.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 torchmetrics==1.9.0

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
import torch
import torchmetrics
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

generator = torch.Generator().manual_seed(0)
labels = torch.randint(10, (1000,), generator=generator)
noise = torch.randn(1000, 10, generator=generator)


def logits(skill):
    return noise + skill * torch.nn.functional.one_hot(labels, 10)


def accuracies(outputs, order, names=("top1", "top5"), **options):
    metrics = MetricCollection({name: MulticlassAccuracy(10, top_k=k) for name, k in zip(names, (1, 5))}, **options)
    for batch in order.split(4):
        metrics.update(outputs[batch], labels[batch])
    found = metrics.compute()
    return [found[name].item() for name in names]


print("torchmetrics", torchmetrics.__version__)
better, worse = logits(2), logits(1.2)
right = (better.argmax(1) == labels).nonzero()[:4, 0]
rest = torch.tensor([i for i in range(1000) if i not in right.tolist()])
orders = {"as drawn": torch.arange(1000), "four right ones first": torch.cat([right, rest])}
found = {}
for name, order in orders.items():
    found[name] = accuracies(better, order)
    print(f"{name}: top-1 {found[name][0]:.3f}, top-5 {found[name][1]:.3f}")
    alone = [MulticlassAccuracy(10, top_k=k)(better[order], labels[order]).item() for k in (1, 5)]
    assert max(abs(a - b) for a, b in zip(accuracies(better, order, compute_groups=False), alone)) < 1e-6
print(f"each metric alone: top-1 {alone[0]:.3f}, top-5 {alone[1]:.3f}")
renamed = accuracies(better, orders["four right ones first"], names=("top1", "five"))
print(f"four right ones first, top-5 named 'five': top-1 {renamed[0]:.3f}, top-5 {renamed[1]:.3f}")
other = accuracies(worse, orders["four right ones first"])
print(f"a worse network, four right ones first: top-1 {other[0]:.3f}, top-5 {other[1]:.3f}")
assert max(abs(a - b) for a, b in zip(found["as drawn"], alone)) < 1e-6
same = found["four right ones first"]
assert same[0] == same[1] and abs(same[0] - alone[0]) < 1e-6
assert renamed[0] == renamed[1] and abs(renamed[0] - alone[1]) < 1e-6
assert same[1] < other[1] < alone[1]
PY
