"""The door: what a setting and a row must be, wherever they come from, before anything is made of them."""

from __future__ import annotations

import math
import re
from typing import Any

from bench.benchmarks import names
from bench.identity import called, fingerprint
from common import modules
from common.errors import BadUsage, unknown
from proxies import registry

STATUSES = ("ok", "nonfinite", "not_applicable", "oom", "timeout", "error")

_LABEL = re.compile(r"[a-z][a-z0-9_]*(:[A-Za-z_]\w*=[^:]*)*")


def wrong_row(cell: object, seed: object, score: object, status: object, reason: object, cells: int) -> str:
    """What is wrong with a row, of a space of so many `cells`; empty where nothing is."""
    if type(cell) is not int or not 0 <= cell < cells:
        return f"cell {cell!r} is none of 0 to {cells - 1}"
    if type(seed) is not int or seed < 0:
        return f"seed {seed!r} is no whole number from 0"
    if status not in STATUSES:
        return f"status {status!r} is none of {', '.join(STATUSES)}"
    if status == "ok" and not (isinstance(score, float) and math.isfinite(score)):
        return f"status 'ok' with {score!r}, which is no finite number"
    if status != "ok" and score is not None:
        return f"status {status!r} with a score, {score!r}"
    return "" if isinstance(reason, str) else f"reason {reason!r} is no text"


def wrong_setting(found: object, benchmark: str, label: object, record: object) -> str:
    """What is wrong with what scores claim to be: fingerprint, benchmark, proxy, record; empty where nothing is."""
    if benchmark not in names():
        return str(unknown("benchmark", benchmark, names()))
    if not isinstance(label, str) or not _LABEL.fullmatch(label) or not label.isprintable():
        return f"{label!r} is no name of a proxy"
    if not isinstance(record, dict) or not {"proxy", "version", "code_epoch", "fields"} <= record.keys():
        return f"the record of {label} does not say what was scored"
    if found != fingerprint(record):
        return f"the fingerprint of {label} is not that of its record"
    if record["proxy"] != label.partition(":")[0] or not _has_fields(label, record):
        return f"the record of {label} is that of another proxy"
    return wrong_teacher(benchmark, label, record)


def wrong_teacher(benchmark: str, label: str, record: dict[str, Any]) -> str:
    """Whether the teacher in a record can be named; empty where it can, or where there is none."""
    try:
        called(label, benchmark, record)
    except (LookupError, TypeError, ValueError, AttributeError, BadUsage) as error:
        return f"the record of {label} has a teacher that cannot be read ({error})"
    return ""


def _has_fields(label: str, record: dict[str, Any]) -> bool:
    """Whether the fields of a record are those of its label, as far as today's code can tell."""
    try:
        proxy = registry.create(label, modules.in_use())
    except BadUsage:  # of a module that is not given, or of fields as they were once
        return True
    fields = proxy.identity
    if "init" not in record["fields"]:  # who reads no weights has none
        del fields["init"]
    return record["version"] != proxy.version or record["fields"] == fields
