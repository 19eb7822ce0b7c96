"""Finds the foreign module that stands where Python would import one of the project's packages from."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

ROOMS = ("common", "images", "spaces", "distill", "probe", "proxies", "bench", "search", "analysis")


def check() -> str:
    """One line that names the first foreign module in the place of a room; empty where there is none."""
    own = Path(__file__).resolve().parents[1]
    for room in ROOMS:
        place = _place(room)
        if place is None:
            return f"the package '{room}' of diswot-bench is missing: install it again"
        if place.resolve() != own / room:
            return f"{place} stands in the way of the package '{room}' of diswot-bench: rename it, or work elsewhere"
    return ""


def _place(room: str) -> Path | None:
    """The folder of a package, the file of a module; None where there is neither."""
    loaded = sys.modules.get(room)
    try:
        spec = getattr(loaded, "__spec__", None) or find_spec(room)
    except ValueError:  # a module without a spec, as a script makes it
        spec = None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin else None
