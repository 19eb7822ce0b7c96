"""Tables as people read them: Markdown for pages, LaTeX (booktabs) for papers; numbers come formatted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from common.formats import write_csv, write_text

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
}


@dataclass(frozen=True)
class Table:
    """A heading and rows of equally many cells; the first `words` columns are text, the others are numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    def markdown(self) -> str:
        """The caption as a paragraph, then a pipe table."""
        rule = "|" + "---|" * self.words + "---:|" * (len(self.head) - self.words)
        lines = [self.caption, "", _row(self.head), rule, *map(_row, self.rows)]
        return "\n".join(lines) + "\n"

    def latex(self, label: str) -> str:
        """A table environment; the document needs the package booktabs."""
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(self.caption)}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{'l' * self.words}{'r' * (len(self.head) - self.words)}}}",
            r"\toprule",
            _ampersands(self.head),
            r"\midrule",
            *map(_ampersands, self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> list[Path]:
        """`path` with the endings .md and .tex."""
        texts = {".md": self.markdown(), ".tex": self.latex(f"tab:{path.stem}")}
        paths = [path.with_name(path.name + ending) for ending in texts]
        for target, text in zip(paths, texts.values(), strict=True):
            write_text(target, text)
        return paths


def write(path: Path, everything: pd.DataFrame, table: Table) -> list[Path]:
    """`path` with the endings .csv (everything, four decimals), .md and .tex (what a page holds)."""
    target = path.with_name(path.name + ".csv")
    write_csv(target, everything.round(4))
    return [target, *table.write(path)]


def number(value: float, digits: int = 2) -> str:
    """A dash for what is not known."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def between(low: float, high: float, digits: int = 2) -> str:
    """An interval, or a dash."""
    return f"{number(low, digits)} to {number(high, digits)}" if math.isfinite(low) else "–"


def estimate(value: float, low: float, high: float, digits: int = 2) -> str:
    """A number with its interval in brackets, or a dash."""
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]" if math.isfinite(value) else "–"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _ampersands(cells: Sequence[str]) -> str:
    return " & ".join(map(_escaped, cells)) + r" \\"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
