"""The published form of stored scores, written and put back into a store: one byte-stable CSV for each proxy, and a
manifest that says what they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from bench.benchmarks import benchmark as named
from bench.benchmarks import names
from bench.checks.rows import wrong_row, wrong_setting
from bench.identity import called
from bench.store import Merged, Row, ScoreStore, Stored, StoredRow, adopt_sources
from common.errors import BadInput
from common.files import json_hash, together
from common.formats import read_json, read_records, reading, whole, write_json, write_records
from proxies.base import Proxy

MANIFEST = "manifest.json"
AGAIN = "restore it, or export again"
"""What to do about a file that is damaged."""


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
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else {}
    with together():  # the manifest last: what it does not list is not published
        paths = [_publish(store, benchmark, proxy, folder, manifest, teacher) for proxy in proxies]
        write_json(folder / MANIFEST, manifest)
    return paths


def _publish(
    store: ScoreStore,
    benchmark: str,
    proxy: Proxy,
    folder: Path,
    manifest: dict[str, Any],
    teacher: Mapping[str, Any] | None,
) -> Path:
    """Write the scores of a proxy and enter them in the manifest."""
    name = called(proxy.label, benchmark, {"teacher": teacher} if teacher and "teacher" in proxy.needs else {})
    stored = store.scores(benchmark, proxy, teacher)
    rows = sorted((row.cell, entry.seed, row) for entry in stored for row in entry.rows)
    if not rows:
        raise BadInput(f"{store.path} has no scores of {name} on {benchmark}: `python -m bench run` makes them")
    path = folder / file_name(name)
    data = write_records(
        path,
        [
            {"cell": cell, "seed": seed, "score": row.score, "status": row.status, "reason": row.reason}
            for cell, seed, row in rows
        ],
    )
    manifest[path.name] = {
        "proxy": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "rows": len(rows),
        "ok": sum(row.status == "ok" for *_, row in rows),
        "settings": {str(entry.seed): _setting(entry) for entry in stored},
    }
    return path


def _setting(entry: Stored) -> dict[str, Any]:
    found = {"fingerprint": entry.fingerprint, "record": entry.record}
    return found | ({"sources": entry.sources} if entry.sources else {})


def file_name(name: str) -> str:
    """The name of the file of a proxy's scores; what could lead out of the folder is written as %2F and the like."""
    return f"{quote(name.replace(':', '.'), safe='@=')}.csv.gz"


def read_manifest(folder: Path) -> dict[str, Any]:
    """File name to entry. Raises BadInput where it cannot be read, or names what no export writes."""
    manifest = read_json(folder / MANIFEST, AGAIN)
    proxies: dict[str, str] = {}
    with reading(folder / MANIFEST, AGAIN):
        for file, entry in manifest.items():
            if Path(file).name != file or not file.endswith(".csv.gz"):
                raise ValueError(f"{file!r} is no file of scores in this folder")
            if not isinstance(entry, dict) or not isinstance(entry.get("proxy"), str):
                raise ValueError(f"it does not say what {file} holds")
            if (other := proxies.setdefault(entry["proxy"], file)) != file:
                raise ValueError(f"{other} and {file} are both of {entry['proxy']}")
    return manifest


def restore(store: ScoreStore, folder: Path) -> Merged:
    """Add what `<folder>`, named as its benchmark, publishes: the inverse of `export`.

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
        raise BadInput(f"{folder} is not what export writes ({error!r}): {AGAIN}") from error
    requests: list[tuple[int, int, str, int]] = []
    rows: list[Row] = []
    sources: dict[int, dict[str, str]] = {}
    for of in seeds:
        number = store.setting(of.fingerprint, folder.name, of.label, of.record)
        requests.append((number, of.seed, "published", len(of.rows)))
        rows += [Row(number, of.seed, *row) for row in of.rows]
        sources[number] = of.sources
    adopt_sources(store, sources, folder)
    return store.adopt("", {"published": folder.name, "manifest": json_hash(manifest)}, requests, rows)


class _Seed(NamedTuple):
    """What a file has of one seed."""

    label: str
    fingerprint: str
    record: dict[str, Any]
    seed: int
    rows: list[StoredRow]
    sources: dict[str, str]


def _seeds(path: Path, entry: dict[str, Any]) -> Iterator[_Seed]:
    benchmark, settings = path.parent.name, entry["settings"]
    label = entry["proxy"].split("@")[0]  # a teacher other than the benchmark's own is in the record
    rows = _rows(path, entry, len(named(benchmark).space))
    if rows.keys() != settings.keys():
        raise BadInput(f"{path} has seeds {', '.join(rows)}, and its manifest {', '.join(settings)}: {AGAIN}")
    for seed, setting in settings.items():
        check_setting(path, setting, label)
        sources = {str(what): str(found) for what, found in setting.get("sources", {}).items()}
        yield _Seed(label, setting["fingerprint"], setting["record"], int(seed), rows[seed], sources)


def check_setting(path: Path, setting: Mapping[str, Any], label: str) -> None:
    """Raises BadInput where what a manifest says of a file is not what a run makes."""
    if wrong := wrong_setting(setting["fingerprint"], path.parent.name, label, setting["record"]):
        raise BadInput(f"{path.parent / MANIFEST}, {path.name}: {wrong}; {AGAIN}")


def _rows(path: Path, entry: dict[str, Any], cells: int) -> dict[str, list[StoredRow]]:
    """The rows of a file by seed. Raises BadInput for one that no run writes, and for two of a cell."""
    found: dict[str, dict[int, StoredRow]] = {}
    lines = _lines(path, entry)
    for number, line in enumerate(lines, start=2):
        cell, seed = (_whole(line[name]) for name in ("cell", "seed"))
        row = (_score(line["score"]), line["status"], line["reason"])
        if wrong := wrong_row(cell, seed, *row, cells):
            raise BadInput(f"{path}, line {number}: {wrong}; {AGAIN}")
        of_seed = found.setdefault(line["seed"], {})
        if cell in of_seed:
            raise BadInput(f"{path}, line {number}: cell {cell} has a row of seed {seed} already; {AGAIN}")
        of_seed[int(cell)] = StoredRow(int(cell), *row)  # type: ignore[arg-type]  # as was asked
    return {seed: list(rows.values()) for seed, rows in found.items()}


def _whole(text: str) -> int | str:
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else text


def _score(text: str) -> float | str | None:
    """A number as `export` writes it, the text where it is none, None for nothing."""
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _lines(path: Path, entry: dict[str, Any]) -> list[dict[str, str]]:
    with reading(path, "its manifest lists it; restore it"):
        digest = hashlib.sha256(whole(path)).hexdigest()
    if digest != entry["sha256"]:
        raise BadInput(f"{path} is not the file that its manifest lists: {AGAIN}")
    return read_records(path, AGAIN)
