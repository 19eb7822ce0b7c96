"""Students cut out of a teacher's graph beside other networks of their size, from results/subgraphs/."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.studies.searches import Mean, mean
from analysis.typeset import Table, between, number
from analysis.typeset import write as write_table
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


def write(cuts: Sequence[Cut], path: Path, benchmark: str) -> list[Path]:
    """`path` with the endings .csv, .md and .tex."""
    frames = [lines(cut) for cut in cuts]
    rows = [_said(row) for frame in frames for row in frame.to_dict("records")]
    shares = "; ".join(
        f"{cut.settings['gates']}, {cut.settings['budget']:,}: "
        f"{cut.settings['budget'] / cut.settings['teacher_parameters']:.0%} of {cut.settings['teacher_parameters']:,}"
        for cut in cuts
    )
    caption = (
        f"{benchmark}: students cut out of the teacher's graph by L1 gates (a reconstruction of Gu & Tresp 2020), "
        "trained again with distillation, beside networks as near in parameters as there are, none above the budget "
        f"({shares} of the graph). Accuracy in percent, mean over seeds, with its 95 % interval; the L1 student's lead "
        f"is paired by seed. {' '.join(map(verdict, frames))}"
    )
    head = ["gates, budget", "network", "networks", "seeds", "parameters", "multiply-adds, M"]
    head += ["distilled", "95 % interval", "vanilla", "L1 ahead by", "95 % interval"]
    return write_table(path, pd.concat(frames), Table(caption, head, rows, words=2))


def _said(row: dict[str, Any]) -> list[str]:
    name = [f"{row['gates']}, {row['budget']:,}", KINDS[row["kind"]]]
    if not row["networks"]:
        return [*name, NO_SUCH, *["–"] * 8]
    return [
        *name,
        str(row["networks"]),
        str(row["seeds"]),
        f"{row['parameters']:,.0f}",
        number(row["multiply_adds"] / 1e6, 1),
        number(row["distilled"]),
        between(row["distilled_low"], row["distilled_high"]),
        number(row["vanilla"]),
        number(row["over"]),
        between(row["over_low"], row["over_high"]),
    ]
