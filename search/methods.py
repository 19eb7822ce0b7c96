"""The search methods by name."""

from __future__ import annotations

from common.errors import BadUsage
from common.named import create
from search.baselines import Local, Random, Rank
from search.evolution import Evolve, Regularised
from search.method import Method
from search.reinforce import Reinforce
from search.tpe import TPE

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (Evolve, Random, Regularised, Local, Reinforce, TPE, Rank)
}


def choose(text: str) -> list[Method]:
    """What a comma-separated list names, or every method for `all`; each once. Raises BadUsage."""
    if text.strip() == "all":
        return [method() for method in METHODS.values()]
    made = [create("search method", part, METHODS) for part in text.split(",") if part.strip()]
    if not made:
        raise BadUsage("no search method named: give one, several joined by commas, or all")
    return list({method.label: method for method in made}.values())
