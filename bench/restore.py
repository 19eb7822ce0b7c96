"""Published scores back in a store, so that a run goes on from them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.benchmarks import names
from bench.export import read_manifest
from bench.store import Merged, Row, ScoreStore
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
    files = {file: list(_lines(folder / file, entry)) for file, entry in manifest.items()}
    requests: list[tuple[int, int, str, int]] = []
    rows: list[Row] = []
    for file, lines in files.items():
        label = manifest[file]["proxy"].split("@")[0]  # a teacher other than the benchmark's own is in the record
        for seed, setting in manifest[file]["settings"].items():
            number = store.setting(setting["fingerprint"], folder.name, label, setting["record"])
            of_seed = [line for line in lines if line["seed"] == seed]
            requests.append((number, int(seed), "published", len(of_seed)))
            rows += [_row(number, line) for line in of_seed]
    return store.adopt("", {"published": folder.name, "manifest": json_hash(manifest)}, requests, rows)


def _lines(path: Path, entry: dict[str, Any]) -> Iterator[dict[str, str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path} ({error.strerror}): its manifest lists it; restore it") from error
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise BadInput(f"{path} is not the file that its manifest lists: restore it, or export again")
    return csv.DictReader(io.StringIO(gzip.decompress(data).decode()))


def _row(setting: int, line: dict[str, str]) -> Row:
    score = float(line["score"]) if line["score"] else None
    return Row(setting, int(line["seed"]), int(line["cell"]), score, line["status"], line["reason"])
