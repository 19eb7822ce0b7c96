"""What the report says in words: columns of leaderboards, captions of figures, the project's vocabulary."""

from __future__ import annotations

import re
from typing import NamedTuple

COLUMNS = {
    "spearman": ("Spearman", "rank correlation of the mean score with the mean accuracy over seeds; sorts the table"),
    "interval": (
        "95 % interval",
        "of Spearman, bootstrap over functions; the blue rule marks params; cut at the left where it is far lower",
    ),
    "over_params": ("over params", "Spearman minus that of params on the same cells; * differs from it (95 %, Holm)"),
    "corrected": ("corrected", "Spearman with labels of no noise, by their reliability; it can pass 1"),
    "spearman_worst": ("failed last", "Spearman with the failed cells ranked last; everywhere else they are left out"),
    "kendall": ("Kendall", "tau-b, the same pairs"),
    "weighted_kendall": ("weighted", "Kendall weighed by the true ranking's top"),
    "top10": ("top 10 %", "Spearman among the true best tenth"),
    "top20": ("top 20 %", "Spearman among the true best fifth"),
    "precision10": ("P@10 %", "share of the true best tenth found in the predicted one"),
    "regret10": ("regret@10", "accuracy points lost by trusting the ten picked first; less is better"),
    "ndcg100": ("nDCG@100", "normalised discounted cumulative gain of the first hundred"),
    "given_params": ("given params", "partial Spearman, number of parameters held constant"),
    "given_vanilla": ("given vanilla", "partial Spearman, vanilla accuracy held constant"),
    "n": ("n", "labelled cells with a score, from which all this was computed"),
    "failed": ("failed", "cells of the set without a score"),
    "seeds": ("seeds", "of the scores; 0: none needed"),
    "forwards": ("cost", "time of its own pass, in forward passes of the same networks"),
}
"""Field of a leaderboard's CSV file, its heading and its meaning; `interval` is made of two."""

COUNTS = ("n", "failed", "seeds")
"""The columns that hold whole numbers."""

FIGURES = {
    "ranking": "Spearman of every proxy with its 95 % interval, best on top, beside params and the labels' ceiling",
    "scores": "Score against label, for a few proxies",
    "similarity": "Spearman between any two proxies, clustered: lighter is more alike, white is a constant score",
    "fifths": "Spearman within each fifth of the cells by label, for a few proxies",
    "effects": "Main effect of each operation on each edge on the rank of the label and of a few proxies' scores",
    "samples": "Spearman on random subsets of the labelled cells: median and 95 % of the draws",
    "cost": "Spearman against cost in forward passes a cell; filled: nothing as cheap is better",
    "learning": "Rankings learned from k labels against their cost, proxies as level lines; ringed: ahead of the best",
    "gates": "Every gate over training, a panel a seed; a cross where it closes",
    "graph": "The student that is left of the teacher's graph: kept solid, cut dashed",
    "weights": "How much each pathway of a learned distillation process weighs over time",
}
"""By the last part of the file's name."""


class Words(NamedTuple):
    """How a table is called, and the command that makes it; the braces are the benchmark's name."""

    heading: str
    command: str


_AGAIN = "python -m analysis tables --benchmark {benchmark}"
TABLES = {
    "leaderboard": Words("Leaderboard", _AGAIN),
    "kinds": Words("Each kind of label: vanilla, distilled, gain", _AGAIN),
    "pairs": Words("Which proxies are better than which", _AGAIN),
    "sets": Words("The same proxies on other sets of cells", _AGAIN),
    "transfer": Words("Scores of other benchmarks, judged by these labels", _AGAIN),
    "variance": Words(
        "What moves a ranking: cell, weights or images",
        f"python -m bench crossing --benchmark {{benchmark}} && {_AGAIN}",
    ),
    "ablation": Words("DisWOT's ablations, reported and measured", _AGAIN),
    "teachers": Words("The same students before other teachers", _AGAIN),
    "subgraph": Words("Students cut out of the teacher's graph", f"make subgraph BENCH={{benchmark}} && {_AGAIN}"),
    "searches": Words("What searches found", f"make search BENCH={{benchmark}} && {_AGAIN}"),
    "predictions": Words("Rankings learned from a few labels", f"make predict BENCH={{benchmark}} && {_AGAIN}"),
    "formulas": Words("Formulas found by evolution", f"make formula BENCH={{benchmark}} && {_AGAIN}"),
    "reliability": Words("How far the labels agree with themselves", _AGAIN),
    "distillation": Words("One student, trained with each loss", "make pair && python -m analysis tables"),
    "recipes": Words("Recipes of labels beside one another", "make study BENCH={benchmark} DATA=DIR"),
    "label-sets-proxies": Words("Proxies against each set of labels", "python -m analysis label-sets"),
    "label-sets": Words("How far sets of labels agree", "python -m analysis label-sets"),
    "reference-check": Words("Our scores beside published ones", "make check-reference DATA=DIR"),
}
"""By what a table's file is called, less the benchmark; of two that fit the longer counts."""


def table_of(stem: str) -> str:
    """The key of `TABLES` that the name of a file begins with; nothing where there is none."""
    return max((name for name in TABLES if f"{stem}-".startswith(f"{name}-")), key=len, default="")


def heading(stem: str, owner: str) -> str:
    """A table's heading in words; `owner` is the benchmark that it stands under, which need not be said again."""
    name = table_of(stem)
    rest = stem.removeprefix(name).removeprefix("-")
    subject = "" if rest == owner else in_words(rest)
    if not name:
        return in_words(stem.removesuffix(f"-{owner}") if owner else stem)
    return f"{TABLES[name].heading}: {subject}" if subject else TABLES[name].heading


def in_words(name: str) -> str:
    """What a part of a file's name says: a pair of networks, gates and their budget; any other with spaces."""
    if found := re.fullmatch(
        r"(?:(?P<of>.+?)-)?(?P<student>[^-]+)-from-(?P<teacher>.+?)(?P<how>-(?:softmax|mean)-\d+)?", name
    ):
        of = f" of {found['of']}" if found["of"] else ""
        student = f"cell {found['student']}" if found["student"].isdigit() else found["student"]
        return f"{student}{of}, taught by the teacher of {found['teacher']}"
    if found := re.fullmatch(r"subgraph-(\w+)-(\d+)", name):
        return f"gates on {found[1]}, at most {int(found[2]):,} parameters"
    return name.replace("-", " ").replace("_", " ")


WORDS = {
    "cell": "an architecture of NAS-Bench-201: one of five operations on each of six edges between four nodes",
    "function": "a class of cells that compute the same random function; one of them is trained and scored",
    "benchmark": "a named setting: data set, size of the networks, teacher and batch",
    "proxy": "a rule that turns what was observed of an untrained student, and of the teacher, into one number",
    "score": "that number for one cell and one seed; larger is better. What is not finite is no score, and counted",
    "vanilla": "test accuracy in percent after training without a teacher",
    "distilled": "the same network, start and images, trained with the teacher",
    "gain": "distilled minus vanilla accuracy, in points",
    "ceiling": "Spearman to be expected of a proxy that knew the true ranking: labels of few seeds are noisy",
}
