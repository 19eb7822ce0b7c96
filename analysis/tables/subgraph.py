"""Students cut out of a teacher's graph beside other networks of their size, from results/subgraphs/."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.studies.searches import Mean, mean
from analysis.typeset import DASH, Column, Table, between, decimals, interval, number, whole
from common.formats import read_csv, read_json
from search.subgraph.words import ALIKE, FOLDER, FOUND, RIVALS

KINDS = {FOUND: "found by L1 gates", **RIVALS}
"""What the kinds of networks are, in the order of the table."""
NO_SUCH = "none"
AGAIN = "run `python -m search subgraph` again"
_SETTINGS = ("benchmark", "gates", "budget", "teacher_parameters", "elements", "kept", "seeds")
_COLUMNS = ("seed", "kind", "network", "parameters", "multiply_adds", "vanilla", "distilled")


@dataclass(frozen=True)
class Cut:
    """One finished study: `rows` are networks by seed and kind with their accuracies in percent."""

    settings: dict[str, Any]
    rows: pd.DataFrame
    history: Path
    """The gates after each step."""

    @property
    def name(self) -> str:
        """`<benchmark>-<gates>-<budget>`."""
        return self.history.name.removesuffix("-gates.csv.gz")


def read(benchmark: str, folder: Path = FOLDER) -> list[Cut]:
    """The finished studies of a benchmark. Raises BadInput for files of another form."""
    found = []
    for path in sorted(folder.glob(f"{benchmark}-*.json")):
        settings, rows = read_json(path, AGAIN, _SETTINGS), read_csv(path.with_suffix(".csv"), AGAIN, _COLUMNS)
        if settings["benchmark"] == benchmark:
            found.append(Cut(settings, rows, path.with_name(f"{path.stem}-gates.csv.gz")))
    return sorted(found, key=lambda cut: (cut.settings["gates"], -cut.settings["budget"]))


def by_seed(rows: pd.DataFrame, kind: str, column: str) -> pd.Series:
    """The mean over the networks of a kind, for each seed whose networks all have a number."""
    values = rows[rows["kind"] == kind].groupby("seed")[column]
    return values.mean()[values.count() == values.size()]


def lines(cut: Cut) -> pd.DataFrame:
    """One row a kind: means over networks, then over seeds; `over` is the found student's distilled accuracy minus
    the kind's, paired by seed. Intervals are Student's over seeds, 95 %."""
    found = []
    own = by_seed(cut.rows, FOUND, "distilled")
    for kind in KINDS:
        part = cut.rows[cut.rows["kind"] == kind]
        distilled, vanilla = (by_seed(cut.rows, kind, column) for column in ("distilled", "vanilla"))
        over = mean(own - distilled) if kind != FOUND else mean([])
        found.append(
            {
                "gates": cut.settings["gates"],
                "budget": cut.settings["budget"],
                "kind": kind,
                "networks": part["network"].nunique(),
                "seeds": len(distilled),
                "parameters": part["parameters"].mean(),
                "multiply_adds": part["multiply_adds"].mean(),
                **_facts("distilled", mean(distilled)),
                **_facts("vanilla", mean(vanilla)),
                **_facts("over", over),
            }
        )
    return pd.DataFrame(found)


def _facts(name: str, value: Mean) -> dict[str, float]:
    return {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}


def verdict(frame: pd.DataFrame) -> str:
    """Whether the found student beats the mean of other subgraphs of equal size, in a sentence."""
    by_kind = frame.set_index("kind")
    row, own = by_kind.loc["random"], by_kind.loc[FOUND, "parameters"]
    budget = f"{row['gates']}, at most {row['budget']:,} parameters"
    if not math.isfinite(row["over"]):
        return f"{budget}: there is no other subgraph to compare with."
    if abs(row["parameters"] - own) > ALIKE * own:
        return (
            f"{budget}: no other subgraph has the size of the L1 student, {own:,.0f} parameters; those nearest have "
            f"{row['parameters']:,.0f}, and it differs from their mean by {row['over']:+.2f} points "
            f"({between(row['over_low'], row['over_high'])}) over {row['seeds']} seeds."
        )
    said = f"by {row['over']:+.2f} points ({between(row['over_low'], row['over_high'])}) over {row['seeds']} seeds"
    if row["over_low"] > 0:
        return f"{budget}: the L1 student beats the mean random subgraph of equal size {said}."
    if row["over_high"] < 0:
        return f"{budget}: the L1 student is worse than the mean random subgraph of equal size {said}."
    return (
        f"{budget}: the L1 student does not beat the mean random subgraph of equal size: it differs {said}, "
        "which seeds do not tell from nothing."
    )


def _known(column: Column) -> Column:
    """A column with a dash where there is no network of the kind."""
    return replace(column, said=lambda row: column.said(row) if row["networks"] else DASH)


COLUMNS = (
    Column("gates, budget", lambda row: f"{row['gates']}, {row['budget']:,}"),
    Column("network", lambda row: KINDS[row["kind"]]),
    Column("networks", lambda row: str(row["networks"]) if row["networks"] else NO_SUCH, "networks"),
    *map(
        _known,
        (
            whole("seeds"),
            whole("parameters", thousands=True),
            Column("multiply-adds, M", lambda row: number(row["multiply_adds"] / 1e6, 1), "multiply_adds"),
            decimals("distilled", "distilled"),
            interval("95 % interval", "distilled_low", "distilled_high"),
            decimals("vanilla", "vanilla"),
            decimals("L1 ahead by", "over"),
            interval("95 % interval", "over_low", "over_high"),
        ),
    ),
)


def frame(cuts: Sequence[Cut]) -> pd.DataFrame:
    """`lines` of all studies, one after the other."""
    return pd.concat([lines(cut) for cut in cuts])


def table(frame: pd.DataFrame, cuts: Sequence[Cut], benchmark: str) -> Table:
    """The table; `cuts` are the studies, whose settings the caption tells where they are there."""
    of_graph = "; ".join(
        f"{cut.settings['gates']}, {cut.settings['budget']:,}: "
        f"{cut.settings['budget'] / cut.settings['teacher_parameters']:.0%} of {cut.settings['teacher_parameters']:,}"
        for cut in cuts
    )
    shares = f" ({of_graph} of the graph)" if cuts else ""
    verdicts = (verdict(part) for _, part in frame.groupby(["gates", "budget"], sort=False))
    caption = (
        f"{benchmark}: students cut out of the teacher's graph by L1 gates (a reconstruction of Gu & Tresp 2020), "
        "trained again with distillation, beside networks as near in parameters as there are, none above the "
        f"budget{shares}. Accuracy in percent, mean over seeds, with its 95 % interval; the L1 student's lead is "
        f"paired by seed. {' '.join(verdicts)}"
    )
    return Table(frame, caption, COLUMNS)
