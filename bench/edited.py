"""Scores made by code that was edited since are not mixed with those that it makes now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bench.benchmarks import Benchmark
from bench.identity import name_of, sources
from bench.store import ScoreStore, differing
from common.errors import BadInput
from proxies.base import Proxy

_APART = {
    "the formula": "a raised `version` in the proxy",
    "the code of the space": "another name of the benchmark",
    "the code of the teacher": "another name of its function",
}
"""What gives scores an identity of their own, by what was edited (`bench.identity.sources`)."""


def settle_sources(
    store: ScoreStore,
    benchmark: Benchmark,
    proxies: Sequence[Proxy],
    settings: Mapping[tuple[int, int], int],
    rescore: bool,
) -> None:
    """Keep what the code is that is going to score these settings, by (proxy, seed).

    What edited code has stored stays, and BadInput is raised, unless `rescore`: then none of it does. Failures alone
    hold nobody up.
    """
    now: dict[int, dict[str, str]] = {}
    old: set[int] = set()
    for number, proxy in enumerate(proxies):
        today = sources(proxy, benchmark)
        changed = {
            setting: what
            for setting in store.asked(benchmark.name, proxy)
            if (what := differing(today, store.sources(setting)))
        }
        if not rescore:
            _refuse(store, name_of(proxy, benchmark), benchmark.name, changed)
        old.update(changed)
        now |= {setting: today for (of, _), setting in settings.items() if of == number}
    store.made_by(now, without=old)


def _refuse(store: ScoreStore, name: str, benchmark: str, changed: Mapping[int, Collection[str]]) -> None:
    count = sum(map(store.judged, changed))
    if count:
        what = next(iter(changed.values()))
        apart = [by for kind, by in _APART.items() if any(one.startswith(kind) for one in what)]
        raise BadInput(
            f"{' and '.join(what)} changed since the {count} scores of {name} on {benchmark} in {store.path}: "
            f"`bench run --rescore` scores them anew, {' and '.join(apart)} keeps them apart"
        )
