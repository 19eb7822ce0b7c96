#!/usr/bin/env bash
# Tried: Spearman's correlation of float64 scores between 1e30 and 1e50 by torchmetrics 1.9.0, as function and as class.
# Expected: one number twice. Only the order of the scores counts, and both are handed the same tensors.
# What happens: the function answers .98. The class casts what it is given to its own dtype, float32, where scores above
# 3.4e38 are infinite and so are tied: it answers another number, and 0.0 where all are that large. KendallRankCorrCoef
# of the same package casts nothing and is right. `set_dtype(torch.float64)` on a new SpearmanCorrCoef mends it.
# Why it matters: SynFlow's scores are that large on deep networks. A score that ranks networks nearly perfectly is
# reported to be unrelated to their accuracy, and nothing says why.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 torchmetrics==1.9.0

"$tmp/venv/bin/python" -I -W ignore - <<'PY'
import torch
import torchmetrics
from torchmetrics import KendallRankCorrCoef, SpearmanCorrCoef
from torchmetrics.functional import kendall_rank_corrcoef, spearman_corrcoef

generator = torch.Generator().manual_seed(0)
digits = 30 + 20 * torch.rand(100, dtype=torch.float64, generator=generator)
accuracy = digits + torch.randn(100, dtype=torch.float64, generator=generator)
print("torchmetrics", torchmetrics.__version__)


def by_class(kind, scores, dtype=None):
    metric = kind() if dtype is None else kind().set_dtype(dtype)
    metric.update(scores, accuracy)
    return metric.compute().item()


found = {}
for name, scores in {"1e30 to 1e50": 10**digits, "1e40 to 1e60": 10 ** (digits + 10)}.items():
    function = spearman_corrcoef(scores, accuracy).item()
    found[name] = function, by_class(SpearmanCorrCoef, scores), by_class(SpearmanCorrCoef, scores, torch.float64)
    print(f"scores {name}: Spearman by function, class, float64 class:", *(f"{value:.3f}" for value in found[name]))
    assert by_class(KendallRankCorrCoef, scores) == kendall_rank_corrcoef(scores, accuracy).item()
for function, by_default, in_double in found.values():
    assert function > 0.95 and abs(in_double - function) < 1e-6
assert abs(found["1e30 to 1e50"][1] - found["1e30 to 1e50"][0]) > 0.01
assert found["1e40 to 1e60"][1] == 0.0
PY
