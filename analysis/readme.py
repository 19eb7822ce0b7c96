"""The part of README.md that states results: a leaderboard and two figures, from the committed tables.

Written between two marks by `python -m analysis readme`; a test fails while it is not what this module makes of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from analysis.typeset import Table
from common.errors import BadInput

PAGE = Path("README.md")
BEGIN = "<!-- leaderboard: made by `make tables`; do not edit -->"
END = "<!-- end of the leaderboard -->"

BENCHMARK = "digits"
BEST = 10
ALWAYS = ("params", "diswot")
FIGURES = {
    "ranking": "Spearman of every proxy with its interval, the line of params and the ceiling",
    "scores": "score against distilled accuracy",
}


def page(text: str, results: Path = Path("results")) -> str:
    """README.md, given as `text`, with the part between the marks made anew. Raises BadInput without the marks."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise BadInput(f"{PAGE} lacks the marks '{BEGIN}' and '{END}' around the leaderboard: restore them")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n{block(results)}{END}{after}"


def block(results: Path = Path("results")) -> str:
    """The leaderboard's head and foot, what it says of params, DisWOT and the gain, and two figures."""
    board, gain = (_table(results, f"leaderboard-{BENCHMARK}-{against}") for against in ("distilled", "gain"))
    beside = json.loads((results / "accuracies" / f"{BENCHMARK}-distilled.json").read_text())
    machine = json.loads((results / "costs" / f"{BENCHMARK}.json").read_text())
    shown = board[(board.index < BEST) | board["proxy"].isin(ALWAYS)]
    ranks = [f"{place + 1}" for place in shown.index]
    rows = [[one["proxy"], rank, *_row(one)] for rank, (_, one) in zip(ranks, shown.iterrows(), strict=True)]
    head = ["proxy", "place", "Spearman", "95 % interval", "Kendall", "over params", "forward passes", "n", "seeds"]
    caption = (
        f"`{BENCHMARK}`: how {len(board)} scores of untrained networks rank {beside['cells']:,} random functions by "
        f"distilled accuracy (mean of {len(beside['seeds'])} seeds). Made by `make bench PROXY=all` and `make tables`; "
        f"labels: {'; '.join(beside['hardware'])}; scores: torch {machine['torch']}, one thread a worker. The first "
        f"{BEST}, {' and '.join(ALWAYS)}; [all of them](results/tables/leaderboard-{BENCHMARK}-distilled.md). Starred: "
        f"differs from params (95 %, paired bootstrap over functions, Holm over all proxies)."
    )
    pictures = [f"![{text}](results/figures/{BENCHMARK}-distilled-{name}.png)" for name, text in FIGURES.items()]
    return "\n".join(
        [Table(caption, head, rows).markdown(), _said(board, gain, results), "", _labels(results), "", *pictures, ""]
    )


def _table(results: Path, name: str) -> pd.DataFrame:
    path = results / "tables" / f"{name}.csv"
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path} ({error}): `python -m analysis tables` makes it") from error


def _row(one: pd.Series) -> list[str]:
    star = "*" if one["over_params_p"] < 0.05 else ""
    return [
        _number(one["spearman"]),
        _range(one["spearman_low"], one["spearman_high"]),
        _number(one["kendall"]),
        "–" if pd.isna(one["over_params"]) else f"{one['over_params']:+.2f}{star}",
        "–" if pd.isna(one["forwards"]) else f"{one['forwards']:.1f}",
        str(one["n"]),
        str(one["seeds"]) if one["seeds"] else "none needed",
    ]


def _said(board: pd.DataFrame, gain: pd.DataFrame, results: Path) -> str:
    """Who beats params, where DisWOT stands beside it, whether anything ranks the gain, and what other cells say."""
    sure = board[board["over_params_p"] < 0.05]
    better = sure[sure["over_params"] > 0]
    names = ", ".join(f"{one['proxy']} ({one['over_params']:+.2f})" for _, one in better.iterrows())
    diswot = board.set_index("proxy").loc["diswot"]
    strongest = gain.loc[gain["spearman"].abs().idxmax()]
    sets = _table(results, f"sets-{BENCHMARK}").pivot(index="proxy", columns="set", values="spearman")
    sides = [f"{name} {_number(sets['functions'][name])} and {_number(sets['all'][name])}" for name in ALWAYS]
    return (
        f"Beyond doubt, {len(better)} of {len(board) - 1} beat counting parameters{': ' + names if names else ''}, and "
        f"{len(sure) - len(better)} lose to it. DisWOT's Spearman is that of params {diswot['over_params']:+.2f} "
        f"({_range(diswot['over_params_low'], diswot['over_params_high'], '+')}). With the *gain* of distillation the "
        f"strongest correlation is {strongest['proxy']}'s {_number(strongest['spearman'])} "
        f"({_range(strongest['spearman_low'], strongest['spearman_high'])}). Which cells are judged moves a correlation"
        f" more than most proxies differ: on functions and on all cells that these labels hold for, {', '.join(sides)} "
        f"([all sets](results/tables/sets-{BENCHMARK}.md))."
    )


def _labels(results: Path) -> str:
    """What the labels say of themselves."""
    labels = _table(results, f"reliability-{BENCHMARK}").set_index("labels")
    distilled, gain = labels.loc["distilled"], labels.loc["gain"]
    mean = f"{distilled['seeds']:.0f}"
    return (
        f"The labels (`make reliability`): distillation adds {_number(gain['mean'])} points "
        f"({_range(gain['mean_low'], gain['mean_high'])}) on the average of these functions. Two seeds of distilled "
        f"accuracy agree with Spearman {_number(distilled['spearman'])}, the mean of {mean} has reliability "
        f"{_number(distilled[f'reliability_{mean}'])}, so that a proxy that knew the true ranking would reach Spearman "
        f"{_number(distilled[f'ceiling_{mean}'])}; two seeds of the gain agree with {_number(gain['spearman'])}. "
        f"Vanilla and distilled accuracy rank the functions with Kendall {_number(distilled['kendall_vanilla'])} "
        f"({_range(distilled['kendall_vanilla_low'], distilled['kendall_vanilla_high'])}), Spearman "
        f"{_number(distilled['spearman_vanilla'])}, {_number(distilled['corrected_vanilla'])} when corrected for noise."
    )


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"


def _range(low: float, high: float, sign: str = "") -> str:
    return "–" if pd.isna(low) else f"{low:{sign}.2f} to {high:{sign}.2f}"
