"""What is known of a proxy: formula, source, needs, and what is published of its cost and its ranking."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from common import results
from common.formats import read_csv, reading
from common.shipped import here_or_shipped
from proxies.base import Population, Proxy

_COSTS = ("proxy", "seconds", "forwards")
_RANKING = ("proxy", "n", "spearman", "spearman_low", "spearman_high", "kendall")


def described(proxy: Proxy | Population, costs: Path = results.COSTS, tables: Path = results.TABLES) -> dict[str, Any]:
    """All of it, for JSON. Raises BadInput for a damaged table."""
    cls = type(proxy)
    return {
        "name": proxy.label,
        "family": cls.family,
        "version": cls.version,
        "sees": proxy.sees if isinstance(proxy, Proxy) else "population",
        "needs": list(proxy.needs) if isinstance(proxy, Proxy) else [],
        "parts": list(proxy.parts) if isinstance(proxy, Population) else [],
        "fields": {field.name: getattr(proxy, field.name) for field in fields(proxy)},
        "formula": inspect.getdoc(cls) or "",
        "notation": (inspect.getdoc(inspect.getmodule(cls)) or "").partition("\n\n")[2],
        "reference": cls.reference.record(),
        "costs": dict(_rows(costs, "", proxy.label, _COSTS)),
        "ranking": dict(_rows(tables, "leaderboard-", proxy.label, _RANKING)),
    }


def _rows(folder: Path, prefix: str, name: str, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """By table, where it names the proxy, what stands in these columns; None for what it does not know."""
    for path in sorted(here_or_shipped(folder).glob(f"{prefix}*.csv")):
        frame = read_csv(path, columns=columns)
        with reading(path, "restore it, or write it again"):
            row = frame[frame["proxy"] == name].head(1)
            for values in row[list(columns[1:])].astype(float).to_dict("records"):
                counted = {"n": int(values["n"])} if "n" in values else {}
                known = {str(key): None if math.isnan(value) else value for key, value in values.items()}
                yield path.stem.removeprefix(prefix), known | counted


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    reference = found["reference"]
    yield f"{found['name']}: {found['family']}, version {found['version']}"
    yield ""
    yield from found["formula"].splitlines()
    if found["notation"]:
        yield ""
        yield from found["notation"].splitlines()
    yield ""
    if found["parts"]:
        yield f"combines   {', '.join(found['parts'])}"
    else:
        yield f"reads      {', '.join(found['needs']) or 'nothing of the network'}"
        yield f"sees       {found['sees']}"
    fields = ", ".join(f"{name}={value}" for name, value in found["fields"].items())
    yield f"fields     {fields or 'none'}"
    arxiv = f", https://arxiv.org/abs/{reference['arxiv']}" if reference["arxiv"] else ""
    yield f"paper      {reference['title']}, {reference['year']}{arxiv}"
    if reference["reported"]:
        yield f"reported   {reference['reported']}"
    for name, cost in found["costs"].items():
        yield f"cost       {cost['forwards']:.1f} forward passes, {1000 * cost['seconds']:.1f} ms a cell ({name})"
    for name, one in found["ranking"].items():
        said = "no correlation, the scores are constant"
        if one["spearman"] is not None:
            said = f"Spearman {one['spearman']:.2f} ({one['spearman_low']:.2f} to {one['spearman_high']:.2f})"
        yield f"published  {said}, n = {one['n']} ({name})"
    if not found["ranking"]:
        yield "published  nothing"
