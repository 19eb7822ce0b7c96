#!/usr/bin/env bash
# Tried: the Pareto front of 200 networks by loss and FLOPs, ten of which have a loss of NaN because they diverged, with
# pymoo 0.6.2, deap 1.4.4 and moocore 0.3.2, in ten orders of the same networks.
# Expected: an error, or the failed ones left out, as moocore does here; in any case one answer, in any order.
# What happens: NaN is neither better nor worse, so that a failed network is compared by its FLOPs alone. In pymoo and
# deap it dominates every network with more FLOPs, however accurate: of the 23 networks on the front of those that did
# not fail, pymoo loses 10 and deap's sortNondominated 19. deap's sortLogNondominated and ParetoFront answer by the
# order of the list, ten fronts in ten orders, most of them with networks that others dominate.
# Why it matters: one diverged small network takes accurate large ones out of the result of a search, and the front that
# is published has no NaN in it that would tell.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet numpy==2.4.6 pymoo==0.6.2 deap==1.4.4 moocore==0.3.2

"$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

import moocore
import numpy as np
from deap import base, tools
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

rng = np.random.default_rng(0)
flops = rng.uniform(1, 10, 200)
loss = 1 / flops + rng.exponential(0.3, 200)
failed = {int(network) for network in rng.permutation(200)[:10]}
loss[list(failed)] = np.nan
both = np.stack([loss, flops], 1)


class Pair(base.Fitness):
    weights = (-1.0, -1.0)


class Network:
    def __init__(self, place, values):
        self.place, self.fitness = place, Pair(tuple(values))

    def __eq__(self, other):
        return self.place == other.place


def deap_sort(function):
    return lambda values: [network.place for network in function([*map(Network, range(200), values)], 200)[0]]


def deap_archive(values):
    archive = tools.ParetoFront()
    archive.update([*map(Network, range(200), values)])
    return [network.place for network in archive]


def by_definition(places):
    kept = both[places]
    beaten = ((kept[:, None] <= kept).all(2) & (kept[:, None] < kept).any(2)).any(0)
    return {int(place) for place in np.array(places)[~beaten]}


ways = {
    "pymoo NonDominatedSorting": lambda values: NonDominatedSorting().do(values)[0],
    "deap sortNondominated": deap_sort(tools.sortNondominated),
    "deap sortLogNondominated": deap_sort(tools.sortLogNondominated),
    "deap ParetoFront": deap_archive,
    "moocore is_nondominated": lambda values: np.flatnonzero(moocore.is_nondominated(values)),
}
print(", ".join(f"{name} {version(name)}" for name in ("pymoo", "deap", "moocore")))
right = by_definition([place for place in range(200) if place not in failed])
print(f"front of the {200 - len(failed)} that did not fail: {len(right)} networks")
found = {}
for name, way in ways.items():
    orders = [np.random.default_rng(seed).permutation(200) for seed in range(10)]
    fronts = {frozenset(int(order[place]) for place in way(both[order])) for order in orders}
    lost = [len(right - front) for front in fronts]
    wrong = [len(front - right - failed) for front in fronts]
    shown = max(len(front & failed) for front in fronts)
    found[name] = len(fronts), max(lost), max(wrong)
    print(
        f"{name}: {len(fronts)} fronts in 10 orders; of the {len(right)} it loses {min(lost)} to {max(lost)},", end=" "
    )
    print(f"has {min(wrong)} to {max(wrong)} that others dominate and up to {shown} failed")
assert len(right) == 23
assert found["pymoo NonDominatedSorting"] == (1, 10, 0) and found["deap sortNondominated"] == (1, 19, 0)
for name in "deap sortLogNondominated", "deap ParetoFront":
    assert found[name][0] == 10 and found[name][1] > 0 and found[name][2] > 0
assert found["moocore is_nondominated"] == (1, 0, 0)
PY
