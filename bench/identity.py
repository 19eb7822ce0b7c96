"""What makes a score that score: everything that can change the number, in one hash."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.benchmarks import Benchmark
from common.files import json_hash
from proxies.base import READS_BATCH, Proxy

CODE_EPOCH = 1
"""Raise it when a change outside the proxies (networks, draws, batches, probe) changes numbers."""


def reads_batch(proxy: Proxy) -> bool:
    """Whether the score depends on the batch, so that the data set has to be there."""
    return any(need in READS_BATCH for need in proxy.needs)


def settings(proxy: Proxy, benchmark: Benchmark, batch_hash: str | None) -> dict[str, Any]:
    """The record whose hash is the fingerprint. Device, workers, host and commit are provenance and not part of it.

    What a proxy does not read is left out: counts do not depend on batch or initialisation, nor nwot on the teacher.
    """
    fields = asdict(proxy)
    record: dict[str, Any] = {
        "proxy": proxy.name,
        "version": proxy.version,
        "fields": fields,
        "sees": proxy.sees,  # says which cell of a class was scored
        "skeleton": asdict(benchmark.skeleton),
        "code_epoch": CODE_EPOCH,
    }
    if proxy.needs:
        record |= {"dtype": "float32", "backbone": benchmark.backbone}
    else:
        del fields["init"]
    if reads_batch(proxy):
        record["batch"] = {"size": benchmark.batch, "hash": batch_hash}
    if "teacher" in proxy.needs:
        record["teacher"] = asdict(benchmark.teacher)
    return record


def fingerprint(record: dict[str, Any]) -> str:
    """64 hex digits."""
    return json_hash(record)
