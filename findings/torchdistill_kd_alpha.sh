#!/usr/bin/env bash
# Tried: KDLoss of torchdistill 1.1.5 at temperature 4, with the label term's weight alpha going to zero.
# Expected: the class documents alpha * CE + beta * T^2 * KL with beta = 1 - alpha, which goes smoothly to T^2 * KL.
# What happens: at alpha = 0 the bare KL is returned, without T^2 and without beta, so the loss falls to a sixteenth
# between alpha = 1e-6 and alpha = 0. A beta of one's own is left out there as well.
# Why it matters: a student trained on the teacher alone takes steps T^2 times smaller than one with a trace of labels.
# A sweep over alpha then compares learning rates at its end, and networks ranked by distilled accuracy may swap.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$tmp/venv/bin/pip" install --quiet --no-deps torchdistill==1.1.5

"$tmp/venv/bin/python" -I - <<'PY'
from importlib.metadata import version

import torch
from torchdistill.losses.mid_level import KDLoss

torch.manual_seed(0)
student, teacher = ({"fc": {"output": scale * torch.randn(8, 10)}} for scale in (1, 3))
labels = torch.randint(10, (8,))


def loss(alpha, beta=None):
    criterion = KDLoss("fc", "output", "fc", "output", temperature=4.0, alpha=alpha, beta=beta)
    return criterion(student, teacher, labels).item()


print("torchdistill", version("torchdistill"))
for alpha in 1e-1, 1e-3, 1e-6, 0.0:
    print(f"alpha {alpha:g}: loss {loss(alpha):.6f}")
print(f"alpha 0 and beta 5: loss {loss(0.0, 5.0):.6f}")
assert abs(loss(1e-3) / loss(1e-6) - 1) < 0.01  # smooth down to here
assert abs(loss(1e-6) / loss(0.0) - 16) < 0.01
assert loss(0.0, 5.0) == loss(0.0)
PY
