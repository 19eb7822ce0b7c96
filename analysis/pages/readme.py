"""The parts of README.md that state what was measured and which rooms there are.

Three parts, each between two marks: what `make bench PROXY=diswot` prints, what the tables find, and the rooms of the
house. `python -m analysis readme` writes them from the committed scores, labels and tables, and from the tree; a test
fails while they are not what this module makes of them.
"""

from __future__ import annotations

import math
from pathlib import Path

from analysis.pages.architecture import listing
from analysis.pages.marks import Marks, replaced
from analysis.pages.sentences import published as findings
from analysis.read.columns import BASELINES, counted, label_cells
from analysis.read.labels import load_labels
from analysis.read.scores import published
from analysis.stats.reliability import reliability
from analysis.studies.correlate import Result, judge
from analysis.typeset import Markdown, between, number
from bench.benchmarks import benchmark
from common import results as places

PAGE = Path("README.md")
LEADERBOARD = Marks("<!-- leaderboard: made by `make tables`; do not edit -->", "<!-- end of the leaderboard -->")
EXAMPLE = Marks("<!-- example: made by `make tables`; do not edit -->", "<!-- end of the example -->")
ROOMS = Marks("<!-- rooms: made by `make tables`; do not edit -->", "<!-- end of the rooms -->")

BENCHMARK = "digits"
PROXY = "diswot"
BEST = 4
COLUMNS = ("proxy", "place", "Spearman", "95 % interval", "over params")


def page(text: str, results: Path = places.RESULTS) -> str:
    """README.md, given as `text`, with the leaderboard made anew. Raises BadInput without its marks."""
    return replaced(text, LEADERBOARD, block(results), PAGE)


def whole_page(text: str, root: Path = Path()) -> str:
    """README.md, given as `text`, with all three parts made anew. Raises BadInput without their marks."""
    text = replaced(page(text, root / "results"), EXAMPLE, example(root / "results"), PAGE)
    return replaced(text, ROOMS, f"```text\n{listing(root)}```\n", PAGE)


def block(results: Path = places.RESULTS) -> str:
    """A leaderboard's head, a sentence each for the ceiling, params, DisWOT and the gain, and for other benchmarks."""
    found, *others = findings(results)
    better, worse = found.beyond_params()
    diswot = found.board.set_index("proxy").loc["diswot"]
    caption = Markdown(
        f"{found.sample()} [All of them](results/tables/{found.path.stem}.md). Starred: differs from "
        "params (95 %, corrected for all)."
    )
    said = (
        f"- The ceiling: two seeds of the labels agree with Spearman {found.agreement}, so a proxy that knew the true "
        f"ranking would reach {found.ceiling}.",
        f"- Params: {len(better)} of {len(found.board) - 1} scores rank beyond doubt better than counting parameters, "
        f"{len(worse)} worse.",
        f"- DisWOT: Spearman {number(diswot['spearman'])} "
        f"({between(diswot['spearman_low'], diswot['spearman_high'])}), over params "
        f"{diswot['over_params']:+.2f} "
        f"({between(diswot['over_params_low'], diswot['over_params_high'], signed=True)}).",
        f"- The gain: {found.mean_gain().removesuffix(' on the average of these functions')}; its strongest "
        f"correlation with a score is {found.strongest_with_gain()}, and {found.agreement_of_gains()}.",
        *([f"- The teacher: {noise}."] if (noise := found.of_noise()) else []),
        *(
            f"- On [{one.benchmark}](results/tables/{one.path.stem}.md), {one.recipe['cells']:,} functions: "
            f"{one.in_short()}."
            for one in others
        ),
    )
    return "\n".join([found.leaderboard(BEST, caption, COLUMNS).markdown(), *said, ""])


def example(results: Path = places.RESULTS) -> str:
    """What `make bench PROXY=diswot` prints: seed 0 beside the baselines, from published scores and labels."""
    setting = benchmark(BENCHMARK)
    labels = load_labels("distilled", BENCHMARK, results / "accuracies")
    cells = label_cells(labels, "functions")
    scores = published(results / "scores", BENCHMARK, lambda name: name == PROXY)[PROXY][0]
    found = [judge(PROXY, [0], scores, cells, setting.space)]
    found += [judge(name, [], counted(name, setting, cells.index), cells, setting.space) for name in BASELINES]

    def row(one: Result) -> list[str]:
        made = one.correlation
        return [
            one.proxy,
            str(made.n),
            f"{one.coverage:.1%}",
            number(made.kendall, 3),
            number(made.spearman, 3),
            between(made.spearman_low, made.spearman_high, 3),
            number(made.pearson, 3),
            ",".join(map(str, one.seeds)) or "none needed",
        ]

    head = ["proxy", "n", "coverage", "Kendall", "Spearman", "95 % interval", "Pearson", "seeds"]
    agreement = reliability(labels.by_seed)
    ceiling = number(math.nan if agreement is None else agreement.ceiling, 3)
    return (
        f"```text\n{aligned([head, *map(row, found)])}\nceiling: a proxy that knew the true ranking would reach "
        f"Spearman {ceiling}\n```\n"
    )


def aligned(rows: list[list[str]]) -> str:
    """Rows of equally many words in columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows]
    return "".join(f"{line.rstrip()}\n" for line in lines)
