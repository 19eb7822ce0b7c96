"""docs/proxies.md: what every proxy computes, where it comes from, what it costs and how it ranks.

Formulas are the classes' docstrings, facts their attributes; figures come from the committed tables. Written by
`python -m analysis proxy-docs`; a test fails while the page is not what this module makes of the tree.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pandas as pd

from analysis.read.costs import FOLDER as MEASURED
from analysis.typeset import DASH, number
from common import results
from common.formats import read_csv
from probe.needs import VIEWS, needs_of
from proxies import registry
from proxies.base import Named, Population, Proxy

PAGE = Path("docs/proxies.md")
TABLES = results.TABLES

FAMILIES = {
    "counts": "Counts",
    "weights": "Weights without data",
    "gradient": "Gradients",
    "activation": "Activations",
    "distillation": "Distillation losses at random initialisation",
    "population": "Combinations of ranks",
}
SEES = {
    "function": "live operations only, so cells of one function share a score",
    "relus": "what the ReLUs in front of all convolutions read, dead ones too",
    "executed": "every operation that runs, dead ones and those fed by zeros too",
    "parameters": "every operation that runs, and where the bias behind one that is fed by zeros leads",
    "cell": "the cell as it is written, whatever of it is live",
}

_TOP = """# Proxies

Every proxy of the registry: its formula as implemented, its source, what it can see, what it costs and how it ranks.
This page is made by `python -m analysis proxy-docs` from the classes and from the tables under `results/`; do not edit
it. Larger is better for all of them. Formulas speak of one batch of images (64, unless a benchmark says otherwise),
train-mode batch norm and the mean cross-entropy, unless they say otherwise.

*Cost* is the time of a proxy's own pass over forward passes of the same networks without gradients, measured in
turns on one thread; proxies that share an initialisation share their passes, so several together cost less than
their sum.
*Reported* figures are the literature's, mostly with accuracies trained without a teacher; *measured* ones are ours.
"""


def page(tables: Path = TABLES, costs: Path = MEASURED) -> str:
    """The text of the page."""
    classes: list[type[Proxy] | type[Population]] = [*registry.known().values(), *registry.populations().values()]
    measured, spent = _measured(tables), _costs(costs)
    parts = [_TOP, _summary(classes, measured, spent)]
    for family in [*FAMILIES, *sorted({cls.family for cls in classes} - set(FAMILIES))]:
        members = [cls for cls in classes if cls.family == family]
        if members:
            parts.append(f"## {FAMILIES.get(family, family.capitalize())}\n")
        # files one after the other, since what several proxies of a file share is said once, before the first
        for module, group in itertools.groupby(sorted(members, key=_place), key=inspect.getmodule):
            parts += [_notation(module), *(_section(cls, measured, spent) for cls in group)]
    return "\n".join([*filter(None, parts), "## BibTeX\n", _bibliography(classes)])


def _place(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__name__


def _notation(module: ModuleType | None) -> str:
    """What a file's docstring says behind its first paragraph."""
    text = (inspect.getdoc(module) or "").partition("\n\n")[2]
    return f"```text\n{text}\n```\n" if text else ""


def _bibliography(classes: Iterable[type[Named]]) -> str:
    entries = sorted({cls.reference.entry for cls in classes if cls.reference.entry})
    return "```bibtex\n" + "\n\n".join(entries) + "\n```\n"


def _measured(folder: Path) -> dict[str, pd.DataFrame]:
    """Leaderboards by what they say: `digits, distilled`; rows by proxy."""
    found = {}
    for path in sorted(folder.glob("leaderboard-*.csv")):
        name = ", ".join(path.stem.removeprefix("leaderboard-").rsplit("-", 1))
        found[name] = read_csv(path, columns=("proxy",)).set_index("proxy")
    return found


def _costs(folder: Path) -> dict[str, pd.DataFrame]:
    """Costs by benchmark; rows by proxy."""
    return {path.stem: read_csv(path, columns=("proxy",)).set_index("proxy") for path in sorted(folder.glob("*.csv"))}


def _summary(
    classes: Iterable[type[Proxy] | type[Population]], measured: dict[str, pd.DataFrame], spent: dict[str, pd.DataFrame]
) -> str:
    head = [
        "proxy",
        "family",
        "init",
        *(f"cost, {name}" for name in spent),
        *(f"Spearman, {name}" for name in measured),
    ]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for cls in classes:
        name = cls.name
        cells = [f"[{name}](#{name})", cls.family, cls.init if issubclass(cls, Proxy) else DASH]
        cells += [number(table.forwards.get(name), 1) for table in spent.values()]
        cells += [number(table.spearman.get(name)) for table in measured.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _section(
    cls: type[Proxy] | type[Population], measured: dict[str, pd.DataFrame], spent: dict[str, pd.DataFrame]
) -> str:
    reference = cls.reference
    source = f"{reference.title}, {reference.year}"
    if reference.arxiv:
        source += f", [arXiv {reference.arxiv}](https://arxiv.org/abs/{reference.arxiv})"
    key = re.match(r"@\w+{([^,]+),", reference.entry)
    facts = [f"Source: {source}{f', `{key[1]}`' if key else ''}"]
    if issubclass(cls, Proxy):
        facts.append(f"Version {cls.version}, init `{cls.init}`, reads {_reads(cls.needs)}")
        facts.append(f"Sees {SEES[cls.sees]}")
    else:
        facts.append(f"Version {cls.version}, combines {', '.join(f'`{part}`' for part in cls().parts)}")
    facts += [_spent(name, table.loc[cls.name]) for name, table in spent.items() if cls.name in table.index]
    if reference.reported:
        facts.append(f"Reported: {reference.reported}")
    facts += [_found(name, table.loc[cls.name]) for name, table in measured.items() if cls.name in table.index]
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"### {cls.name}\n\n```text\n{inspect.getdoc(cls)}\n```\n\n{listed}\n"


def _spent(name: str, row: pd.Series) -> str:
    return f"Cost on {name}: {row.forwards:.1f} forward passes, {1000 * row.seconds:.1f} ms a cell"


def _reads(needs: tuple[str, ...]) -> str:
    own = [need for need in needs if "." not in need]
    said = [f"`{need}`" for need in own]
    for view, meaning in VIEWS.items():
        if needs_of(view, needs):
            said.append(f"{', '.join(f'`{need}`' for need in needs_of(view, needs))} of {meaning}")
    return "; ".join(said) or "nothing of the network"


def _found(name: str, row: pd.Series) -> str:
    if pd.isna(row.spearman):
        return f"Measured on {name}: no correlation, the scores are constant"
    failed, scored, n = (int(row[name]) for name in ("failed", "scored", "n"))
    gaps = f", {failed} of {failed + scored} cells without a score" if failed else ""
    return (
        f"Measured on {name}: Spearman {row.spearman:.2f} ({row.spearman_low:.2f} to {row.spearman_high:.2f}), "
        f"Kendall {row.kendall:.2f}, {n} cells{gaps}"
    )
