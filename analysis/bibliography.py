"""A table's files, and beside them, in BibTeX, the papers that the proxies named in it come from."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from analysis.typeset import Table
from common import modules
from common.files import together
from common.formats import write_text
from proxies import registry

_BEHIND = re.compile("[:@].*")
"""What a label has behind its proxy's name: the fields and the teacher."""


def bibliography(frame: pd.DataFrame) -> str:
    """The BibTeX entries of the papers of all proxies named in the frame's columns of text, each once, sorted; of the
    proxies that are known here. Empty where there is none."""
    known = {**registry.known(modules.in_use()), **registry.populations(modules.in_use())}
    texts = (value for name in frame for value in frame[name].unique() if isinstance(value, str))
    named = known.keys() & {_BEHIND.sub("", text) for text in texts}
    entries = sorted({known[name].reference.entry for name in named} - {""})
    return "\n\n".join(entries) + "\n" if entries else ""


def write(table: Table, path: Path) -> list[Path]:
    """Write a table's files, and its `write_papers`."""
    with together():
        return [*table.write(path), *write_papers(table.frame, path)]


def write_papers(frame: pd.DataFrame, path: Path) -> list[Path]:
    """Write `path` with the ending .bib, the papers of the proxies that the frame names, if any."""
    if not (papers := bibliography(frame)):
        return []
    target = path.with_name(f"{path.name}.bib")
    write_text(target, papers)
    return [target]
