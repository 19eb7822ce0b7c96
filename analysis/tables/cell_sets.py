"""Every proxy's correlation on each set of cells (`studies/cell_sets.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from analysis.studies.cell_sets import OnSets
from analysis.typeset import Table, estimated, words

_SHOWN = ("spearman", "spearman_low", "spearman_high")


def frame(found: Sequence[OnSets]) -> pd.DataFrame:
    """One row a proxy and set."""
    return pd.DataFrame(
        [{"proxy": one.proxy, "set": which, **asdict(each)} for one in found for which, each in one.on.items()]
    )


def table(frame: pd.DataFrame, where: str) -> Table:
    """The table, a row a proxy and a column a set; `where` begins the caption."""
    lines: dict[str, dict[str, object]] = {}
    sizes: dict[str, int] = {}
    for row in frame.to_dict("records"):
        proxy, which = row["proxy"], row["set"]
        columns = zip((which, f"{which}_low", f"{which}_high"), (row[name] for name in _SHOWN), strict=True)
        lines.setdefault(proxy, {"proxy": proxy}).update(columns)
        sizes[which] = max(sizes.get(which, 0), row["n"])
    caption = (
        f"{where}: Spearman on the labelled cells of each set, [95 %, bootstrap over functions], of the proxies that "
        f"were tried on all of them. Cells: {', '.join(f'{n:,} {name}' for name, n in sizes.items())}."
    )
    return Table(
        frame, caption, [words("proxy"), *(estimated(which, which) for which in sizes)], pd.DataFrame([*lines.values()])
    )
