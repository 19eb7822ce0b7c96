"""What the tables of a benchmark say, as a short leaderboard and in sentences, for README.md and docs/results.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.typeset import SURE, Typeset, between, number
from common.formats import read_csv, read_json

ALWAYS = ("params", "diswot")
"""The proxies that a short leaderboard shows wherever they stand."""
BENCHMARKS = ("cifar10-16px", "digits")
"""Whose tables are shown, natural images first."""
HEAD = ("proxy", "place", "Spearman", "95 % interval", "Kendall", "over params", "forward passes", "n", "seeds")
STARRED = "Starred: differs from params (95 %, paired bootstrap over functions, Holm over all proxies)."


def read_table(results: Path, name: str) -> pd.DataFrame:
    """A table of results/tables. Raises BadInput where it is missing or damaged."""
    return read_csv(results / "tables" / f"{name}.csv", "`python -m analysis tables` makes it")


def published(results: Path) -> list[Findings]:
    """The Findings of every benchmark that has a leaderboard, the first of them first. Raises BadInput for none."""
    found = [Findings(results, name) for name in BENCHMARKS]
    return [one for one in found if one.path.is_file()] or found[-1:]


@dataclass(frozen=True)
class Findings:
    """The tables of a benchmark against distilled accuracy and the gain; each method says one thing of them."""

    results: Path
    benchmark: str

    @property
    def path(self) -> Path:
        """Where the leaderboard against distilled accuracy lies."""
        return self.results / "tables" / f"leaderboard-{self.benchmark}-distilled.csv"

    @cached_property
    def board(self) -> pd.DataFrame:
        """The leaderboard against distilled accuracy, best first."""
        return read_table(self.results, self.path.stem)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """What the labels say of themselves, by kind of label."""
        return read_table(self.results, f"reliability-{self.benchmark}").set_index("labels")

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """What stands beside the table of distilled accuracies."""
        beside = self.results / "accuracies" / f"{self.benchmark}-distilled.json"
        return read_json(beside, keys=("cells", "seeds", "hardware"))

    @property
    def agreement(self) -> str:
        """Spearman between two seeds of distilled accuracy."""
        return number(self.labels.loc["distilled", "spearman"])

    @property
    def ceiling(self) -> str:
        """Spearman of a proxy that knew the true ranking, with the mean of all seeds."""
        distilled = self.labels.loc["distilled"]
        return number(distilled[f"ceiling_{distilled['seeds']:.0f}"])

    def sample(self) -> str:
        """Which scores rank which cells by what."""
        return (
            f"`{self.benchmark}`: how {len(self.board)} scores of untrained networks rank {self.recipe['cells']:,} "
            f"random functions by distilled accuracy (mean of {len(self.recipe['seeds'])} seeds)."
        )

    def made(self) -> str:
        """What computed the labels and the scores."""
        costs = self.results / "costs" / f"{self.benchmark}.json"
        torch = f"; scores: torch {read_json(costs, keys=('torch',))['torch']}" if costs.is_file() else ""
        return f"Labels: {'; '.join(self.recipe['hardware'])}{torch}, one thread a worker."

    def leaderboard(self, first: int, caption: str, columns: Sequence[str] = HEAD) -> Typeset:
        """Columns of the first of the leaderboard, and of those that are always shown."""
        shown = self.board[(self.board.index < first) | self.board["proxy"].isin(ALWAYS)]
        lines = zip(shown.index, shown.iterrows(), strict=True)
        rows = [dict(zip(HEAD, (one["proxy"], f"{place + 1}", *_row(one)), strict=True)) for place, (_, one) in lines]
        return Typeset(caption, columns, [[row[column] for column in columns] for row in rows])

    def paragraph(self) -> str:
        """All of it in plain words: who ranks best, beside params, DisWOT and the ceiling, and the gain."""
        better, worse = self.beyond_params()
        board = self.board.set_index("proxy")

        def said(name: str) -> str:
            one = board.loc[name]
            return f"{number(one['spearman'])} ({between(one['spearman_low'], one['spearman_high'])})"

        return (
            f"{len(board)} scores of untrained networks rank {self.recipe['cells']:,} random functions of "
            f"{self.benchmark} by their distilled accuracy, the mean of {len(self.recipe['seeds'])} seeds. Best is "
            f"{board.index[0]} with Spearman {said(board.index[0])}; counting parameters reaches {said('params')}, "
            f"DisWOT {said('diswot')}. Beyond doubt, {len(better)} of {len(board) - 1} rank better than counting "
            f"parameters, and {len(worse)} worse. A proxy that knew the true ranking would reach {self.ceiling}. "
            f"Distillation itself {self.mean_gain().removeprefix('distillation ')}."
        )

    def in_short(self) -> str:
        """The first of the leaderboard, and those that are always shown."""
        board = self.board.set_index("proxy")["spearman"]
        names = dict.fromkeys([board.index[0], *ALWAYS])
        return ", ".join(f"{name} {number(board[name])}" for name in names)

    def beyond_params(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of the scores that beat counting parameters beyond doubt, and of those that lose to it."""
        sure = self.board[self.board["over_params_p"] < SURE]
        return sure[sure["over_params"] > 0], sure[sure["over_params"] <= 0]

    def of_params(self) -> str:
        """Who beats counting parameters, and by how much."""
        better, worse = self.beyond_params()
        names = ", ".join(f"{one['proxy']} ({one['over_params']:+.2f})" for _, one in better.iterrows())
        return (
            f"Beyond doubt, {len(better)} of {len(self.board) - 1} beat counting parameters"
            f"{': ' + names if names else ''}, and {len(worse)} lose to it."
        )

    def of_diswot(self) -> str:
        """Where DisWOT stands beside params."""
        diswot = self.board.set_index("proxy").loc["diswot"]
        return (
            f"DisWOT's Spearman is that of params {diswot['over_params']:+.2f} "
            f"({between(diswot['over_params_low'], diswot['over_params_high'], signed=True)})."
        )

    def strongest_with_gain(self) -> str:
        """The proxy that correlates most with the gain."""
        gain = read_table(self.results, f"leaderboard-{self.benchmark}-gain")
        strongest = gain.loc[gain["spearman"].abs().idxmax()]
        return (
            f"{strongest['proxy']}'s {number(strongest['spearman'])} "
            f"({between(strongest['spearman_low'], strongest['spearman_high'])})"
        )

    @cached_property
    def teachers(self) -> pd.DataFrame:
        """Spearman and what is known of it by proxy and teacher; empty where no other teacher was tried."""
        name = f"teachers-{self.benchmark}"
        if not (self.results / "tables" / f"{name}.csv").is_file():
            return pd.DataFrame(columns=["proxy", "teacher", "spearman", "over_default", "over_default_p"])
        return read_table(self.results, name).dropna(subset="spearman")

    def of_noise(self) -> str:
        """What scores lose before a teacher that is shown noise; empty where that was not tried."""
        noise = self.teachers[self.teachers["teacher"] == "noise"].set_index("proxy")
        if not len(noise):
            return ""
        worse = noise[(noise["over_default_p"] < SURE) & (noise["over_default"] < 0)]
        return f"shown noise, it makes {len(worse)} of {len(noise)} scores rank worse beyond doubt"

    def of_sets(self) -> list[str]:
        """Spearman of those always shown on functions and on all labelled cells; nothing where not all are scored."""
        if not (self.results / "tables" / f"sets-{self.benchmark}.csv").is_file():
            return []
        table = read_table(self.results, f"sets-{self.benchmark}").pivot(
            index="proxy", columns="set", values="spearman"
        )
        return [f"{name} {number(table['functions'][name])} and {number(table['all'][name])}" for name in ALWAYS]

    def of_ceiling(self) -> str:
        """How far a proxy could get that knew the true ranking."""
        distilled = self.labels.loc["distilled"]
        mean = f"{distilled['seeds']:.0f}"
        return (
            f"Two seeds of distilled accuracy agree with Spearman {self.agreement}, the mean of {mean} has reliability "
            f"{number(distilled[f'reliability_{mean}'])}, so that a proxy that knew the true ranking would reach "
            f"Spearman {self.ceiling}"
        )

    def mean_gain(self) -> str:
        """What distillation adds on the average."""
        gain = self.labels.loc["gain"]
        return (
            f"distillation adds {number(gain['mean'])} points ({between(gain['mean_low'], gain['mean_high'])}) on the "
            "average of these functions"
        )

    def agreement_of_gains(self) -> str:
        """How far two seeds of the gain agree."""
        return f"two seeds of the gain agree with {number(self.labels.loc['gain', 'spearman'])}"

    def vanilla_against_distilled(self) -> str:
        """How alike the two accuracies rank."""
        distilled = self.labels.loc["distilled"]
        return (
            "Vanilla and distilled accuracy rank the functions with Kendall "
            f"{number(distilled['kendall_vanilla'])} "
            f"({between(distilled['kendall_vanilla_low'], distilled['kendall_vanilla_high'])}), Spearman "
            f"{number(distilled['spearman_vanilla'])}, {number(distilled['corrected_vanilla'])} when corrected for "
            "noise."
        )


def _row(one: pd.Series) -> Sequence[str]:
    star = "*" if one["over_params_p"] < SURE else ""
    return [
        number(one["spearman"]),
        between(one["spearman_low"], one["spearman_high"]),
        number(one["kendall"]),
        number(one["over_params"], signed=True) + star,
        number(one["forwards"], 1),
        str(one["n"]),
        str(one["seeds"]) if one["seeds"] else "none needed",
    ]
