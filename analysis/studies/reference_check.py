"""Are our proxies the field's? Scores cell by cell against published ones, and correlations against published ones.

Agreement: Spearman between our scores and NAS-Bench-Suite-Zero's for the same cells on CIFAR-10, both of one draw of
weights and one batch; beside it that between two seeds of our own, since nothing agrees better with another's draw than
with its own next one. Correlation: ours with the published CIFAR-100 accuracy, on cells without unreachable operations,
beside the band of published values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import load_labels
from analysis.read.reported import AGREEMENT, CIFAR100_VALID, Band
from analysis.stats.correlation import spearman_interval
from analysis.studies.correlate import judge
from analysis.typeset import DASH, between, number
from bench.store import ScoreStore
from common.errors import BadInput
from common.formats import read_csv
from proxies import registry
from spaces.nb201.cell import resolve
from spaces.nb201.equivalence import representatives
from spaces.nb201.space import NB201

SCORES = "nb201/reference_scores_cifar10.csv"
ACCURACIES = "nb201/cifar100_test_accuracy.csv"
MISSING = -1e8
"""How the reference writes a score that is not a finite number."""


@dataclass(frozen=True)
class Estimate:
    """A Spearman correlation of n cells with its 95 % bootstrap interval."""

    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Check:
    """A `Check` is of one proxy; what is None was not published, not asked for or not scored."""

    proxy: str
    agreement: Estimate | None
    asked: float | None
    own: Estimate | None
    """Between our two lowest seeds on CIFAR-10."""
    correlation: Estimate | None
    band: Band | None

    @property
    def agrees(self) -> bool | None:
        """Whether the agreement is what is asked for."""
        return None if self.agreement is None or self.asked is None else self.agreement.value >= self.asked

    @property
    def inside(self) -> bool | None:
        """Whether the interval of our correlation meets the published band."""
        if self.correlation is None or self.band is None:
            return None
        return self.correlation.low <= self.band.high and self.correlation.high >= self.band.low

    @property
    def verdict(self) -> str:
        """The verdict in words: agrees, differs or not asked."""
        if self.agrees is False or self.inside is False:
            return "differs"
        if self.agrees is None and self.inside is None:
            return "not asked"
        return "agrees"


def reference_scores(data: Path) -> pd.DataFrame:
    """Read the published scores by cell; NaN where there is none, or none that is finite. Raises BadInput without the
    file."""
    path = data / SCORES
    if not path.is_file():
        raise BadInput(f"{path} is missing: DATA has to hold the published scores and accuracies in nb201/")
    table = read_csv(path, "get the published scores again", ("arch",))
    table.index = pd.Index([resolve(cell) for cell in table.pop("arch")], name="cell")
    return table.mask((table == MISSING) | np.isinf(table))


def check(store: Path, data: Path) -> list[Check]:
    """Check every proxy with a published score or a published band. Raises BadInput where nothing was scored."""
    published = reference_scores(data)
    labels = label_cells(load_labels(str(data / ACCURACIES), "cifar100"), "valid")
    found = []
    for name in dict.fromkeys((*AGREEMENT, *CIFAR100_VALID)):
        agreement = own = correlation = None
        seeds = _scores(store, "cifar10", name)
        if seeds and name in published:
            agreement = _estimate(seeds[0], published[name])
        if len(seeds) > 1:
            own = _estimate(*seeds[:2])
        seeds = _scores(store, "cifar100", name)
        if seeds:
            result = judge(name, [], seeds[0], labels, NB201).correlation
            correlation = Estimate(result.n, result.spearman, result.spearman_low, result.spearman_high)
        if agreement or correlation:
            found.append(Check(name, agreement, AGREEMENT.get(name), own, correlation, CIFAR100_VALID.get(name)))
    if not found:
        raise BadInput(f"no scores on cifar10 or cifar100 in {store}: `make check-reference DATA=...` makes them")
    return found


def _scores(store: Path, name: str, proxy: str) -> list[pd.Series]:
    """Our scores seed by seed; the first stands beside the reference, which has one too."""
    stored = ScoreStore(store, write=False).scores(name, registry.create(proxy))
    return [pd.Series({row.cell: row.score for row in entry.rows}, dtype=float).dropna() for entry in stored]


def _estimate(ours: pd.Series, theirs: pd.Series) -> Estimate:
    pairs = pd.DataFrame({"ours": ours, "theirs": theirs}).dropna()
    groups = np.array(representatives("function"))[pairs.index.to_numpy(dtype=int)]
    values = pairs["ours"].to_numpy(), pairs["theirs"].to_numpy()
    low, high = spearman_interval(*values, groups)
    return Estimate(len(pairs), float(pairs["ours"].corr(pairs["theirs"], method="spearman")), low, high)


def described(one: Check) -> list[object]:
    """A row of the printed table."""

    def said(estimate: Estimate | None) -> str:
        if estimate is None:
            return DASH
        return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}] of {estimate.n}"

    band = DASH if one.band is None else between(one.band.low, one.band.high, 3)
    return [
        one.proxy,
        said(one.agreement),
        number(one.asked, 3),
        said(one.own),
        band,
        said(one.correlation),
        one.verdict,
    ]


def table(found: list[Check]) -> pd.DataFrame:
    """A row a proxy: what was reported, what is measured, whether they agree."""

    def row(one: Check) -> dict[str, object]:
        agreement, correlation = one.agreement, one.correlation
        return {
            "proxy": one.proxy,
            "agreement": agreement.value if agreement else None,
            "agreement_low": agreement.low if agreement else None,
            "agreement_high": agreement.high if agreement else None,
            "agreement_cells": agreement.n if agreement else None,
            "asked": one.asked,
            "own_seeds": one.own.value if one.own else None,
            "own_seeds_low": one.own.low if one.own else None,
            "own_seeds_high": one.own.high if one.own else None,
            "own_seeds_cells": one.own.n if one.own else None,
            "measured": correlation.value if correlation else None,
            "measured_low": correlation.low if correlation else None,
            "measured_high": correlation.high if correlation else None,
            "measured_cells": correlation.n if correlation else None,
            "reported_low": one.band.low if one.band else None,
            "reported_high": one.band.high if one.band else None,
            "verdict": one.verdict,
        }

    return pd.DataFrame([row(one) for one in found]).round(4)
