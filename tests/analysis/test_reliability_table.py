"""The table of labels holds the report's numbers, each in the column of its kind."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_reliability import SETTING, few_resamples, planted
from test_reliability import write as write_accuracies

from analysis.studies.labels.reliability import Report, report
from analysis.tables import reliability as tables

pytestmark = pytest.mark.slow

__all__ = ["few_resamples"]  # holds here too


@pytest.fixture
def told(tmp_path: Path) -> Report:
    for mode, frame in zip(("vanilla", "distilled"), planted(), strict=True):
        write_accuracies(tmp_path, mode, frame)
    return report(SETTING, tmp_path)


def test_a_row_a_kind_with_the_facts_of_that_kind(told: Report) -> None:
    frame = tables.frame(told).set_index("labels")
    assert list(frame.index) == ["vanilla", "distilled", "gain"]
    own = told.reliability["vanilla"]
    assert own is not None
    assert frame.loc["vanilla", ["classes", "seeds", "kendall", "spearman"]].to_list() == [
        60, 3, own.kendall, own.spearman,
    ]  # fmt: skip
    assert frame.at["vanilla", "ceiling_3"] == pytest.approx(math.sqrt(3 * own.spearman / (1 + 2 * own.spearman)))
    assert frame.at["distilled", "corrected_vanilla"] == told.agreement.true
    assert frame.at["gain", "quantile_50"] == told.gain.quantiles[50]
    assert frame["mean"].isna().to_list() == [True, True, False]
    assert frame["kendall_vanilla"].isna().to_list() == [True, False, True]


def test_the_page_has_a_line_a_fact(told: Report, tmp_path: Path) -> None:
    paths = tables.table(tables.frame(told), "digits").write(tmp_path / "reliability-digits")
    lines = paths[1].read_text().splitlines()
    gain, both = told.gain, told.agreement
    assert "| classes with all seeds | 60 | 60 | 60 |" in lines
    assert f"| mean, points | – | – | {gain.mean:.2f} [{gain.low:.2f}, {gain.high:.2f}] |" in lines
    interval = f"{both.observed.kendall:.2f} [{both.kendall_low:.2f}, {both.kendall_high:.2f}]"
    assert f"| Kendall with vanilla | – | {interval} | – |" in lines
    assert pd.read_csv(paths[0]).set_index("labels").at["gain", "sd"] == pytest.approx(gain.sd, abs=1e-4)


def test_one_seed_says_nothing_of_reliability(tmp_path: Path) -> None:
    for mode, frame in zip(("vanilla", "distilled"), planted(seeds=1), strict=True):
        write_accuracies(tmp_path, mode, frame)
    paths = tables.table(tables.frame(report(SETTING, tmp_path)), "digits").write(tmp_path / "reliability-digits")
    text = paths[1].read_text()
    assert "ceiling, mean" not in text
    assert "| mean, points | – | – |" in text
    assert np.isfinite(pd.read_csv(paths[0]).set_index("labels").at["gain", "mean"])
