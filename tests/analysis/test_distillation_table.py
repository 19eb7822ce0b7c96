"""`distillation-<pair>`: means over seeds and differences from three losses, paired by seed."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from analysis.tables import distillation as tables
from distill.comparison import Row

ROWS = [
    Row(loss, seed, 0.0, test, 0.0, "ok")
    for loss, tests in {"kd": (80, 90, 82), "replay@other": (83, 91, 84), "vanilla": (70, 72, 80)}.items()
    for seed, test in enumerate(tests)
]
DIVERGED = Row("at", 0, math.nan, math.nan, math.nan, "diverged")
T = 4.302653  # Student's t at 97.5 % with 2 degrees of freedom, in any table


def test_a_row_a_loss_best_first_with_paired_differences() -> None:
    found = tables.frame([*ROWS, DIVERGED]).set_index("loss")
    assert list(found.index) == ["replay@other", "kd", "vanilla", "at"]
    best = found.loc["replay@other"]
    assert (best["seeds"], best["test"]) == (3, 86)
    # 3, 1, 2: mean 2, standard deviation 1
    half = T / 3**0.5
    assert (best["over_kd"], best["over_kd_low"], best["over_kd_high"]) == pytest.approx((2, 2 - half, 2 + half))
    assert best["over_vanilla"] == pytest.approx((13 + 19 + 4) / 3)
    assert math.isnan(best["over_uniform"])
    assert math.isnan(found.loc["kd", "over_kd"])
    assert found.loc["at", ["seeds", "failed"]].tolist() == [0, 1]


@pytest.mark.slow
def test_it_is_written_three_times_and_says_what_is_not_there(tmp_path: Path) -> None:
    paths = tables.table(tables.frame([*ROWS, DIVERGED]), "pair").write(tmp_path / "distillation-pair")
    assert [path.suffix for path in paths] == [".csv", ".md", ".tex"]
    with paths[0].open(newline="") as file:
        assert [row["loss"] for row in csv.DictReader(file)] == ["replay@other", "kd", "vanilla", "at"]
    page = paths[1].read_text()
    assert "| replay@other | 3 | 86.00 | 75.17 to 96.83 | 2.00 | -0.48 to 4.48 | 12.00 |" in page
    assert "| at | 0 | – | – |" in page


def test_pairs_are_those_of_the_benchmark(tmp_path: Path) -> None:
    for name in ("digits-1-from-digits", "cifar10-1-from-cifar10"):
        (tmp_path / f"{name}.csv").write_text("loss,seed,val,test,best,status\nkd,0,1,2,3,ok\n")
    assert tables.trainings("digits", tmp_path) == {"digits-1-from-digits": [Row("kd", 0, 1, 2, 3, "ok")]}
    assert list(tables.trainings(None, tmp_path)) == ["cifar10-1-from-cifar10", "digits-1-from-digits"]
