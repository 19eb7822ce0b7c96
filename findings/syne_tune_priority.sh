#!/usr/bin/env bash
# Tried: the multi-objective selection of Syne Tune 0.16.0 (NonDominatedPriority) on 100 networks by error and FLOPs,
# and its evolution (MultiObjectiveRegularizedEvolution), which selects parents by it, on an easy space of cells.
# Expected: low priorities for the networks on the Pareto front, and an evolution that beats random search.
# What happens: the sort answers with the list of networks, best first, and the priority of network i is taken to be
# entry i of that list, which is the number of another network. Priorities have nothing to do with quality: of the ten
# that come first as many are on the front as chance puts there, and the evolution is as good as random search. With the
# places in the list instead of the list, the same evolution gets to the front. The list itself has a like mistake:
# within a front, ranks are used as places, so that the network that is best in the preferred objective is not first.
# Why it matters: it is the default of the package's multi-objective evolution and ASHA: parents and survivors are drawn
# at random, and a paper that compares with them compares with random search under another name.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet numpy==2.4.6 scipy==1.17.1 syne-tune==0.16.0

OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
from scipy.stats import kendalltau
from syne_tune.config_space import choice
from syne_tune.optimizer.schedulers.multiobjective.multi_objective_regularized_evolution import (
    MultiObjectiveRegularizedEvolution,
)
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import NonDominatedPriority


def dominated_by(values):
    """Counts for each network those that are at least as good in both and better in one."""
    return ((values[:, None] <= values).all(2) & (values[:, None] < values).any(2)).sum(0)


class Places(NonDominatedPriority):
    def priority_unsafe(self, objectives):
        return np.argsort(super().priority_unsafe(objectives))


print("syne-tune", version("syne-tune"))
ranks = {"as it is": [], "places": []}
chosen = {"as it is": 0, "places": 0}
on_front = 0
for seed in range(20):
    values = np.random.default_rng(seed).random((100, 2))
    beaten = dominated_by(values)
    on_front += (beaten == 0).sum()
    for name, priority in {"as it is": NonDominatedPriority(), "places": Places()}.items():
        priorities = priority(values)
        ranks[name].append(kendalltau(priorities, beaten).statistic)
        chosen[name] += (beaten[priorities.argsort()[:10]] == 0).sum()
print(f"20 times 100 networks, {on_front} of 2000 on a front; first ten of each by priority:")
for name in ranks:
    rank = np.mean(ranks[name])
    print(f"  {name}: {chosen[name]} of 200 on the front; Kendall with the number of those that dominate {rank:.2f}")

angle = np.random.default_rng(0).permutation(np.linspace(0, np.pi / 2, 20))
front = 1 - np.stack([np.sin(angle), np.cos(angle)], 1)
first = int(NonDominatedPriority(dim=0)(front)[0])
print(f"front of 20 by the first objective: network {first} comes first, {front[:, 0].argmin()} is best in it")

EDGES = 8
SPACE = {f"edge{edge}": choice([0, 1, 2, 3, 4]) for edge in range(EDGES)}
GAIN, COST = np.array([0, 1, 3, 4, 2]), np.array([0, 0.2, 1, 3, 2.5])


def objectives(cell):
    ops = np.array(list(cell.values()))
    return [float(4 * EDGES - GAIN[ops].sum()), float(COST[ops].sum())]


def search(priority, seed, trials=600):
    np.random.seed(seed)
    searcher = MultiObjectiveRegularizedEvolution(
        SPACE, population_size=50, sample_size=10, multiobjective_priority=priority, random_seed=seed
    )
    seen = []
    for trial in range(trials):
        cell = searcher.suggest()
        seen.append(objectives(cell))
        if priority is not None:
            searcher.on_trial_complete(trial, cell, seen[-1])
    return np.array(seen)


def volume(values):
    area, height = 0.0, 4.0 * EDGES
    for error, cost in sorted(map(tuple, values), key=lambda pair: pair[::-1]):
        area += max(0.0, height - error) * (3.0 * EDGES - cost)
        height = min(height, error)
    return area


found = {
    name: np.mean([volume(search(priority() if priority else None, seed)) for seed in range(5)])
    for name, priority in {"random": None, "as it is": NonDominatedPriority, "places": Places}.items()
}
print("hypervolume after 600 cells, mean of five:", ", ".join(f"{name} {value:.1f}" for name, value in found.items()))
assert abs(np.mean(ranks["as it is"])) < 0.05 and np.mean(ranks["places"]) > 0.8
assert chosen["as it is"] < 25 and chosen["places"] == on_front
assert first != front[:, 0].argmin()
assert found["as it is"] < found["random"] * 1.01 and found["places"] > found["random"] * 1.05
PY
