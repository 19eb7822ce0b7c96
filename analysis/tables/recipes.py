"""Recipes of labels beside one another (`studies/recipes.py`): their cost, and how far their labels can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from analysis.studies.recipes import OF_MEAN, Judged
from analysis.typeset import Column, Table, decimals, interval, whole

KINDS = {"vanilla": "vanilla", "distilled": "distilled", "gain": "gain", "log_likelihood": "ln p"}
"""Kinds of labels whose reliability is told, and how a heading calls them."""
_ENDINGS = {"": "one", "_low": "low", "_high": "high"}

COLUMNS = (
    Column("recipe", lambda row: row["recipe"].partition(":")[2] or "as it is"),
    whole("n", "functions"),
    whole("images", thousands=True),
    decimals("seconds", "seconds", 1),
    decimals("vanilla", "vanilla", 1),
    decimals("distilled", "distilled", 1),
    decimals("gain", "gain"),
    decimals("Kendall", "kendall"),
    *(
        column
        for kind, name in KINDS.items()
        for column in (
            decimals(f"{name}: one seed", f"{kind}_reliability"),
            interval("95 %", f"{kind}_reliability_low", f"{kind}_reliability_high"),
            decimals("of three", f"{kind}_reliability_{OF_MEAN}"),
        )
    ),
    decimals("published", "published"),
    interval("95 %", "published_low", "published_high"),
)


def frame(found: Sequence[Judged]) -> pd.DataFrame:
    """One row a recipe, each number a column of its own."""
    rows = []
    for one in found:
        facts = asdict(one)
        for kind, each in facts.pop("repeats").items():
            facts |= {f"{kind}_reliability{ending}": each[name] for ending, name in _ENDINGS.items()}
            facts[f"{kind}_reliability_{OF_MEAN}"] = one.repeats[kind].of_three
        rows.append(facts)
    return pd.DataFrame(rows)


def table(frame: pd.DataFrame, benchmark: str) -> Table:
    """The table of a benchmark's recipes."""
    caption = (
        f"{benchmark}: recipes of labels. Images a training sees, and its cost. Accuracies in percent, gain in points, "
        f"means over n functions and {frame['seeds'].iloc[0]} seeds. Kendall: vanilla with distilled. Reliability of "
        "one seed (mean Spearman between seeds, 95 % bootstrap over functions) and of the mean of three "
        "(Spearman-Brown) of vanilla and distilled accuracy, gain and distilled log-likelihood. published: Spearman of "
        "distilled with a published accuracy."
    )
    return Table(frame, caption, COLUMNS)
