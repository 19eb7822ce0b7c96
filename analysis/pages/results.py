"""docs/results.md: what was measured, in short tables and sentences, from what is committed under results/.

Written by `python -m analysis readme`; a test fails while the page is not what this module makes of the tables. A
section is left out where nothing of its kind is published.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from analysis.pages.performance import in_short
from analysis.pages.sentences import STARRED, Findings, published, read_table
from analysis.typeset import SURE, Markdown, Typeset, between, number, with_interval
from common import results as places
from common.formats import read_csv

PAGE = Path("docs/results.md")
BEST = 10
BESIDE = ("default", "noise", "median", "trained")
"""Teachers whose scores stand beside one another."""
FIGURES = {
    "ranking": "Spearman of every proxy with its interval, the line of params and the ceiling",
    "scores": "score against distilled accuracy",
}

_TOP = """# Results

`python -m analysis readme`, which `make tables` runs, makes this page from the tables under `results/`; do not edit it.
[results/README.md](../results/README.md) explains every file and column. The pages in [decisions/](decisions/) say how
a number came about, and hold the numbers of one day that no committed table holds.
"""


def page(results: Path = places.RESULTS) -> str:
    """The text of the page. Raises BadInput without leaderboards."""
    found = published(results)
    sections = (
        "## Which scores rank the cells\n",
        *map(_leaderboard, found),
        "## What the labels can tell\n",
        *map(_labels, found),
        *_headed("What a score has from its teacher", _teachers(found)),
        *_headed("Published scores of the same cells", _reference(results)),
        *_headed("What searches find", _searches(results)),
        *_headed("Students cut out of a teacher", _subgraphs(results)),
        *_headed("One student, several losses", _pairs(results)),
        *_headed("Speed", in_short(results)),
        *_headed("All tables", _index(results)),
    )
    return "\n".join([_TOP, *sections])


def _headed(title: str, parts: Iterator[str]) -> list[str]:
    """A section, if it has any part."""
    found = list(parts)
    return [f"## {title}\n", *found] if found else []


def _leaderboard(found: Findings) -> str:
    caption = (
        f"{found.sample()} Made by `make bench PROXY=all` and `make tables`. {found.made()} The first {BEST}, params "
        f"and diswot; [all of them](../results/tables/leaderboard-{found.benchmark}-distilled.md). {STARRED}"
    )
    said = (
        f"{found.of_params()} {found.of_diswot()} With the *gain* of distillation the strongest correlation is "
        f"{found.strongest_with_gain()}."
    )
    if sets := found.of_sets():
        said += (
            " Which cells are judged moves a correlation more than most proxies differ: on functions and on all cells "
            f"that these labels hold for, {', '.join(sets)} ([all sets](../results/tables/sets-{found.benchmark}.md))."
        )
    figures = [
        f"![{text}](../results/figures/{found.benchmark}-distilled-{name}.png)\n" for name, text in FIGURES.items()
    ]
    return "\n".join([found.leaderboard(BEST, Markdown(caption)).markdown(), f"{said}\n", *figures])


def _labels(found: Findings) -> str:
    return (
        f"The labels of `{found.benchmark}` (`make reliability`): {found.mean_gain()}. {found.of_ceiling()}; "
        f"{found.agreement_of_gains()}. "
        f"{found.vanilla_against_distilled()}\n"
    )


def _teachers(found: Sequence[Findings]) -> Iterator[str]:
    """Every score that reads the teacher, before the benchmark's own, one that is shown noise, and others."""
    for one in found:
        if not (noise := one.of_noise()):
            continue
        by_proxy = one.teachers.assign(teacher=one.teachers["teacher"].str.partition("-")[0])
        by_proxy = by_proxy.drop_duplicates(["proxy", "teacher"]).pivot(index="proxy", columns="teacher")
        by_proxy = by_proxy.dropna(subset=[("spearman", "noise")])
        order = by_proxy["spearman"]["default"].sort_values(ascending=False, kind="stable").index
        rows = [
            [
                proxy,
                *(_before(by_proxy.loc[proxy], teacher) for teacher in BESIDE),
                number(by_proxy.loc[proxy, ("moved", "noise")]),
                number(by_proxy.loc[proxy, ("draw", "default")]),
            ]
            for proxy in order
        ]
        caption = (
            f"`{one.benchmark}`: Spearman with distilled accuracy of the scores that read the teacher, before the "
            "benchmark's own, the same network shown N(0, 1) images and random labels, a middling cell, and the "
            "trained teacher of the labels. Starred: differs from the benchmark's own (95 %, paired bootstrap over "
            "functions, Holm over all rows). Moved: Kendall of the ranking before noise with that before the "
            "benchmark's own teacher, the same students; draw: Kendall between two seeds. "
            f"[The whole table](../results/tables/teachers-{one.benchmark}.md), "
            "[how it was made](decisions/teachers.md)."
        )
        head = ["proxy", "own teacher", "noise", "median cell", "trained", "moved", "draw"]
        yield Typeset(Markdown(caption), head, rows).markdown()
        yield f"The teacher of `{one.benchmark}`: {noise}.\n"


def _before(one: pd.Series, teacher: str) -> str:
    """Spearman before a teacher, starred where it differs from that before the benchmark's own."""
    if ("spearman", teacher) not in one:
        return number(math.nan)
    return number(one["spearman", teacher]) + ("*" if one["over_default_p", teacher] < SURE else "")


