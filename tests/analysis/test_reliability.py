"""The report says of planted tables what was planted, and of incomplete ones what is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Command

from analysis.stats import bootstrap, seeds
from analysis.stats.bootstrap import interval
from analysis.stats.correlation import kendall_interval
from analysis.stats.reliability import true_correlation
from analysis.studies.labels import reliability
from analysis.studies.labels.reliability import KS, QUANTILES, Report, entry, report
from bench.benchmarks import benchmark
from common.errors import BadInput
from distill.tables import COLUMNS, AccuracyTable, table_path, write_table
from spaces.nb201.cell import cell_at
from spaces.nb201.equivalence import representatives
from spaces.nb201.skeleton import count_parameters

pytestmark = pytest.mark.slow

SETTING = benchmark("digits")
CELLS = sorted(set(representatives("function")))
RECIPE = {"steps": 7, "teacher_hash": "0123456789abcdef"}
rng = np.random.default_rng


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    monkeypatch.setattr(seeds, "PERMUTATIONS", 99)


def write(folder: Path, mode: str, by_seed: pd.DataFrame, diverged: set[tuple[int, int]] | None = None) -> None:
    """A table with a row for each number of the frame (index: cell, columns: seed); `diverged` rows have none."""
    rows: list[dict[str, Any]] = [
        {"cell": cell, "seed": seed, "val": value, "test": value, "status": "ok"}
        for (cell, seed), value in by_seed.stack().dropna().items()
    ]
    rows += [{"cell": cell, "seed": seed, "status": "diverged"} for cell, seed in diverged or ()]
    frame = pd.DataFrame(rows).reindex(columns=list(COLUMNS)).assign(epochs=1, seconds=0.5)
    table = AccuracyTable(frame, RECIPE)
    write_table(table_path("digits", mode, folder), table, {})


def planted(n: int = 60, seeds: int = 3, noise: float = 1.0, gain: float = 2.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Vanilla and distilled accuracies of n classes, as a table keeps them: to four decimals."""
    cells, truth = CELLS[:n], 70 + 5 * rng(0).normal(size=(n, 1))
    a = truth + noise * rng(1).normal(size=(n, seeds))
    b = truth + gain + rng(2).normal(size=(n, 1)) + noise * rng(3).normal(size=(n, seeds))
    return tuple(pd.DataFrame(x.round(4), index=cells) for x in (a, b))  # type: ignore[return-value]


Planted = Callable[..., Report]


@pytest.fixture
def told(tmp_path: Path) -> Planted:
    """`told(vanilla, distilled)`: the report of these two tables."""

    def tell(vanilla: pd.DataFrame, distilled: pd.DataFrame, diverged: set[tuple[int, int]] | None = None) -> Report:
        write(tmp_path, "vanilla", vanilla)
        write(tmp_path, "distilled", distilled, diverged)
        return report(SETTING, tmp_path)

    return tell


# complete tables


def test_planted_noise_is_found_in_tables(told: Planted) -> None:
    """2,000 classes, 2 seeds: truth of standard deviation 5, noise of 2 in vanilla; the ceiling is what is reached."""
    n = 2000
    truth = 5 * rng(0).normal(size=n)
    seeds = [(truth + 2 * rng(10 + seed).normal(size=n)).round(4) for seed in range(12)]
    vanilla = pd.DataFrame({0: seeds[0], 1: seeds[1]}, index=CELLS[:n])
    found = told(vanilla, (vanilla + rng(1).normal(size=(n, 1))).round(4))
    for k in KS:
        reached = np.corrcoef(truth.argsort().argsort(), np.mean(seeds[2 : 2 + k], axis=0).argsort().argsort())[0, 1]
        means = entry(found)["reliability"]["vanilla"]["means"][str(k)]
        assert means["ceiling"] == pytest.approx(reached, abs=0.02)
        assert means["reliability"] == pytest.approx(25 / (25 + 4 / k), abs=0.025)


