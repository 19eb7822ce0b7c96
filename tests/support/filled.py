"""A store with planted scores, written as a run does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.benchmarks import benchmark
from bench.identity import fingerprint, settings
from bench.store import Row, ScoreStore
from proxies import registry

DIGITS = benchmark("digits")


def fill(path: Path, proxy: str, seed: int, scores: Mapping[int, float | None], started: str = "2026-01-01") -> Path:
    """Add scores of `digits` by cell to the store at `path`; None is one that is not finite."""
    store = ScoreStore(path)
    record = settings(registry.create(proxy), DIGITS, f"hash of {seed}")
    number = store.setting(fingerprint(record), "digits", proxy, record)
    run = store.start_run(started, {"host": path.stem}, [(number, seed, "all", len(scores))])
    rows = [Row(number, seed, c, s, "nonfinite" if s is None else "ok", "") for c, s in scores.items()]
    store.add(run, rows)
    store.finish_run(run, 1.5, len(rows))
    store.close()
    return path
