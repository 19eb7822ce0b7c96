#!/usr/bin/env bash
# Tried: ten trials under Ray Tune 2.60.0's ASHA scheduler (nine epochs, reduction factor 3), three of which report a
# loss of NaN from the first epoch on, as a network does that has diverged.
# Expected: the diverged ones are the first to be stopped, or all are treated like the worst.
# What happens: they are never stopped. A trial is stopped if its result is less than the cutoff, and NaN is not less
# than anything; the cutoff itself leaves NaN out. All three train for all nine epochs, beside the one best trial, and
# the six that merely lose are stopped after one epoch. get_best_result leaves NaN out and so hides them.
# Why it matters: successive halving is there to spend epochs on networks that may win. Where a third diverges, three of
# four networks that are trained to the end are those, and the time of a search goes into them.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet "ray[tune]==2.60.0" numpy==2.4.6
export HOME="$tmp/home" RAY_USAGE_STATS_ENABLED=0 TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1
mkdir "$HOME"

"$tmp/venv/bin/python" -I -W ignore - "$tmp/results" <<'PY' 2> "$tmp/log"
import math
import sys

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

RATES = [3.0, 2.0, 1.5, 10.0, 1.0, 0.5, 20.0, 0.3, 0.1, 30.0]  # those above 5 diverge


def train(config):
    for epoch in range(1, 10):
        tune.report({"loss": math.nan if config["rate"] > 5 else 1 / (config["rate"] * epoch)})


ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
setting = tune.TuneConfig(
    metric="loss",
    mode="min",
    max_concurrent_trials=1,
    scheduler=ASHAScheduler(max_t=9, grace_period=1, reduction_factor=3),
)
storage = tune.RunConfig(storage_path=sys.argv[1], verbose=0)
grid = tune.Tuner(train, param_space={"rate": tune.grid_search(RATES)}, tune_config=setting, run_config=storage).fit()
epochs = {trial.config["rate"]: trial.metrics["training_iteration"] for trial in grid}
best = grid.get_best_result().config["rate"]
ray.shutdown()
print("ray", ray.__version__)
for rate in RATES:
    print(f"learning rate {rate:g}: {'diverged' if rate > 5 else 'learns'}, trained for {epochs[rate]} epochs")
print(f"best: {best:g}")
assert {rate for rate in RATES if epochs[rate] == 9} == {3.0, 10.0, 20.0, 30.0} and best == 3.0
assert {epochs[rate] for rate in RATES if epochs[rate] < 9} == {1}
PY
