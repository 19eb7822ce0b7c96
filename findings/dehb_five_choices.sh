#!/usr/bin/env bash
# Tried: DEHB 0.1.2 on six edges with the five operations of NAS-Bench-201 in their usual order, as categorical
# parameters of ConfigSpace 1.2.2.
# Expected: a sampled cell is the cell that is trained, as the package's own test asks for three choices: to a vector
# and back is the same configuration. Five bins of one width, and all operations among the first cells.
# What happens: choice 3 of 5 becomes 3 / 5 = 0.6, and the way back asks for at least 3 * 0.2 = 0.6000000000000001. The
# fourth choice becomes the third, always: nor_conv_3x3 is trained as nor_conv_1x1. Of 200 first cells of its
# differential evolution none has a 3x3 convolution. Up to nine choices only five do this; ten lose three of them.
# Ordinal parameters are converted alike: a width of 64 among 16, 32, 48, 64 and 80 is run as 48.
# Why it matters: the operation that the best cells are made of is missing where the search starts, and three of four
# sampled cells are not the ones trained. In the first 27 networks of DEHB, where mutation brings some back, it has 7 %
# of the edges where 19 % are due. The history keeps 0.6 for such an edge, which reads as a 3x3 convolution.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet DEHB==0.1.2 ConfigSpace==1.2.2 numpy==1.26.4 distributed==2026.8.0 pandas==2.3.3 \
    pyarrow==20.0.0

cd "$tmp"
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" -I -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, OrdinalHyperparameter
from dehb import DE, DEHB

OPERATIONS = "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"
FACTORS = {"mutation_factor": 0.5, "crossover_prob": 0.5}


def space(parameters):
    made = ConfigurationSpace(seed=0)
    made.add(parameters)
    return made


def cells(count=6):
    return space([CategoricalHyperparameter(f"edge{edge}", OPERATIONS) for edge in range(count)])


def lost(kind, choices):
    """Maps each choice that does not come back from its vector to the one that does."""
    one = space([kind("choice", choices)])
    search = DE(cs=one, pop_size=4, seed=0, output_path="out", **FACTORS)
    configurations = []
    while len({configuration["choice"] for configuration in configurations}) < len(choices):
        configurations.append(one.sample_configuration())
    pairs = [(start, search.vector_to_configspace(search.configspace_to_vector(start))) for start in configurations]
    return {start["choice"]: end["choice"] for start, end in sorted(pairs, key=str) if start["choice"] != end["choice"]}


def trained_first(kind, seed=0):
    """Lists the operations of the cells that the objective is called with."""
    trained = []

    def train(configuration, fidelity=None):
        trained.append(list(configuration.values()))
        return {"fitness": float(sum(operation != "nor_conv_3x3" for operation in trained[-1])), "cost": 1.0}

    if kind is DE:
        DE(cs=cells(), f=train, pop_size=200, seed=seed, output_path="out", **FACTORS).init_eval_pop()
    else:
        bounds = {"min_fidelity": 1, "max_fidelity": 27, "eta": 3, "n_workers": 1, "save_freq": "end"}
        DEHB(cs=cells(), f=train, seed=seed, output_path="out", log_level="ERROR", **bounds).run(fevals=27)
    return np.array(trained)


print("DEHB", version("DEHB"), "ConfigSpace", version("ConfigSpace"), "numpy", version("numpy"))
by_arithmetic = {n: [k for k in range(n) if k * (1 / n) > k / n] for n in range(2, 11)}
for count in range(2, 11):
    names = [f"choice {number}" for number in range(count)]
    found = lost(CategoricalHyperparameter, names)
    if found:
        print(f"{count} choices: {found}")
    assert found == {names[number]: names[number - 1] for number in by_arithmetic[count]}
assert [count for count, numbers in by_arithmetic.items() if numbers] == [5, 10]
found = lost(CategoricalHyperparameter, OPERATIONS), lost(OrdinalHyperparameter, [16, 32, 48, 64, 80])
print(*found)
assert found == ({"nor_conv_3x3": "nor_conv_1x1"}, {64: 48})

sampler = cells()
search = DE(cs=sampler, pop_size=4, seed=0, output_path="out", **FACTORS)
sampled = sampler.sample_configuration(1000)
changed = np.mean([one != search.vector_to_configspace(search.configspace_to_vector(one)) for one in sampled])
print(f"cells changed: {changed:.1%} of 1,000; 1 - .8 ** 6 = {1 - 0.8**6:.1%}")
assert abs(changed - (1 - 0.8**6)) < 0.04


def shares(operations):
    return {operation: float(np.round(np.mean(operations == operation), 3)) for operation in OPERATIONS}


kept = DE.configspace_to_vector
for way in "as it is", "with 1e-9 added to the vectors":
    first = shares(trained_first(DE))
    of_27 = shares(np.concatenate([trained_first(DEHB, seed) for seed in range(20)]))
    print(f"{way}: operations in DE's first 200 cells {first}")
    print(f"{way}: in DEHB's first 27 cells, 20 seeds {of_27}")
    if way == "as it is":
        assert first["nor_conv_3x3"] == 0 and first["nor_conv_1x1"] > 0.35 and of_27["nor_conv_3x3"] < 0.1
        DE.configspace_to_vector = lambda self, configuration: kept(self, configuration) + 1e-9
    else:
        assert all(0.17 < share < 0.23 for share in first.values()) and of_27["nor_conv_3x3"] > 0.17
PY
