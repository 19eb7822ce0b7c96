"""Formulas that searches have found (`studies/found/formulas.py`): where they were searched, and elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.studies.found.formulas import NONE, Beside, Judged, Rho
from analysis.typeset import Column, Row, Table, between, estimated, number, whole, words
from search.formula.records import CONTROL, FOUND


def frame(found: Sequence[Judged]) -> pd.DataFrame:
    """One row a formula or proxy; the columns of another benchmark begin with its name and a colon."""
    return pd.DataFrame([_flat(one) for one in found])


def _flat(one: Judged) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": one.kind, "run": one.run, "formula": one.name, "size": one.size}
    row["judged"] = one.judged
    for name in ("searched", "other", "seeds"):
        row |= _numbers(name, getattr(one, name))
    row |= _beside("", one.beside)
    for name, (rho, beside) in one.elsewhere.items():
        row |= _numbers(f"{name}:spearman", rho) | _beside(f"{name}:", beside)
    return row


def _numbers(name: str, rho: Rho) -> dict[str, float]:
    return {name: rho.value, f"{name}_low": rho.low, f"{name}_high": rho.high}


def _beside(prefix: str, beside: Beside | None) -> dict[str, Any]:
    best, over, p, *counts = beside or ("", NONE, math.nan, math.nan, math.nan)
    row = {f"{prefix}best": best, **_numbers(f"{prefix}over", over), f"{prefix}over_p": p}
    return row | dict(zip((f"{prefix}beaten", f"{prefix}proxies"), counts, strict=True))


def table(frame: pd.DataFrame, where: str) -> Table:
    """The table; `where` begins the caption."""
    others = [str(name).partition(":")[0] for name in frame if str(name).endswith(":spearman")]
    columns = [
        words("kind"),
        words("formula or proxy", "formula"),
        Column("run", lambda row: number(row["run"], 0), "run"),
        whole("size"),
        whole("judged", thousands=True),
        estimated("searched half", "searched"),
        estimated("other half", "other"),
        estimated("other half, other seeds", "seeds"),
        *_compared("", "other half"),
    ]
    for name in others:
        columns += [estimated(name, f"{name}:spearman"), *_compared(f"{name}:", name)]
    return Table(frame, f"{where}: {_caption(frame, others)}", columns)


def _compared(prefix: str, where: str) -> list[Column]:
    def beaten(row: Row) -> str:
        known = row[f"{prefix}proxies"]
        return f"{row[f'{prefix}beaten']:.0f} of {known:.0f}" if known == known else ""

    def over(row: Row) -> str:
        low, high = row[f"{prefix}over_low"], row[f"{prefix}over_high"]
        said = f"{number(row[f'{prefix}over'], signed=True)} [{between(low, high, signed=True)}]"
        return said + ("*" if row[f"{prefix}over_p"] < 0.05 else "") if low == low else ""

    return [
        Column(f"over the best proxy, {where}", over, f"{prefix}over"),
        Column(f"better than, {where}", beaten, f"{prefix}beaten"),
    ]


def _caption(frame: pd.DataFrame, others: Sequence[str]) -> str:
    named = "; ".join(filter(None, (_best(frame, name) for name in ("", *(f"{other}:" for other in others)))))
    best = f" ({named})" if named else ""
    return (
        "formulas over recorded statistics, found by evolution on one half of the labelled functions with some seeds "
        "of the statistics: Spearman with distilled accuracy [95 %, bootstrap over functions]. A control is the same "
        "search by shuffled labels, and held against these: what searching alone finds. Over the best proxy: Spearman "
        "minus that of the hand-made proxy that turns out best on the same functions, means over all seeds, starred "
        f"where they differ (95 %, paired bootstrap, Holm over all proxies and formulas){best}; better than: how many "
        f"of them it outranks beyond doubt. {verdict(frame)}"
    )


def _best(frame: pd.DataFrame, prefix: str) -> str:
    named = [str(name) for name in frame[f"{prefix}best"] if isinstance(name, str) and name]
    return f"{prefix or 'other half'} {named[0]}".replace(":", "") if named else ""


def verdict(frame: pd.DataFrame) -> str:
    """Whether a formula outranks every hand-made proxy beyond doubt where it was not searched, and what a control
    reaches, in a sentence."""
    found = frame[frame["kind"] == FOUND]
    winners = int((found["beaten"] == found["proxies"]).sum())
    said = (
        f"{winners or 'None'} of {len(found)} formulas found outrank{'s' if winners < 2 else ''} every hand-made proxy"
    )
    said += " beyond doubt on the other half."
    controls = frame[frame["kind"] == CONTROL]
    if len(controls):
        said += (
            f" The controls reach {between(controls['searched'].min(), controls['searched'].max())} where they "
            f"searched and {between(controls['other'].min(), controls['other'].max())} on the other half."
        )
    return said
