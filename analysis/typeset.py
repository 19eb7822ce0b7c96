"""Tables as people read them: Markdown for pages, LaTeX (booktabs) for papers; numbers come formatted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.files import write_whole

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
    """A heading and rows of equally many cells; the first column is text, the others are numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The caption as a paragraph, then a pipe table."""
        lines = [self.caption, "", _row(self.head), "|---|" + "---:|" * (len(self.head) - 1), *map(_row, self.rows)]
        return "\n".join(lines) + "\n"

    def latex(self, label: str) -> str:
        """A table environment; the document needs the package booktabs."""
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(self.caption)}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(self.head) - 1)}}}",
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
            write_whole(target, text.encode())
        return paths


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _ampersands(cells: Sequence[str]) -> str:
    return " & ".join(map(_escaped, cells)) + r" \\"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