def test_the_report_is_what_pandas_says_of_the_tables(told: Planted) -> None:
    vanilla, distilled = planted()
    found = told(vanilla, distilled)
    a, b = vanilla.mean(axis=1), distilled.mean(axis=1)
    seen = found.agreement.observed
    assert seen.n == 60
    assert seen.kendall == pytest.approx(a.corr(b, method="kendall"))
    assert seen.spearman == pytest.approx(a.corr(b, method="spearman"))
    redrawn = kendall_interval(a.to_numpy(), b.to_numpy(), np.arange(60))
    assert (found.agreement.kendall_low, found.agreement.kendall_high) == pytest.approx(redrawn)
    assert redrawn[0] < seen.kendall < redrawn[1]
    assert seen.spearman_low < seen.spearman < seen.spearman_high
    gains = (distilled - vanilla).mean(axis=1)
    gain = found.gain
    assert (gain.n, gain.mean, gain.sd) == pytest.approx((60, gains.mean(), gains.std()))
    assert gain.quantiles == pytest.approx({q: gains.quantile(q / 100) for q in (5, 25, 50, 75, 95)})
    assert tuple(gain.quantiles) == QUANTILES
    assert gain.positive == pytest.approx((gains > 0).sum() / 60)
    assert gain.low < gain.mean < gain.high
    assert gain.high - gain.low == pytest.approx(2 * 1.96 * gains.std() / math.sqrt(60), rel=0.35)
    params = pd.Series({cell: count_parameters(cell_at(cell), SETTING.skeleton) for cell in gains.index})
    assert gain.params.spearman == pytest.approx(params.corr(gains, method="spearman"))
    assert gain.params.kendall == pytest.approx(params.corr(gains, method="kendall"))
    for name, frame in {"vanilla": vanilla, "distilled": distilled, "gain": distilled - vanilla}.items():
        ours = found.reliability[name]
        assert ours is not None
        pairs = [frame[i].corr(frame[j], method="spearman") for i, j in ((0, 1), (0, 2), (1, 2))]
        assert (ours.cells, ours.seeds, ours.spearman) == pytest.approx((60, 3, np.mean(pairs)))


def test_the_true_correlation_lies_above_the_observed_one_where_noise_is_not_shared(told: Planted) -> None:
    found = told(*planted(n=400, noise=4.0)).agreement
    assert found.observed.spearman < found.true_low < found.true < found.true_high
    assert found.true == pytest.approx(0.98, abs=0.04)  # 5 of truth beside 1 of gain


def test_noise_that_a_seed_brings_to_both_tables_does_not_pass_for_agreement(told: Planted) -> None:
    n = 400
    luck = 3 * rng(5).normal(size=(n, 3))
    frames = [pd.DataFrame(rng(seed).normal(size=(n, 1)) + luck, index=CELLS[:n]).round(4) for seed in (6, 7)]
    found = told(*frames).agreement
    assert found.observed.spearman > 0.6
    assert found.true_low < 0 < found.true_high


def test_classes_are_drawn_for_the_intervals_however_many_of_their_cells_are_labelled(told: Planted) -> None:
    class_of = representatives("function")
    chosen = [cell for cell in range(3000) if class_of[cell] in CELLS[:40]]
    assert len(chosen) > 80
    rows = [CELLS.index(class_of[cell]) for cell in chosen]
    vanilla, distilled = planted(n=40)
    found = told(*(frame.iloc[rows].set_axis(chosen) for frame in (vanilla, distilled)))
    many = found.gain
    gains = (distilled - vanilla).mean(axis=1).iloc[rows]
    assert many.high - many.low > 1.2 * 2 * 1.96 * gains.std() / math.sqrt(len(rows))
    a, b = vanilla.iloc[rows].to_numpy(), distilled.iloc[rows].to_numpy()
    low, high = interval(lambda drawn: true_correlation(a[drawn], b[drawn]), np.arange(len(rows)))
    assert found.agreement.true_high - found.agreement.true_low > 1.1 * (high - low)


# incomplete tables


