#!/usr/bin/env bash
# Tried: SPKDLoss of torchdistill 1.1.5, similarity-preserving distillation, for 40 random students of one teacher at
# batches of 16, 64 and 256 images.
# Expected: the loss of the paper that the class names (Tung and Mori, ICCV 2019): similarities of the images, each row
# divided by its L2 norm, and the squared difference of the two matrices over the square of the batch.
# What happens: each row is divided by the sum of its absolute values. The call is normalize(matrix, 1), and the second
# argument of that function of torch is p, not the dimension. The loss is that of rows with L1 norm, to the bit of a
# double, and 12, 48 and 200 times (median) too small: the factor grows with the batch, and differs by student.
# Why it matters: with the weight that a paper gives, the term is as good as off, and the more so the larger the batch.
# The factor is another one for each student, so that their order is not the same either.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1
"$tmp/venv/bin/pip" install --quiet --no-deps torchdistill==1.1.5

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import nn
from torchdistill.losses.mid_level import SPKDLoss

generator = torch.Generator().manual_seed(0)
images = torch.randn(256, 3, 8, 8, generator=generator) + torch.randn(256, 3, 1, 1, generator=generator)


def features(seed):
    torch.manual_seed(seed)
    draw, layers, channels = np.random.default_rng(seed), [], 3
    width, kind = int(draw.integers(4, 33)), (nn.ReLU, nn.Tanh, nn.SiLU, nn.Identity)[draw.integers(4)]
    for _ in range(int(draw.integers(1, 5))):
        layers += [nn.Conv2d(channels, width, 3, padding=1), kind()]
        channels = width
    with torch.no_grad():
        return nn.Sequential(*layers)(images).double()


def by_formula(student, teacher, p):
    rows = [z.flatten(1) @ z.flatten(1).T for z in (student, teacher)]
    ours, theirs = (row / row.norm(p=p, dim=1, keepdim=True) for row in rows)
    return ((ours - theirs).square().sum() / len(student) ** 2).item()


def by_torchdistill(student, teacher):
    criterion = SPKDLoss("features", "features", reduction="batchmean")
    return criterion({"features": {"output": student}}, {"features": {"output": teacher}}).item()


print("torchdistill", version("torchdistill"))
teacher, students = features(1000), [features(seed) for seed in range(40)]
factors = []
for batch in 16, 64, 256:
    pairs = [(student[:batch], teacher[:batch]) for student in students]
    theirs = np.array([by_torchdistill(*pair) for pair in pairs])
    paper, absolute = (np.array([by_formula(*pair, p) for pair in pairs]) for p in (2, 1))
    times, rank = paper / theirs, kendalltau(paper, theirs).statistic
    factors.append(np.median(times))
    print(
        f"{batch} images: the paper's loss is {factors[-1]:.1f} times theirs (median; {times.min():.1f} to",
        f"{times.max():.1f}), Kendall of the students {rank:.3f}; rows with L1 norm differ by",
        f"{np.abs(absolute / theirs - 1).max():.0e}",
    )
    assert np.allclose(absolute, theirs, rtol=1e-9) and rank < 1 and times.max() > 1.2 * times.min()
assert factors[0] > 4 and factors[1] > 3 * factors[0] and factors[2] > 3 * factors[1]
PY
