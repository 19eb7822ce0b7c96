#!/usr/bin/env bash
# Tried: CKA of ckatorch 1.0.3 between the layers of a teacher and of 20 students on 257 sequences in batches of 32.
# Expected: the formula of its README, HSIC summed over all batches of examples, with rows in the order of the layers
# that the result names.
# What happens: each batch overwrites the entry of the one before. The answer is the CKA of the last batch, here of one
# sequence, and drop_last=True is refused since the batch size would matter. Within a batch the tokens of one sequence
# are the examples, and no two sequences are compared: two layers whose sequences have nothing in common have a CKA of
# 1 if their tokens relate alike. Rows follow the order in which layers run and the names that in which they were made,
# so that a network that makes its head first has its head's name at its first layer's number.
# Why it matters: 20 students are ranked by their likeness to a teacher on one image, with a Kendall of .57 to the
# ranking by all of them. A pass over the data with ten epochs, the default, costs ten times as much for ten images.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 ckatorch==1.0.3

OMP_NUM_THREADS=1 TQDM_DISABLE=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

import torch
from ckatorch import CKA
from scipy.stats import kendalltau
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
SEQUENCES, TOKENS, WIDTH = 257, 12, 16


class Sequences(Dataset):
    values = torch.randn(SEQUENCES, TOKENS, WIDTH)

    def __len__(self):
        return SEQUENCES

    def __getitem__(self, place):
        return {"x": self.values[place]}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.stem = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.head(torch.tanh(2 * self.stem(x)))


class Turned(nn.Module):
    """Turns each sequence by a rotation of its own."""

    def __init__(self):
        super().__init__()
        self.out = nn.Identity()

    def forward(self, x):
        return self.out(x @ torch.linalg.qr(torch.randn(len(x), WIDTH, WIDTH))[0])


class Plain(Turned):
    def forward(self, x):
        return self.out(x)


def theirs(one, other, layers, batch=32):
    measure = CKA(one, other, layers, first_name="one", second_name="other", device="cpu")
    return measure(DataLoader(Sequences(), batch), epochs=1), measure.first_model_info.layers


def hsic(k, l):
    n, k, l = len(k), k - k.diag().diag(), l - l.diag().diag()
    ones = torch.ones(n, dtype=k.dtype)
    pairs = (ones @ k @ ones) * (ones @ l @ ones) / (n - 1) / (n - 2) - 2 / (n - 2) * (ones @ k @ l @ ones)
    return float(((k * l).sum() + pairs) / (n * (n - 3)))


def cka(first, second):
    """Follows the README's formula over an iterable of minibatches (examples, features)."""
    grams = [(x @ x.T, y @ y.T) for x, y in zip(first.double(), second.double())]
    own = sum(hsic(k, k) for k, _ in grams) * sum(hsic(l, l) for _, l in grams)
    return sum(hsic(k, l) for k, l in grams) / own**0.5


def batches(features):
    return features[:256].flatten(1).reshape(8, 32, -1)


@torch.no_grad()
def stem(net):
    return net.stem(Sequences.values)


print("ckatorch", version("ckatorch"), "torch", torch.__version__)
teacher, found = Network(), []
for step in range(20):
    student = Network()
    with torch.no_grad():
        student.stem.weight.mul_(0.5).add_(teacher.stem.weight, alpha=0.1 + step / 60)
    matrix, names = theirs(teacher, student, ["head", "stem"])
    answer = float(matrix[0, 0])  # stem and stem: it runs first
    one, other = stem(teacher), stem(student)
    assert abs(answer - cka(one[-1:], other[-1:])) < 1e-4 and names == ["head", "stem"]
    found.append((answer, cka(one, other), cka(batches(one), batches(other))))
answers, tokens, sequences = zip(*found)
for name, true in {"tokens of all sequences": tokens, "sequences, in the same batches": sequences}.items():
    print(f"CKA over {name}: {min(true):.3f} to {max(true):.3f},", end=" ")
    print(f"Kendall with ckatorch's {kendalltau(true, answers).statistic:.2f}")
print(f"ckatorch: {min(answers):.3f} to {max(answers):.3f}, each that of the last sequence alone")
print(f"layers as named: {names}; row 0 is the CKA of the stem")
torch.manual_seed(1)
matrix, _ = theirs(Plain(), Turned(), ["out"])
true = cka(batches(Sequences.values), batches(Turned()(Sequences.values)))
print(f"each sequence turned its own way: ckatorch {float(matrix):.4f}, over sequences {true:.4f}")
assert abs(float(matrix) - 1) < 1e-4 and abs(true) < 0.02
for true in tokens, sequences:
    assert kendalltau(true, answers).statistic < 0.75
assert kendalltau(tokens, sequences).statistic > 0.9
PY
