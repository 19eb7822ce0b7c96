"""What makes a score that score: everything that can change the number, in one hash."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.benchmarks import Benchmark, teacher_name
from bench.checks.source import source_hash
from common.files import json_hash
from probe.needs import needs_of, reads_images
from proxies.base import Proxy
from spaces.registry import is_own

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
    fields = proxy.identity
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


_IDLE = ("name", "version", "family", "reference", "later", "least", "least_of_class")
"""Facts of a proxy's class that change no score, or are in the record by themselves."""


def sources(proxy: Proxy, benchmark: Benchmark) -> dict[str, str]:
    """The hashes of the code, by what it is, that can be edited without anything of the record changing.

    Provenance, as the commit: stored beside scores, so that no others are mixed in after an edit. This project's own
    spaces and teachers are not among them: `CODE_EPOCH` stands for those.
    """
    found = {f"the formula of {proxy.name}": source_hash([type(proxy)], _IDLE)}
    of_space = [type(one) for one in (benchmark.space, benchmark.skeleton)]
    if not all(map(is_own, of_space)):
        files = [getattr(sys.modules.get(one.__module__), "__file__", None) for one in of_space]
        folders = [Path(file).resolve().parent for file in files if file is not None]
        found[f"the code of the space {benchmark.space.name}"] = source_hash(of_space, folders=folders)
    if "teacher" in proxy.needs and (function := benchmark.teacher.function()) is not None:
        found[f"the code of the teacher {benchmark.teacher.name}"] = source_hash([function])
    return {what: found_hash for what, found_hash in found.items() if found_hash is not None}


def called(label: str, benchmark: str, record: Mapping[str, Any]) -> str:
    """What scores are called where people read them: the proxy, and `@teacher` if it is not the benchmark's own.

    Scores of a proxy under two teachers have two names, so no list, file or figure takes one for the other.
    """
    name = teacher_name(benchmark, record["teacher"]) if "teacher" in record else "default"
    return _under(label, name)


def told_apart(settings: Sequence[tuple[str, str, int, Mapping[str, Any]]]) -> list[str]:
    """The names of settings, given as (what they are called, benchmark, seed, record): with what they differ in, where
    several have one name, `nwot (backbone xautodl)`. Of hashes eight digits are enough.
    """
    facts = [dict(_facts(record)) for *_, record in settings]
    alike: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for setting, own in zip(settings, facts, strict=True):
        alike.setdefault(setting[:3], []).append(own)
    names = []
    for setting, own in zip(settings, facts, strict=True):
        differ = [fact for fact in own if any(other.get(fact) != own[fact] for other in alike[setting[:3]])]
        said = ", ".join(f"{fact} {str(own[fact])[: 8 if fact.endswith('hash') else None]}" for fact in differ)
        names.append(f"{setting[0]} ({said})" if said else setting[0])
    return names


def _facts(record: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of a record under its path, `batch.size`."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _facts(value, f"{within}{key}.")
        else:
            yield f"{within}{key}", value


def _under(label: str, teacher: str) -> str:
    return label if teacher == "default" else f"{label}@{teacher}"


def name_of(proxy: Proxy, benchmark: Benchmark) -> str:
    """What scores of a proxy on a benchmark, with the teacher it has, are `called`."""
    return _under(proxy.label, benchmark.teacher.name if "teacher" in proxy.needs else "default")


def fingerprint(record: dict[str, Any]) -> str:
    """64 hex digits."""
    return json_hash(record)
