"""The search methods by name."""

from __future__ import annotations

from common.errors import BadUsage
from common.spec import create
from search.methods.base import Method
from search.methods.baselines import Local, Random, Rank
from search.methods.evolution import Evolve, Regularised
from search.methods.predict import Predict
from search.methods.reinforce import Reinforce
from search.methods.tpe import BOHB, TPE

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Evolve,
        Random,
        Regularised,
        Local,
        Reinforce,
        TPE,
        Predict,
        Rank,
    )
}
GLIMPSING: dict[str, type[Method]] = {BOHB.name: BOHB}
"""Those that need shorter trainings too."""


def choose(text: str, shorter: bool = False) -> list[Method]:
    """What a comma-separated list names, or every method for `all`; each once.

    Raises BadUsage, also for a method that needs `shorter` trainings where there are none.
    """
    known = {**METHODS, **GLIMPSING}
    if text.strip() == "all":
        text = ",".join(known if shorter else METHODS)
    made = [create("search method", part, known) for part in text.split(",") if part.strip()]
    if not made:
        raise BadUsage("no search method named: give one, several joined by commas, or all")
    for method in made:
        if method.glimpses and not shorter:
            raise BadUsage(f"the method {method.name} begins with shorter trainings: name --accuracy and --shorter")
    return list({method.label: method for method in made}.values())
