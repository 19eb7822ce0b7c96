"""What every command imports and works out when it starts: once, in the process from which all are forked."""

from __future__ import annotations

from importlib import import_module

from spaces.nb201.space import NB201
from spaces.space import SEES

for room in ("analysis", "bench", "distill", "search"):
    import_module(f"{room}.cli")
for name in (
    "analysis.tables.registry",
    "bench.published",
    "bench.runner",
    "distill.comparison",
    "search.student",
):
    import_module(name)
for sees in SEES:
    NB201.members(sees)
