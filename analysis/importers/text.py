"""Accuracies as text: DisWOT's JSON and depth codes, CSV."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from analysis.importers.source import Row, Source, reason
from analysis.read.accuracies import percent, read_rows
from common.errors import BadInput, BadUsage
from common.formats import read_text
from spaces.nb201.cell import resolve
from spaces.nb201.space import NB201
from spaces.resnet.space import RESNET, Depths

_NO_SEED = {"seed": "0: the source states none", "test": "as the source states it"}


def read_diswot_json(file: Path) -> Source:
    """`{"<index>": accuracy}`; a number may be written as text."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise BadInput(f"{file} names {twice!r} twice: keep one accuracy a cell")
        return dict(pairs)

    text = read_text(file, "expected {index: accuracy}")
    try:
        content = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"cannot read {file} as JSON ({reason(error)}): expected {{index: accuracy}}") from error
    if not isinstance(content, dict) or not content:
        raise BadInput(f"{file} is not an object of {{index: accuracy}}: take DisWOT's file, or another format")
    found: dict[int, float] = {}
    for key, value in content.items():
        try:
            index = resolve(key)
        except BadUsage as error:
            raise BadInput(f"{file}: {error}") from error
        if index in found:
            raise BadInput(f"{file} names cell {index} twice: keep one accuracy a cell")
        found[index] = percent(value, f"{file}, index {key}")
    return Source([Row(index, 0, math.nan, test) for index, test in found.items()], _NO_SEED)


_DEPTHS = re.compile(r"(\[?[1357](?:, ?| ?)[1357](?:, ?| ?)[1357]\]?)[\s,:]+(\S+)")


def read_resnet_depths(file: Path) -> Source:
    """A line a network: depth code as `713`, `7,1,3` or `[7, 1, 3]`, then the accuracy."""
    lines = read_text(file, "expected a depth code and an accuracy on each line").splitlines()
    found: dict[int, float] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where, parts = f"{file}, line {number}", _DEPTHS.fullmatch(line.strip())
        if parts is None:
            raise BadInput(f"{where}: {line[:80]!r} is not three depths of 1, 3, 5, 7 and an accuracy, as '713 71.01'")
        code = Depths.parse(parts[1])
        if code.index in found:
            raise BadInput(f"{where}: depths {code.blocks} stand there for the second time: keep one line a network")
        found[code.index] = percent(parts[2], where)
    if not found:
        raise BadInput(f"{file} is empty: expected a depth code and an accuracy on each line")
    columns = _NO_SEED | {"cell": "index of the depth code in the lexicographic order of {1, 3, 5, 7}^3"}
    return Source([Row(index, 0, math.nan, test) for index, test in found.items()], columns, space=RESNET.name)


def read_csv(file: Path) -> Source:
    """What `--against` reads too (`analysis.read.accuracies.read_rows`)."""
    found = read_rows(file, NB201).itertuples(index=False)
    rows = [Row(int(row.cell), int(row.seed), float(row.val), float(row.test)) for row in found]
    return Source(rows, {"seed": "the source's, or 0 where it states none", "test": "as the source states it"})
