"""Published files with planted contents, written without the code that is tested."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

Scores = Mapping[str, Mapping[int, Mapping[int, float | None]]]
"""By what scores are called, seed and cell."""


def publish_scores(folder: Path, scores: Scores, reason: str = "too wide", benchmark: str = "digits") -> Path:
    """`folder/<benchmark>` as `bench export` leaves it, as far as tables read it; None is a failure of that reason."""
    (folder / benchmark).mkdir(parents=True, exist_ok=True)
    manifest = {}
    for name, seeds in scores.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["cell", "seed", "score", "status", "reason"])
        for seed, column in seeds.items():
            for cell, value in column.items():
                failed = value is None
                writer.writerow(
                    [cell, seed, "" if failed else repr(value), *(["not_applicable", reason] if failed else ["ok", ""])]
                )
        file = f"{name.replace(':', '.')}.csv.gz"
        data = gzip.compress(text.getvalue().encode())
        (folder / benchmark / file).write_bytes(data)
        manifest[file] = {"proxy": name, "sha256": hashlib.sha256(data).hexdigest()}
    (folder / benchmark / "manifest.json").write_text(json.dumps(manifest))
    return folder
