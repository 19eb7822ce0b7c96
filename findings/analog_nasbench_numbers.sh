#!/usr/bin/env bash
# Tried: which operation and which edge the numbers in analog-nasbench 0.1.3 mean. Its keys are tuples of six numbers
# from 0 to 4, one for each edge of a NAS-Bench-201 cell, and the package has no table of them.
# Expected: the order of NAS-Bench-201, as nasbenchapi 1.0.5 lists it: none first, edges 01 02 12 03 13 23.
# What happens: its own accuracies say otherwise. Six times 0 learns; six times 1 stays at the 10 % of guessing: 1 is
# none. One operation alone learns at position 2 only, so that the edge from input to output comes third and not
# fourth: edges 01 02 03 12 13 23.
# Why it matters: all 15,625 tuples exist, so that a cell in the usual order is always answered, with the accuracy of
# another cell. A ranking judged by it is weak for no reason that shows.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet analog-nasbench==0.1.3 nasbenchapi==1.0.5 numpy==2.4.6 pandas==3.1.1 \
    setuptools==80.9.0

"$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

from analognasbench import AnalogNASBench
from nasbenchapi.nasbench201_api import NASBench201

data = AnalogNASBench()


def accuracy(*key):
    return data.query_metric(key, "baseline_accuracy")


print("analog-nasbench", version("analog-nasbench"), "with", len(data.list_available_architectures()), "cells")
same = [accuracy(*[number] * 6) for number in range(5)]
for operation, reached in zip(NASBench201.OPS, same):
    print(f"all six numbers as NAS-Bench-201 has {operation}: {reached:.2f} %")
none = same.index(10.0)
alone = [[accuracy(*(n if place == p else none for place in range(6))) for n in range(5)] for p in range(6)]
learning = [p for p in range(6) if max(alone[p]) > 10]
print(f"guesses only with number {none}; one operation alone learns at position {learning}")
assert len(data.list_available_architectures()) == 15625
assert NASBench201.OPS.index("none") == 0 and none == 1 and same.count(10.0) == 1
assert learning == [2] and sum(value > 10 for value in alone[2]) == 4
PY
