#!/usr/bin/env bash
# Tried: NASBench201.query of nasbenchapi 1.0.5 for epochs 11, 12, 90 and 199, on a file with one architecture whose
# validation accuracy is known after epochs 11 and 199.
# Expected: no accuracy, or an error, for epochs 12 and 90, as the answer has a field that says which epoch it is of.
# What happens: the accuracy of epoch 199 comes back, and the field names the epoch that was asked. Nothing in the
# answer tells the two apart.
# Why it matters: scores are often judged by accuracies after few epochs. Where the epoch is missing, such a judgement
# uses final accuracies without a sign of it, and early and final training look the same.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet nasbenchapi==1.0.5

"$tmp/venv/bin/python" -I - "$tmp/benchmark.pickle" <<'PY'
import pickle
import sys
from importlib.metadata import version

from nasbenchapi import NASBench201

cell = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
run = {"eval_acc1es": {"x-valid@11": 80.0, "x-valid@199": 91.0}}
entry = {"full": {"arch_str": cell, "all_results": {("cifar10-valid", 777): run}}}
with open(sys.argv[1], "wb") as file:
    pickle.dump({"arch2infos": {0: entry}}, file)
benchmark = NASBench201(sys.argv[1], verbose=False)

print("nasbenchapi", version("nasbenchapi"))
for epoch in 11, 12, 90, 199:
    answer = benchmark.query(cell, dataset="cifar10", split="val", budget=epoch)
    print(f"asked for epoch {epoch}: accuracy {answer['metric']}, said to be of epoch {answer['info']['epoch']}")
    assert answer["info"]["epoch"] == epoch
    assert answer["metric"] == (80.0 if epoch == 11 else 91.0)
PY
