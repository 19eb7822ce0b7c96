"""Is what is stored what the code computes? The file checked, and a sample of rows scored again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.benchmarks import Benchmark
from bench.identity import fingerprint, name_of, settings
from bench.plan import Pass
from bench.store import ScoreStore, Stored
from bench.worker import Setup, Worker
from common.errors import BadInput
from proxies.base import Proxy

SAMPLE_SEED = 201


@dataclass(frozen=True)
class Difference:
    """A stored row that is not what scoring it again gives."""

    seed: int
    cell: int
    stored: float | None
    again: float | None


@dataclass(frozen=True)
class Verdict:
    """Of one proxy: how many rows were compared, which differ, and whether the settings are those of today's code."""

    proxy: str
    compared: int
    differences: list[Difference]


def verify(
    store: ScoreStore,
    benchmark: Benchmark,
    proxies: Sequence[Proxy],
    sample: int,
    device: str,
    data: Path | None,
    files: tuple[Path, ...],
) -> list[Verdict]:
    """Score `sample` stored rows of each proxy again, seed by seed, and compare bit for bit.

    Raises BadInput for a damaged store, for a proxy without stored scores, and for scores made under other settings.
    """
    store.check()
    verdicts = []
    for proxy in proxies:
        worker: Worker = Setup(benchmark, (proxy,), files, data, device)()
        stored = store.scores(benchmark.name, proxy, benchmark.teacher.record())
        if not stored:
            raise BadInput(f"{store.path} has no scores of {name_of(proxy, benchmark)} on {benchmark.name}")
        differences = []
        compared = 0
        for entry in stored:
            _check_settings(worker, proxy, benchmark, entry)
            rows = random.Random(SAMPLE_SEED).sample(entry.rows, min(sample, len(entry.rows)))
            compared += len(rows)
            for cell, score, *_ in rows:
                representative = benchmark.space.representatives(proxy.sees)[cell]
                (again,) = worker.score(Pass(entry.seed, proxy.init, representative, (0,)))
                if again.score != score:
                    differences.append(Difference(entry.seed, cell, score, again.score))
        verdicts.append(Verdict(name_of(proxy, benchmark), compared, differences))
    return verdicts


def _check_settings(worker: Worker, proxy: Proxy, benchmark: Benchmark, entry: Stored) -> None:
    seed, record = entry.seed, entry.record
    batch_hash = worker.batch_hash(seed) if "batch" in record else None
    second_hash = worker.second_hash(seed) if "second_batch" in record else None
    now = settings(proxy, benchmark, batch_hash, second_hash)
    if fingerprint(now) != entry.fingerprint:
        keys = now.keys() | entry.record.keys()
        changed = ", ".join(sorted(key for key in keys if now.get(key) != entry.record.get(key)))
        raise BadInput(
            f"{name_of(proxy, benchmark)}, seed {entry.seed}: stored under other settings ({changed}); score again"
        )