def test_what_diverged_or_was_not_trained_is_counted_by_seed(told: Planted) -> None:
    vanilla, distilled = planted(n=20, seeds=2)
    distilled.iloc[0, 1] = distilled.iloc[1, 0] = distilled.iloc[1, 1] = np.nan
    distilled.iloc[[5, 6, 7], 1] = np.nan
    gone = {(CELLS[0], 1), (CELLS[1], 0), (CELLS[1], 1)}
    found = told(vanilla, distilled, gone)
    complete, holed = found.coverage["vanilla"], found.coverage["distilled"]
    assert (complete.any_seed, complete.all_seeds) == (20, 20)
    assert (complete.failed, complete.missing) == ({0: 0, 1: 0}, {0: 0, 1: 0})
    assert (holed.any_seed, holed.all_seeds) == (19, 15)
    assert (holed.failed, holed.missing) == ({0: 1, 1: 2}, {0: 0, 1: 3})
    assert found.gain.n == found.agreement.observed.n == 19
    reliabilities = {name: each and each.cells for name, each in found.reliability.items()}
    assert reliabilities == {"vanilla": 20, "distilled": 15, "gain": 15}


def test_means_are_over_the_seeds_that_both_tables_have(told: Planted) -> None:
    vanilla, distilled = planted(n=30, seeds=2)
    distilled.iloc[3, 1] = np.nan
    found = told(vanilla, distilled)
    a, b = vanilla.mean(axis=1), distilled.mean(axis=1)
    a.iloc[3] = vanilla.iloc[3, 0]
    assert found.agreement.observed.spearman == pytest.approx(a.corr(b, method="spearman"))
    assert found.gain.mean == pytest.approx((b - a).mean())


def test_a_seed_of_one_table_alone_is_no_seed_of_the_gain(told: Planted) -> None:
    vanilla, distilled = planted(n=30, seeds=3)
    found, expected = told(vanilla, distilled[[0, 1]]), told(vanilla[[0, 1]], distilled[[0, 1]])
    assert found.gain == expected.gain
    assert found.agreement == expected.agreement
    assert found.reliability["gain"] == expected.reliability["gain"]
    assert found.reliability["vanilla"] != expected.reliability["vanilla"]


def test_one_seed_has_a_gain_but_no_reliability(told: Planted) -> None:
    found = told(*planted(seeds=1))
    assert set(found.reliability.values()) == {None}
    assert found.gain.low < found.gain.mean < found.gain.high
    assert math.isnan(found.agreement.true)
    assert math.isnan(found.agreement.true_low)
    written = entry(found)
    assert written["reliability"] == {"vanilla": None, "distilled": None, "gain": None}
    assert written["agreement"]["true"] is None


def test_constant_accuracies_have_no_correlations_and_a_gain_without_spread(told: Planted) -> None:
    constant = pd.DataFrame(50.0, index=CELLS[:10], columns=[0, 1])
    found = told(constant, constant + 1.5)
    assert (found.gain.mean, found.gain.low, found.gain.high, found.gain.sd) == (1.5, 1.5, 1.5, 0)
    assert math.isnan(found.agreement.observed.spearman)
    assert math.isnan(found.gain.params.spearman)
    json.dumps(entry(found), allow_nan=False)
    assert told(constant, constant).gain.positive == 0


def test_seeds_that_contradict_each_other_have_no_reliability_that_json_could_say(told: Planted) -> None:
    opposed = pd.DataFrame({0: np.arange(10.0), 1: -np.arange(10.0)}, index=CELLS[:10])
    found = entry(told(opposed, opposed + 1))
    json.dumps(found, allow_nan=False)
    assert found["reliability"]["vanilla"]["means"]["2"] == {"reliability": None, "ceiling": 0}


def test_a_single_class_is_told_without_failing(told: Planted) -> None:
    found = told(*planted(n=1))
    assert found.gain.n == 1
    assert found.gain.low == found.gain.mean == found.gain.high
    assert math.isnan(found.gain.sd)
    json.dumps(entry(found), allow_nan=False)


def test_tables_without_a_training_in_common_are_bad_input(told: Planted) -> None:
    vanilla, distilled = planted(n=20, seeds=2)
    match = r"the tables of digits in .* share no class and seed"
    with pytest.raises(BadInput, match=match):
        told(vanilla[[0]], distilled[[1]])
    with pytest.raises(BadInput, match=match):
        told(vanilla.iloc[:10], distilled.iloc[10:])
    nothing = vanilla.iloc[:0]
    with pytest.raises(BadInput, match=match):
        told(vanilla, nothing, {(CELLS[0], 0)})


