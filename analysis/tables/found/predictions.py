"""Rankings that learn from a few labels (`studies/learned/`), beside the best proxy and params."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.read.columns import BASELINE
from analysis.typeset import Column, Table, estimated, words

RIVALS = ("best", "params")


def first_ahead(rows: pd.DataFrame, rival: str) -> str:
    """The smallest k from which on a ranker is ahead of a rival with the whole interval, at every larger k too; an
    empty text where it never is."""
    found = ""
    for _, row in rows.sort_values("k", ascending=False).iterrows():
        if not row[f"over_{rival}_low"] > 0:
            break
        found = f"{row['k']:.0f}"
    return found


def table(frame: pd.DataFrame, made: dict[str, Any]) -> Table:
    """The table, a row a ranking and a column a k; `made` is what the study was of."""
    known = frame.fillna({"features": "", "choice": ""})
    sizes = sorted({int(k) for k in known["k"]} - {0})
    lines = [_proxy(known[(known["k"] == 0) & (known["ranking"] == name)], sizes) for name in (made["best"], BASELINE)]
    for (ranking, features, choice), rows in known[known["k"] > 0].groupby(
        ["ranking", "features", "choice"], sort=False
    ):
        line: dict[str, Any] = {"ranking": ranking, "features": features, "choice": choice}
        for row in rows.to_dict("records"):
            ends = {f"{row['k']}{end}": row[f"spearman{end}"] for end in ("", "_low", "_high")}
            line |= ends | {f"{row['k']}_p": 0.0 if row["over_best_low"] > 0 else 1.0}
        lines.append(line | {rival: first_ahead(rows, rival) for rival in RIVALS})
    caption = (
        f"{made['benchmark']}, distilled accuracy ({made['labels']}): Spearman of rankings learned from k of "
        f"{made['labelled']:,} labelled functions, on the others, mean of {made['draws']} draws [95 %, labels and "
        f"functions drawn]. Starred: ahead of the best proxy, {made['best']}, with the whole interval of the "
        "difference; that it is the best was known from all labels. Beats from: the smallest k from which the "
        "whole interval is ahead, at every larger k too."
    )
    shown = [estimated(f"k = {k}", str(k), f"{k}_p") for k in sizes]
    ahead = [Column(f"beats {name} from", lambda row, rival=rival: row[rival], rival) for rival, name in _names(made)]  # type: ignore[misc]
    heads = words("ranking"), words("features"), words("labels by", "choice")
    return Table(frame, caption, [*heads, *shown, *ahead], pd.DataFrame(lines))


def _names(made: dict[str, Any]) -> list[tuple[str, str]]:
    return [("best", made["best"]), ("params", BASELINE)]


def _proxy(rows: pd.DataFrame, sizes: list[int]) -> dict[str, Any]:
    """A proxy has one number, whatever k."""
    (row,) = rows.to_dict("records")
    line: dict[str, Any] = {"ranking": row["ranking"], "features": "", "choice": "", "best": "", "params": ""}
    for k in sizes:
        line |= {f"{k}{end}": row[f"spearman{end}"] for end in ("", "_low", "_high")} | {f"{k}_p": 1.0}
    return line
