#!/usr/bin/env bash
# Tried: Structure.to_unique_str of xautodl 1.0.0, whose string is to be the same for isomorphic cells, on all 15,625
# cells of NAS-Bench-201 with each value of its only option, consider_zero.
# Expected: with the default one string for each cell up to isomorphism; the number of those is known as 6,466.
# What happens: None gives 15,625 strings, the default False 12,751, True 6,466. None of them is 9,445, the cells in
# which every operation lies on a path from input to output. And a node without any input counts as zero only if a
# single `none` leads to it: two cells that compute the same are told apart even with True.
# Why it matters: ties and copies decide rank correlations. Who drops copies with the default keeps two thirds of
# them, and tables about "unique cells" are comparable only if they say which option they used.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$tmp/venv/bin/pip" install --quiet --no-deps xautodl==1.0.0

"$tmp/venv/bin/python" -I - <<'PY'
from importlib.metadata import version
from itertools import product

from xautodl.models.cell_operations import NAS_BENCH_201
from xautodl.models.cell_searchs import CellStructure

EDGES = (0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)


def cell(operations):
    node = dict(zip(EDGES, operations))
    return CellStructure([[(node[i, j], i) for i in range(j)] for j in (1, 2, 3)])


def fully_used(operations):
    kept = [edge for edge, operation in zip(EDGES, operations) if operation != "none"]
    reached, used = {0}, {3}
    for i, j in kept:
        reached |= {j} if i in reached else set()
    for i, j in sorted(kept, reverse=True):
        used |= {i} if j in used else set()
    return all(i in reached and j in used for i, j in kept)


print("xautodl", version("xautodl"))
every = list(product(NAS_BENCH_201, repeat=6))
found = {option: len({cell(ops).to_unique_str(option) for ops in every}) for option in (None, False, True)}
valid = sum(map(fully_used, every))
print("different strings:", found, "cells without dead operations:", valid)
assert found == {None: 15625, False: 12751, True: 6466} and valid == 9445

dead = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|{}~2|"
pair = [CellStructure.str2structure(dead.format(last)).to_unique_str(True) for last in ("none", "skip_connect")]
print("the second node is zero, and its last edge none or skip:", *pair)
assert pair[0] != pair[1]
PY
