#!/usr/bin/env bash
# Tried: random search by hyperopt 0.3.0 over cells of two edges with five operations each, numbered 0 to 4, asked of
# hp.uniformint(name, 0, 4) and of hp.randint(name, 0, 5).
# Expected: the same thing twice, each operation in a fifth of the draws and each of the 25 cells in 4 % of them.
# What happens: uniformint rounds a number between 0 and 4, so that 0 and 4 have half the room of the others: an eighth
# of the draws each, a quarter for 1, 2 and 3. A cell of first and last operations comes in 1.6 % of the draws, one of
# those between in 6.2 %. randint is even. The rule is that of quniform, and the name says otherwise.
# Why it matters: with the six edges of NAS-Bench-201 a cell of first and last operations is drawn once in 8^6 = 262,144
# times and one without them once in 4^6 = 4,096, where 15,625 would be fair. What a random search finds, and how good a
# baseline it is, depends on the numbering of the operations.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet hyperopt==0.3.0 numpy==2.4.6 scipy==1.17.1

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
from collections import Counter
from importlib.metadata import version

import numpy as np
from hyperopt import fmin, hp, rand

DRAWS = 3000


def drawn(kind, low, high):
    cells = Counter()

    def loss(cell):
        cells[tuple(int(operation) for operation in cell)] += 1
        return 0.0

    space = [getattr(hp, kind)(f"edge {i}", low, high) for i in range(2)]
    state = np.random.default_rng(0)
    fmin(loss, space, algo=rand.suggest, max_evals=DRAWS, rstate=state, show_progressbar=False, verbose=False)
    return cells


print("hyperopt", version("hyperopt"))
found = {}
for kind, bounds in {"uniformint": (0, 4), "randint": (0, 5)}.items():
    cells = drawn(kind, *bounds)
    single = [sum(n * cell.count(operation) for cell, n in cells.items()) / (2 * DRAWS) for operation in range(5)]
    ends = sum(cells[a, b] for a in (0, 4) for b in (0, 4)) / 4 / DRAWS
    inner = sum(cells[a, b] for a in (1, 2, 3) for b in (1, 2, 3)) / 9 / DRAWS
    found[kind] = single, ends, inner
    print(f"{kind}{bounds}: operations 0 to 4", *(f"{share:.3f}" for share in single), end="; ")
    print(f"a cell of first and last ones {ends:.4f}, of others {inner:.4f}")
single, ends, inner = found["uniformint"]
assert np.allclose(single, [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8], atol=0.02) and inner > 3 * ends
single, ends, inner = found["randint"]
assert np.allclose(single, 1 / 5, atol=0.02) and inner < 1.3 * ends
PY
