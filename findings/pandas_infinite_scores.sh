#!/usr/bin/env bash
# Tried: the rank correlation of scores of 100 networks with their accuracies by pandas 3.1.1, where 16 of the worst
# networks score -inf, as the log-determinant of a singular kernel does: asked of a DataFrame and of its two columns.
# Expected: one number twice, df.corr() and df["score"].corr(df["accuracy"]), with the infinite scores ranked last.
# What happens: DataFrame.corr (and groupby(...).corr) leaves infinite values out, as if they were missing; Series.corr
# and corrwith rank them, as SciPy does. Spearman and Kendall differ, and Pearson is a number in the one and NaN in the
# other. Neither says how many networks it judged.
# Why it matters: a proxy that fails on bad networks is judged on the good ones alone, and the correlation of a table
# is another than that of its columns.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet numpy==2.4.6 pandas==3.1.1 scipy==1.17.1

"$tmp/venv/bin/python" -I -W ignore - <<'PY'
import numpy as np
import pandas as pd
from scipy import stats

draw = np.random.default_rng(0)
accuracy = draw.normal(size=100)
score = np.where(accuracy < -0.8, -np.inf, accuracy + 0.3 * draw.normal(size=100))
table = pd.DataFrame({"score": score, "accuracy": accuracy})
finite = np.isfinite(score)
print("pandas", pd.__version__, "infinite scores:", (~finite).sum(), "of", len(score))
for method, ranked in {"spearman": stats.spearmanr, "kendall": stats.kendalltau, "pearson": stats.pearsonr}.items():
    frame = table.corr(method=method).loc["score", "accuracy"]
    groups = table.assign(group=0).groupby("group").corr(method=method).loc[(0, "score"), "accuracy"]
    series = table["score"].corr(table["accuracy"], method=method)
    beside = table[["score"]].corrwith(table["accuracy"], method=method)["score"]
    alone = ranked(score[finite], accuracy[finite]).statistic
    print(f"{method}: DataFrame.corr {frame:.3f}, Series.corr {series:.3f}; SciPy on the finite ones {alone:.3f}")
    assert np.isclose(frame, alone) and np.isclose(groups, alone)
    if method == "pearson":
        assert np.isnan(series) and np.isnan(beside)
    else:
        assert np.isclose(series, ranked(score, accuracy).statistic) and np.isclose(beside, series)
        assert series - frame > 0.01
PY
