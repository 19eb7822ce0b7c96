#!/usr/bin/env bash
# Tried: torch 2.13.0's pruning at initialisation with importance scores of one's own, GraSP's: weight times (Hessian
# times gradient), by which the gradient's square falls if the weight is removed. Negative ones should go first.
# Expected: "The values in this tensor indicate the importance of the corresponding elements", says the manual of
# importance_scores: the lower half goes, by prune.global_unstructured and by prune.l1_unstructured.
# What happens: L1Unstructured takes the absolute value of the scores too. The weights with the most negative scores
# are kept as the most important ones, and what goes is whatever lies near zero. Of the tenth of the weights that should
# go first all are kept, by a random mask half. ln_structured takes the norm of a unit's scores likewise. Adding one
# constant to all scores, which changes no order, makes the mask right.
# Why it matters: GraSP, Taylor and other scores have a sign, and pruning is how they are checked. Here the pruned
# network has 41 % less of the gradient that the score is to save, and the score would be blamed for it.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
import torch
from torch import nn
from torch.nn.utils import prune

torch.manual_seed(0)
images, labels = torch.randn(64, 48), torch.randint(10, (64,))
network = nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 10))
weights = [network[0].weight, network[2].weight]


def gradient():
    loss = nn.functional.cross_entropy(network(images), labels)
    return torch.autograd.grad(loss, weights, create_graph=True)


found = gradient()
product = torch.autograd.grad(sum((g * g.detach()).sum() for g in found), weights)
scores = [(weight * h).detach() for weight, h in zip(weights, product)]
every = torch.cat([score.flatten() for score in scores])
start = [weight.detach().clone() for weight in weights]


def squared_gradient(masks):
    with torch.no_grad():
        for weight, value, mask in zip(weights, start, masks):
            weight.copy_(value * mask)
    return sum((g * mask).square().sum() for g, mask in zip(gradient(), masks)).item()


def masks_of_torch(scores):
    pair = nn.Linear(48, 64), nn.Linear(64, 10)
    names = [(module, "weight") for module in pair]
    prune.global_unstructured(
        names, prune.L1Unstructured, importance_scores=dict(zip(names, scores)), amount=every.numel() // 2
    )
    return [module.weight_mask for module in pair]


def in_row(masks):
    return torch.cat([mask.flatten() for mask in masks]).bool()


lower = every.sort().values[every.numel() // 2]
meant = [(score >= lower).float() for score in scores]
done = masks_of_torch(scores)
shifted = masks_of_torch([score - every.min() for score in scores])
random = masks_of_torch([torch.rand_like(score) for score in scores])
first = every.argsort()[: every.numel() // 10]
print("torch", torch.__version__, f"negative scores: {(every < 0).float().mean():.2f} of {every.numel()}")
flows = {}
for name, masks in {"as meant": meant, "by torch": done, "scores shifted above 0": shifted, "random": random}.items():
    same = (in_row(masks) == in_row(meant)).float().mean().item()
    flows[name] = squared_gradient(masks)
    kept = in_row(masks)[first].float().mean().item()
    print(f"{name}: {same:.2f} of the mask right, {kept:.2f} of the lowest tenth kept,", end=" ")
    print(f"squared gradient {flows[name]:.4f}")
    if name == "by torch":
        assert same < 0.8 and kept > 0.99
assert torch.equal(in_row(shifted), in_row(meant))
assert flows["by torch"] < 0.7 * flows["as meant"]

own = torch.tensor([[-5.0, -0.1, 0.2, 3.0]])
one = prune.l1_unstructured(nn.Linear(4, 1), "weight", 2, importance_scores=own).weight_mask
units = prune.ln_structured(nn.Linear(1, 4), "weight", 2, n=1, dim=0, importance_scores=own.T).weight_mask
print("scores -5, -0.1, 0.2, 3: mask of l1_unstructured", one[0].tolist(), "of ln_structured", units[:, 0].tolist())
assert one[0].tolist() == units[:, 0].tolist() == [1.0, 0.0, 0.0, 1.0]
PY
