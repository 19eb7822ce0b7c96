"""The published form of stored scores: one byte-stable CSV for each proxy, and a manifest that says what they are."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.identity import called
from bench.store import ScoreStore
from common.errors import BadInput
from common.files import gzip_bytes, write_json, write_whole
from proxies.base import Proxy


def export(
    store: ScoreStore,
    benchmark: str,
    proxies: Sequence[Proxy],
    output: Path,
    teacher: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write `<output>/<benchmark>/<proxy>.csv.gz` (cell, seed, score, status, reason) and enter it in `manifest.json`.

    Scores are written so that reading them back gives the same float. Equal rows give equal bytes. Raises BadInput
    where the store has no score of a proxy. Under a `teacher` (its record) other than the benchmark's own, <proxy> is
    `proxy@teacher`.
    """
    folder = output / benchmark
    manifest = read_manifest(folder) if (folder / "manifest.json").exists() else {}
    paths = []
    for proxy in proxies:
        name = called(proxy.label, benchmark, {"teacher": teacher} if teacher and "teacher" in proxy.needs else {})
        stored = store.scores(benchmark, proxy, teacher)
        rows = sorted((row.cell, entry.seed, row) for entry in stored for row in entry.rows)
        if not rows:
            raise BadInput(f"{store.path} has no scores of {name} on {benchmark}: `python -m bench run` makes them")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["cell", "seed", "score", "status", "reason"])
        for cell, seed, row in rows:
            writer.writerow([cell, seed, "" if row.score is None else repr(row.score), row.status, row.reason])
        data = gzip_bytes(text.getvalue().encode())
        path = folder / f"{name.replace(':', '.')}.csv.gz"
        write_whole(path, data)
        manifest[path.name] = {
            "proxy": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": len(rows),
            "ok": sum(row.status == "ok" for *_, row in rows),
            "settings": {
                str(entry.seed): {"fingerprint": entry.fingerprint, "record": entry.record} for entry in stored
            },
        }
        paths.append(path)
    write_json(folder / "manifest.json", manifest)
    return paths


def read_manifest(folder: Path) -> dict[str, Any]:
    """File name to entry. Raises BadInput where it cannot be read."""
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path} ({error}): restore it, or export again") from error
    return manifest
