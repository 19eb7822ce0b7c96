"""Published accuracies, each converted once into an accuracy table that says where it came from.

A pickle is a program: what its maker wrote runs when it is read. NAS-Bench-201's file is first read as plain data
(torch's `weights_only`), which runs nothing; a pickle that is more than that is read only where its user says so.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from analysis.importers.benchmarks import BENCHMARKS, DATA_SETS, read_benchmark
from analysis.importers.source import Row, Source
from analysis.importers.text import read_csv, read_diswot_json, read_resnet_depths
from analysis.read.accuracies import check_percent
from common.errors import BadInput, BadUsage, unknown
from distill.tables import COLUMNS, FOLDER, AccuracyTable, left_alone, recipe_path, write_table

TEXT = {"diswot-json": read_diswot_json, "resnet-depths": read_resnet_depths, "csv": read_csv}
FORMATS = (*BENCHMARKS, *TEXT)


def import_table(
    format: str,
    file: Path,
    dataset: str,
    *,
    epochs: int | None = None,
    name: str | None = None,
    output: Path = FOLDER,
    trust_pickle: bool = False,
) -> tuple[Path, AccuracyTable]:
    """Write `<output>/<name>.csv.gz` and its JSON from a file of one of `FORMATS`; the path and what was written.

    `epochs` picks the schedule of a benchmark file (default: the longest), and states it for the other formats. Raises
    BadUsage for a word that means nothing, BadInput for a file that is missing, damaged, of another format or space, a
    pickle that is not trusted, and a table that is there already. Nothing is written unless all was understood.
    """
    epochs = _check_words(format, dataset, epochs)
    stem = re.sub(r"(\.csv)?\.[^.]+$", "", file.name)
    default = f"{dataset}-{format}-{epochs}" if format in BENCHMARKS else f"{dataset}-{stem}"
    name = re.sub(r"[^\w.-]+", "_", default, flags=re.ASCII) if name is None else name
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
        raise BadUsage(f"--name '{name}': expected letters, digits, '.', '_' and '-'")
    path = output / f"{name}.csv.gz"
    for there in (path, recipe_path(path)):
        if there.exists() and not left_alone(path):
            raise BadInput(f"{there} is there already and is not overwritten: choose another --name, or remove it")
    in_parts = format in BENCHMARKS and BENCHMARKS[format].in_parts
    if not (file.is_file() or (in_parts and file.is_dir())):
        raise BadInput(f"no file {file}: name the published file" + (" or folder" if in_parts else ""))
    if format in TEXT:
        source = TEXT[format](file)
    else:
        assert epochs is not None
        source = read_benchmark(format, file, dataset, epochs, trust_pickle)
    table = _table(source, format, file, dataset, epochs)
    provenance = {
        "cells": int(table.rows["cell"].nunique()),
        "seeds": sorted(int(seed) for seed in table.rows["seed"].unique()),
        "columns": source.columns,
        "read_with": source.read_with,
    }
    write_table(path, table, provenance)
    return path, table


def _check_words(format: str, dataset: str, epochs: int | None) -> int | None:
    """The epochs to read or to state. Raises BadUsage."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if dataset not in DATA_SETS:
        raise unknown("data set", dataset, DATA_SETS)
    if format in TEXT:
        if epochs is not None and epochs < 1:
            raise BadUsage(f"--epochs {epochs}: must be at least 1")
        return epochs
    *others, longest = BENCHMARKS[format].schedules
    if epochs not in (None, *others, longest):
        known = f"{', '.join(map(str, others))} and {longest}"
        raise BadUsage(f"--epochs {epochs}: {format} has trainings of {known} epochs")
    return longest if epochs is None else epochs


def _table(source: Source, format: str, file: Path, dataset: str, epochs: int | None) -> AccuracyTable:
    import pandas as pd

    rows = pd.DataFrame(source.rows, columns=list(Row._fields)).assign(status="ok")
    rows["epochs"] = pd.Series(epochs, index=rows.index, dtype="Int64")
    if rows["test"].isna().all():
        after = f" after {epochs} epochs" if epochs else ""
        raise BadInput(f"{file} has no test accuracy on {dataset}{after}: choose another --dataset or --epochs")
    check_percent(file, rows[["val", "test"]].max(axis=None))
    recipe = {"format": format, "file": file.name, "sha256": _sha256(file), "dataset": dataset, "epochs": epochs}
    return AccuracyTable(rows.reindex(columns=list(COLUMNS)), recipe | {"space": source.space})


def _sha256(file: Path) -> str:
    """Of a folder: that of its lines `<name> <sha256>`, by name."""
    if file.is_dir():
        lines = (f"{part.name} {_sha256(part)}\n" for part in sorted(file.glob("*.pickle.pbz2")))
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