def _reference(results: Path) -> Iterator[str]:
    """Agreement with published scores, and correlations with published accuracies of CIFAR-100."""
    if not (results / "tables" / "reference-check.csv").is_file():
        return
    rows = [
        [
            one["proxy"],
            with_interval(one["agreement"], one["agreement_low"], one["agreement_high"], 3),
            with_interval(one["own_seeds"], one["own_seeds_low"], one["own_seeds_high"], 3),
            _band(one["reported_low"], one["reported_high"]),
            with_interval(one["measured"], one["measured_low"], one["measured_high"], 3),
            one["verdict"],
        ]
        for _, one in read_table(results, "reference-check").iterrows()
    ]
    caption = (
        "`make check-reference DATA=...`, paper size: Spearman of our scores with the scores that NAS-Bench-Suite-Zero "
        "published for the same cells of CIFAR-10, Spearman between two seeds of ours, and Spearman with published "
        "vanilla accuracy on CIFAR-100, reported and measured [95 %, bootstrap over functions]. "
        "[decisions/reference-check.md](decisions/reference-check.md) says why some of them cannot agree better."
    )
    head = ["proxy", "agreement, CIFAR-10", "own seeds", "reported, CIFAR-100", "measured, CIFAR-100", "verdict"]
    yield Typeset(Markdown(caption), head, rows).markdown()
    yield (
        "On all functions of CIFAR-100: [decisions/diswot.md](decisions/diswot.md) and "
        "[decisions/search.md](decisions/search.md). On DisWOT's 64 ResNets: "
        "[decisions/resnet-space.md](decisions/resnet-space.md).\n"
    )


def _band(low: float, high: float) -> str:
    """The published values: one, or from the lowest to the highest."""
    return number(low, 3) if low == high else between(low, high, 3)


def _searches(results: Path) -> Iterator[str]:
    """The best search by each objective, and DisWOT's Algorithm 1 beside random search by the same score."""
    for path in sorted((results / "tables").glob("searches-*.csv")):
        name = path.stem.removeprefix("searches-")
        found = read_csv(path)
        found = found[found["within"].isna() | (found["within"] == "labelled")]
        found = found.sort_values("accuracy", ascending=False, kind="stable")
        best = ~found.duplicated("objective")
        beside = (found["objective"] == "diswot") & found["method"].isin(["evolve", "random"])
        rows = [
            [
                one["objective"] + ("" if pd.isna(one["within"]) else f", {one['within']}"),
                one["method"],
                f"{one['searches']}",
                with_interval(one["accuracy"], one["accuracy_low"], one["accuracy_high"]),
                number(one["regret"]),
                number(one["rank"], 0),
                number(one["seconds"], 1),
            ]
            for _, one in found[best | beside].iterrows()
        ]
        caption = (
            f"`{name}`: distilled accuracy of the students that a search finds [95 %], points below the best labelled "
            "cell, rank, and seconds on one thread: the best method for each objective, and by `diswot` also "
            "Algorithm 1 (`evolve`) and random search, over the whole space or among its labelled cells; "
            f"[all of them](../results/tables/{path.stem}.md), [how they were made](decisions/search.md)."
        )
        head = ["objective", "method", "searches", "accuracy, %", "regret", "rank", "seconds"]
        yield Typeset(Markdown(caption), head, rows, words=2).markdown()


def _subgraphs(results: Path) -> Iterator[str]:
    """How far a student cut out by gates is ahead of the networks beside it."""
    for path in sorted((results / "tables").glob("subgraph-*.csv")):
        found = read_csv(path).dropna(subset=["distilled"])
        rows = [
            [
                one["gates"],
                f"{one['budget']:,}",
                one["kind"],
                number(one["distilled"]),
                with_interval(one["over"], one["over_low"], one["over_high"]),
            ]
            for _, one in found.iterrows()
        ]
        caption = (
            f"`{path.stem.removeprefix('subgraph-')}`: distilled accuracy of students cut out of the teacher by L1 "
            "gates (`l1`), of the networks beside them, and how many points the former are ahead [95 %, over seeds]; "
            f"[the whole table](../results/tables/{path.stem}.md), [how it was made](decisions/subgraph.md)."
        )
        head = ["gates", "parameters allowed", "network", "accuracy, %", "l1 ahead by"]
        yield Typeset(Markdown(caption), head, rows).markdown()


def _pairs(results: Path) -> Iterator[str]:
    """What a learned process gains over other losses, for each pair of teacher and student."""
    rows = []
    for path in sorted((results / "tables").glob("distillation-*.csv")):
        pair = path.stem.removeprefix("distillation-")
        for _, one in read_csv(path).iterrows():
            if one["loss"] in ("vanilla", "kd", "diswot+", "replay"):
                test = with_interval(one["test"], one["low"], one["high"])
                over = with_interval(one["over_kd"], one["over_kd_low"], one["over_kd_high"])
                link = Markdown(f"[{pair}](../results/tables/{path.stem}.md)")
                rows.append([link, one["loss"], f"{one['seeds']}", test, over])
    if rows:
        caption = (
            "Test accuracy of one student by the loss that trained it, and its lead over `kd` on the same seeds [95 %, "
            "over seeds]; `replay` is the learned process. [decisions/distpro.md](decisions/distpro.md) explains the "
            "losses and their controls."
        )
        head = ["pair", "loss", "seeds", "accuracy, %", "over kd"]
        yield Typeset(Markdown(caption), head, rows, words=2).markdown()


def _index(results: Path) -> Iterator[str]:
    """Every table that a page can be made of, by its file's name."""
    names = [path.name for path in sorted((results / "tables").glob("*.md"))]
    if names:
        yield "".join(f"- [{name}](../results/tables/{name})\n" for name in names)
