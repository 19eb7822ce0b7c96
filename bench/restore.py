"""Published scores back in a store, so that a run goes on from them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.benchmarks import names
from bench.export import read_manifest
from bench.store import Merged, Row, ScoreStore, StoredRow
from common.errors import BadInput
from common.files import json_hash


def restore(store: ScoreStore, folder: Path) -> Merged:
    """Add what `<folder>`, named as its benchmark, publishes: the inverse of `bench.export.export`.

    Where the store has a score of a cell, it stays. Raises BadInput where a file is not what its manifest says, before
    anything is added.
    """
    if folder.name not in names():
        raise BadInput(
            f"{folder} is no folder of published scores, such as results/scores/digits: "
            f"its name is none of {', '.join(names())}"
        )
    manifest = read_manifest(folder)
    try:
        seeds = [seed for file, entry in manifest.items() for seed in _seeds(folder / file, entry)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder} is not what export writes ({error}): restore it, or export again") from error
    requests: list[tuple[int, int, str, int]] = []
    rows: list[Row] = []
    for of in seeds:
        number = store.setting(of.fingerprint, folder.name, of.label, of.record)
        requests.append((number, of.seed, "published", len(of.rows)))
        rows += [Row(number, of.seed, *row) for row in of.rows]
    return store.adopt("", {"published": folder.name, "manifest": json_hash(manifest)}, requests, rows)


class _Seed(NamedTuple):
    """What a file has of one seed."""

    label: str
    fingerprint: str
    record: dict[str, Any]
    seed: int
    rows: list[StoredRow]


def _seeds(path: Path, entry: dict[str, Any]) -> Iterator[_Seed]:
    rows: dict[str, list[StoredRow]] = {}
    for line in _lines(path, entry):
        score = float(line["score"]) if line["score"] else None
        row = StoredRow(int(line["cell"]), score, line["status"], line["reason"])
        rows.setdefault(line["seed"], []).append(row)
    label = entry["proxy"].split("@")[0]  # a teacher other than the benchmark's own is in the record
    for seed, setting in entry["settings"].items():
        yield _Seed(label, setting["fingerprint"], setting["record"], int(seed), rows[seed])


def _lines(path: Path, entry: dict[str, Any]) -> Iterator[dict[str, str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path} ({error.strerror}): its manifest lists it; restore it") from error
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise BadInput(f"{path} is not the file that its manifest lists: restore it, or export again")
    return csv.DictReader(io.StringIO(gzip.decompress(data).decode()))
