#!/usr/bin/env bash
# Tried: rank correlations of 50 scores, one of which is NaN because its network could not be scored, by scipy 1.17.1
# and torchmetrics 1.9.0.
# Expected: NaN or an error from all, or that the pair is left out.
# What happens: scipy's kendalltau and spearmanr answer NaN. scipy's weightedtau gives NaN the lowest rank,
# torchmetrics' Spearman the highest: they answer what they would for -inf and inf. torchmetrics' Kendall counts its
# pairs neither way, which is the middle between the two. All three are plain numbers.
# Why it matters: a proxy that fails on a network is said to have called it the worst, or the best of all. Two papers
# that use two packages punish and reward the same failures.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 torchmetrics==1.9.0

"$tmp/venv/bin/python" -I -W ignore - <<'PY'
import numpy as np
import scipy
import torch
import torchmetrics
from scipy.stats import kendalltau, spearmanr, weightedtau
from torchmetrics.functional import kendall_rank_corrcoef, spearman_corrcoef

rng = np.random.default_rng(0)
accuracy = rng.normal(size=50)
scores = accuracy + rng.normal(size=50)


def with_value(function, value):
    changed = scores.copy()
    changed[accuracy.argmin()] = value
    return float(function(changed, accuracy))


def of_torch(function):
    return lambda x, y: function(torch.from_numpy(x), torch.from_numpy(y)).item()


ways = {
    "scipy kendalltau": lambda x, y: kendalltau(x, y)[0],
    "scipy spearmanr": lambda x, y: spearmanr(x, y)[0],
    "scipy weightedtau": lambda x, y: weightedtau(x, y)[0],
    "torchmetrics kendall": of_torch(kendall_rank_corrcoef),
    "torchmetrics spearman": of_torch(spearman_corrcoef),
}
print("scipy", scipy.__version__, "torchmetrics", torchmetrics.__version__)
found = {}
for name, way in ways.items():
    found[name] = nan, low, high = [with_value(way, value) for value in (np.nan, -np.inf, np.inf)]
    print(f"{name}: one NaN {nan:.4f}, one -inf {low:.4f}, one inf {high:.4f}")
    assert abs(low - high) > 0.01
assert np.isnan(found["scipy kendalltau"][0]) and np.isnan(found["scipy spearmanr"][0])
assert found["scipy weightedtau"][0] == found["scipy weightedtau"][1]
assert found["torchmetrics spearman"][0] == found["torchmetrics spearman"][2]
nan, low, high = found["torchmetrics kendall"]
assert abs(nan - (low + high) / 2) < 1e-6
PY
