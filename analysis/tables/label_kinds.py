"""Every proxy's correlation with each kind of label (`studies/labels/kinds.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.read.labels import Labels
from analysis.stats.reliability import reliability
from analysis.studies.labels.kinds import Kinds
from analysis.typeset import Table, estimated, number, whole, words

OVER = "over_vanilla"


def frame(found: Sequence[Kinds]) -> pd.DataFrame:
    """One row a proxy: Spearman with each kind of label and its interval, and distilled minus vanilla."""
    return pd.DataFrame([_flat(one) for one in found])


def _flat(one: Kinds) -> dict[str, object]:
    columns: dict[str, object] = {"proxy": one.proxy}
    for kind, each in one.with_labels.items():
        columns |= {kind: each.spearman, f"{kind}_low": each.low, f"{kind}_high": each.high}
    over = one.over_vanilla
    return columns | {
        OVER: over.difference,
        f"{OVER}_low": over.low,
        f"{OVER}_high": over.high,
        f"{OVER}_p": over.p_holm,
        "n": over.n,
    }


def table(frame: pd.DataFrame, labels: Mapping[str, Labels], where: str) -> Table:
    """The table; `labels` by kind are what the ceilings are of, `where` begins the caption."""
    ceilings = {kind: reliability(each.by_seed) for kind, each in labels.items()}
    known = ", ".join(f"{kind} {number(each.ceiling)}" for kind, each in ceilings.items() if each) or "unknown"
    caption = (
        f"{where}: Spearman with each kind of label on the same cells [95 %, bootstrap over functions]. Ceilings, "
        f"what a proxy that knew the true ranking would reach: {known}. Starred: distilled differs from vanilla (95 "
        "%, paired bootstrap over functions, Holm over all proxies)."
    )
    kinds = [str(name) for name in frame if name != OVER and f"{name}_low" in frame]
    columns = [words("proxy"), *(estimated(kind, kind) for kind in kinds)]
    return Table(frame, caption, [*columns, estimated("distilled - vanilla", OVER, f"{OVER}_p"), whole("n")])
