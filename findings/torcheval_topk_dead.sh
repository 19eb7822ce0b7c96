#!/usr/bin/env bash
# Tried: the accuracy of torcheval 0.0.7 for k = 1 and k = 2, of outputs that say nothing: the same number for each
# class, NaN for each class, and logits after a ReLU that stops nearly all of them. 10 classes, 1,000 images.
# Expected: 10 % and 20 %, what guessing reaches, or NaN; and a top-2 accuracy near the top-1 accuracy.
# What happens: for k > 1 an image counts as right if fewer than k classes score higher than its label. With equal or
# NaN scores none does: all images are right, and a network that diverged reaches 100 %. For k = 1 another rule holds,
# the position of the maximum, and gives 10.9 %. hit_rate and reciprocal_rank are 1 for NaN likewise, macro too.
# Why it matters: the worst networks of a search space (all edges none, or diverged) come out as the best of all, and
# only in the column of top-k. The manual says "number of top probabilities to be considered" and nothing of ties.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 torcheval==0.0.7

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

import torch
from torcheval.metrics import MulticlassAccuracy
from torcheval.metrics.functional import hit_rate, reciprocal_rank

torch.manual_seed(0)
labels = torch.randint(10, (1000,))
trained = torch.randn(1000, 10) + torch.nn.functional.one_hot(labels, 10)
networks = {
    "trained": trained,
    "one number for all classes": torch.zeros(1000, 10),
    "NaN": torch.full((1000, 10), torch.nan),
    "trained, then ReLU of x - 3": torch.relu(trained - 3),
}


def accuracy(outputs, k, **options):
    metric = MulticlassAccuracy(k=k, **options)
    for batch in range(0, 1000, 100):
        metric.update(outputs[batch : batch + 100], labels[batch : batch + 100])
    return metric.compute().item()


print("torcheval", version("torcheval"))
found = {}
for name, outputs in networks.items():
    found[name] = accuracy(outputs, 1), accuracy(outputs, 2)
    print(f"{name}: k = 1 {found[name][0]:.3f}, k = 2 {found[name][1]:.3f}")
assert 0.3 < found["trained"][0] < found["trained"][1] < 0.6
for top1, top2 in list(found.values())[1:]:
    assert top1 < 0.15 and top2 == 1.0
nothing = networks["NaN"]
assert accuracy(nothing, 2, average="macro", num_classes=10) == 1.0
assert hit_rate(nothing, labels, k=1).mean() == 1.0 and reciprocal_rank(nothing, labels).mean() == 1.0
print("NaN: macro, hit rate at 1 and reciprocal rank are 1")
PY
