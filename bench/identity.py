"""What makes a score that score: everything that can change the number, in one hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.benchmarks import Benchmark, teacher_name
from common.files import json_hash
from probe.needs import needs_of, reads_images
from proxies.base import Proxy

CODE_EPOCH = 1
"""Raise it when a change outside the proxies (networks, draws, batches, probe) changes numbers beyond rounding."""


def reads_batch(proxy: Proxy) -> bool:
    """Whether the score depends on the batch, so that the data set has to be there."""
    return reads_images(proxy.needs)


def reads_second(proxy: Proxy) -> bool:
    """Whether the score depends on the second batch too."""
    return bool(needs_of("second", proxy.needs))


def settings(
    proxy: Proxy, benchmark: Benchmark, batch_hash: str | None, second_hash: str | None = None
) -> dict[str, Any]:
    """The record whose hash is the fingerprint. Device, workers, host and commit are provenance and not part of it.

    What a proxy does not read is left out: counts do not depend on batch or initialisation, nor nwot on the teacher.
    """
    fields = asdict(proxy)
    record: dict[str, Any] = {
        "proxy": proxy.name,
        "version": proxy.version,
        "fields": fields,
        "sees": proxy.sees,  # says which cell of a class was scored
        "skeleton": benchmark.skeleton.record(),
        "code_epoch": CODE_EPOCH,
    }
    if proxy.needs:
        record |= {"dtype": "float32", "backbone": benchmark.backbone}
    else:
        del fields["init"]
    if reads_batch(proxy):
        record["batch"] = {"size": benchmark.batch, "hash": batch_hash}
    if reads_second(proxy):
        record["second_batch"] = {"hash": second_hash}
    if needs_of("noise", proxy.needs):
        record["noise"] = {"size": benchmark.batch}
    if "teacher" in proxy.needs:
        record["teacher"] = benchmark.teacher.record()
    return record


def called(label: str, benchmark: str, record: Mapping[str, Any]) -> str:
    """What scores are called where people read them: the proxy, and `@teacher` if it is not the benchmark's own.

    Scores of a proxy under two teachers have two names, so no list, file or figure takes one for the other.
    """
    name = teacher_name(benchmark, record["teacher"]) if "teacher" in record else "default"
    return _under(label, name)


def _under(label: str, teacher: str) -> str:
    return label if teacher == "default" else f"{label}@{teacher}"


def name_of(proxy: Proxy, benchmark: Benchmark) -> str:
    """What scores of a proxy on a benchmark, with the teacher it has, are `called`."""
    return _under(proxy.label, benchmark.teacher.name if "teacher" in proxy.needs else "default")


def fingerprint(record: dict[str, Any]) -> str:
    """64 hex digits."""
    return json_hash(record)