# the command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vanilla, distilled = planted()
    write(tmp_path / "tables", "vanilla", vanilla)
    write(tmp_path / "tables", "distilled", distilled.iloc[1:], {(CELLS[0], 2)})
    return tmp_path / "tables"


def test_json_is_one_array_and_nothing_else(command: Command, folder: Path) -> None:
    ended = command("analysis", "reliability", "--tables", folder, "--json")
    assert (ended.code, ended.err) == (0, "")
    (found,) = json.loads(ended.out, parse_constant=pytest.fail)
    assert found == json.loads(json.dumps(entry(report(SETTING, folder))))
    assert found["benchmark"] == "digits"
    assert list(found["reliability"]) == ["vanilla", "distilled", "gain"]
    assert list(found["reliability"]["gain"]["means"]) == ["1", "2", "3", "5", "10"]
    assert found["coverage"]["distilled"] == {
        "any_seed": 59,
        "all_seeds": 59,
        "failed": {"0": 0, "1": 0, "2": 1},
        "missing": {"0": 1, "1": 1, "2": 0},
    }


def test_the_printed_report_has_the_numbers(command: Command, folder: Path) -> None:
    ended = command("analysis", "reliability", "--tables", folder)
    assert (ended.code, ended.err) == (0, "")
    found = report(SETTING, folder)
    for name in ("vanilla", "distilled", "gain"):
        each = found.reliability[name]
        assert each is not None
        row = next(line for line in ended.out.splitlines() if line.startswith(f" {name} ") and "reliability" in line)
        below = ended.out.splitlines()[ended.out.splitlines().index(row) + 1].split()
        assert row.split() == [
            name,
            *map(str, (each.cells, each.seeds)),
            f"{each.kendall:.3f}",
            f"{each.spearman:.3f}",
            "reliability",
            *(f"{each.of_mean(k):.3f}" for k in KS),
        ]
        assert below == ["ceiling", *(f"{each.ceiling_of_mean(k):.3f}" for k in KS)]
    gain, seen = found.gain, found.agreement
    for text in (
        f"mean {gain.mean:.2f} [{gain.low:.2f}, {gain.high:.2f}], standard deviation {gain.sd:.2f}",
        f"95 %: {gain.quantiles[95]:.2f}; positive in {gain.positive:.1%} of the classes",
        f"Kendall  {seen.observed.kendall:.3f} [{seen.kendall_low:.3f}, {seen.kendall_high:.3f}]",
        f"Spearman {seen.true:.3f} [{seen.true_low:.3f}, {seen.true_high:.3f}] corrected for attenuation",
        f"with params: Spearman {gain.params.spearman:.3f} [",
        "7 steps, teacher 01234567",
        "0: 0, 1: 0, 2: 1",
    ):
        assert text in ended.out


def test_what_is_not_known_is_printed_as_a_dash(command: Command, tmp_path: Path) -> None:
    for mode, frame in zip(("vanilla", "distilled"), planted(seeds=1), strict=True):
        write(tmp_path, mode, frame)
    ended = command("analysis", "reliability", "--tables", tmp_path)
    assert ended.code == 0
    assert "nan" not in ended.out
    assert ended.out.count("unknown: needs two seeds of three classes") == 3
    assert "Spearman – [–, –] corrected for attenuation" in ended.out


@pytest.mark.parametrize("mode", ["vanilla", "distilled"])
def test_a_missing_table_is_one_line(command: Command, folder: Path, mode: str) -> None:
    table_path("digits", mode, folder).unlink()
    ended = command("analysis", "reliability", "--tables", folder, "--json")
    assert (ended.code, ended.out) == (1, "")
    assert ended.error.startswith("no accuracy table")
    assert f"digits-{mode}.csv.gz" in ended.error


def test_an_unknown_benchmark_is_bad_usage(command: Command) -> None:
    ended = command("analysis", "reliability", "--benchmark", "digit")
    assert ended.code == 2
    assert "did you mean 'digits'?" in ended.error


def test_the_committed_tables_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).parents[2] / "results" / "accuracies"
    found = report(SETTING, folder)
    assert found.coverage["distilled"].all_seeds == found.gain.n
    assert set(found.reliability) == {"vanilla", "distilled", "gain"}
    reliability.print_report(found)
    assert f"{found.gain.n} classes" in capsys.readouterr().out
