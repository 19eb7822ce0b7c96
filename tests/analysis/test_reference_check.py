"""The reference check compares what it says, and its verdicts follow from the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.read.reported import AGREEMENT, CIFAR100_VALID, Band
from analysis.studies import reference_check
from analysis.studies.reference_check import (
    ACCURACIES,
    MISSING,
    SCORES,
    Check,
    Estimate,
    check,
    reference_scores,
    table,
)
from bench.benchmarks import benchmark
from bench.identity import settings
from bench.store import Row, ScoreStore
from common.errors import BadInput
from proxies import registry
from spaces.nb201.cell import cell_at
from spaces.nb201.sets import cell_set

VALID = sorted(cell_set("valid"))[:60]
RNG = np.random.default_rng(3)
TRUE = pd.Series(RNG.normal(size=60), index=VALID)


def noisy(spread: float, seed: int) -> pd.Series:
    return TRUE + np.random.default_rng(seed).normal(0, spread, 60)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as the published one: scores with a gap, accuracies."""
    folder = tmp_path / "data"
    (folder / "nb201").mkdir(parents=True)
    scores = pd.DataFrame(
        {"arch": [str(cell_at(cell)) for cell in VALID], "nwot": TRUE.to_numpy(), "zen": TRUE.to_numpy()}
    )
    scores.loc[5, "nwot"] = MISSING
    scores.to_csv(folder / SCORES, index=False)
    accuracies = pd.DataFrame({"index": VALID, "accuracy": 50 + TRUE.to_numpy()})
    accuracies.to_csv(folder / ACCURACIES, index=False)
    return folder


@pytest.mark.parametrize("score", [np.inf, -np.inf, MISSING])
def test_a_published_score_that_is_not_finite_is_a_failure(score: float, data: Path) -> None:
    published = pd.read_csv(data / SCORES)
    published.loc[7, "zen"] = score
    published.to_csv(data / SCORES, index=False)
    found = reference_scores(data)["zen"]
    assert list(found.index[found.isna()]) == [VALID[7]]


def stored(path: Path, name: str, columns: dict[str, dict[int, pd.Series]]) -> Path:
    store = ScoreStore(path)
    setting = benchmark(name)
    for text, seeds in columns.items():
        proxy = registry.create(text)
        for seed, column in seeds.items():
            identity = store.setting(f"{name}{text}{seed}", name, text, settings(proxy, setting, "hash"))
            run = store.start_run("2026-01-01", {}, [(identity, seed, "valid", len(column))])
            store.add(run, [Row(identity, seed, int(cell), float(value), "ok", "") for cell, value in column.items()])
    store.close()
    return path


@pytest.mark.slow
def test_agreement_is_of_one_seed_cell_by_cell_and_leaves_out_what_the_reference_lacks(
    tmp_path: Path, data: Path
) -> None:
    ours = noisy(0.3, 0)
    store = stored(tmp_path / "s.sqlite", "cifar10", {"nwot": {0: ours, 1: -ours}})
    (found,) = check(store, data)
    kept = [cell for cell in VALID if cell != VALID[5]]
    assert found.agreement is not None
    assert found.agreement.n == 59
    assert found.agreement.value == pytest.approx(stats.spearmanr(ours[kept], TRUE[kept]).statistic)
    assert found.agreement.low < found.agreement.value < found.agreement.high
    assert found.correlation is None
    assert found.own is not None
    assert (found.own.n, found.own.value) == (60, pytest.approx(-1))
    assert found.asked == AGREEMENT["nwot"]
    assert found.verdict == ("agrees" if found.agreement.value >= 0.97 else "differs")


@pytest.mark.slow
def test_the_correlation_is_with_the_published_accuracy_beside_its_band(tmp_path: Path, data: Path) -> None:
    ours = noisy(0.8, 1)
    store = stored(tmp_path / "s.sqlite", "cifar100", {"nwot": {0: ours}})
    (found,) = check(store, data)
    assert found.correlation is not None
    assert found.correlation.value == pytest.approx(stats.spearmanr(ours, TRUE).statistic)
    assert found.band == CIFAR100_VALID["nwot"]
    assert found.agreement is None


def estimate(value: float, width: float = 0.05) -> Estimate:
    return Estimate(300, value, value - width, value + width)


@pytest.mark.parametrize(
    ("agreement", "asked", "correlation", "verdict"),
    [
        (0.98, 0.97, 0.80, "agrees"),
        (0.96, 0.97, 0.80, "differs"),
        (0.98, 0.97, 0.60, "differs"),
        (0.30, None, 0.80, "agrees"),
        (0.30, None, None, "not asked"),
        (None, 0.97, None, "not asked"),
        (None, None, 0.70, "differs"),
        (None, None, 0.86, "agrees"),  # the interval begins at the band's upper end
    ],
)
def test_verdicts(agreement: float | None, asked: float | None, correlation: float | None, verdict: str) -> None:
    one = Check(
        "nwot",
        None if agreement is None else estimate(agreement),
        asked,
        None,
        None if correlation is None else estimate(correlation),
        Band(0.77, 0.82, "somewhere"),
    )
    assert one.verdict == verdict
    row = table([one]).iloc[0]
    assert row["verdict"] == verdict
    assert (row["reported_low"], row["reported_high"]) == (0.77, 0.82)


@pytest.mark.slow
def test_without_the_published_files_or_without_scores_it_is_bad_input(tmp_path: Path, data: Path) -> None:
    with pytest.raises(BadInput, match="nb201"):
        reference_scores(tmp_path)
    with pytest.raises(BadInput, match="make check-reference"):
        check(stored(tmp_path / "s.sqlite", "digits", {"nwot": {0: TRUE}}), data)


def test_bands_and_demands_name_proxies() -> None:
    assert set(AGREEMENT) | set(CIFAR100_VALID) <= set(registry.known())
    assert all(band.low <= band.high for band in CIFAR100_VALID.values())
    assert reference_check.SCORES.startswith("nb201/")
