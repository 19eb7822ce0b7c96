"""What a class says of itself, held against what a run relies on: one sentence for the first fact that cannot be.

The registry refuses such a class before anything is scored, and the contract test asks for the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields

from probe.needs import NEEDS, READS_BATCH, VIEWS
from proxies.base import Named, Population, Reference
from spaces.inits import INITS
from spaces.space import SEES

NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = ("all",)
"""Words that mean something else where proxies are named."""
_PLAIN = (str, int, float, bool)
Fact = Callable[[str, object], str]
"""What is wrong with a fact of that name and value; empty where nothing is."""


def wrong_name(name: object) -> str:
    """What is wrong with a proxy's name; empty where nothing is."""
    if not isinstance(name, str):
        return f"name = {name!r} is no text"
    if not NAME.fullmatch(name):
        return f"name '{name}': lower-case letters, digits and _ only, starting with a letter"
    return f"name '{name}' means every proxy: choose another" if name in RESERVED else ""


def wrong_fact(cls: type[Named]) -> str:
    """The first thing that a class of proxies says in a way no run can use; empty where there is none."""
    if missing := [fact for fact in _FACTS if _asked(cls, fact) and not hasattr(cls, fact)]:
        return f"it has no class attribute '{missing[0]}'"
    own = {field.name: field for field in fields(cls)}
    for fact, wrong in _FACTS.items():
        if fact in own:
            return f"'{fact}' is a field: write `{fact} = ...` without a type, or with ClassVar"
        if _asked(cls, fact) and (said := wrong(fact, getattr(cls, fact))):
            return said
    return next(filter(None, map(_wrong_field, own.values())), "")


def _asked(cls: type[Named], fact: str) -> bool:
    return not (issubclass(cls, Population) and fact in ("needs", "sees", "least", "least_of_class"))


def _name(_: str, value: object) -> str:
    return wrong_name(value)


def _version(_: str, value: object) -> str:
    if type(value) is not int:
        return f"version = {value!r} is no whole number"
    return "" if value >= 1 else f"version = {value}: versions count from 1"


def _text(fact: str, value: object) -> str:
    return "" if isinstance(value, str) and value else f"{fact} = {value!r} is no text: say it in a word"


def _reference(_: str, value: object) -> str:
    if isinstance(value, Reference):
        return ""
    return f"reference = {value!r} is no Reference: write reference = Reference(title=..., year=..., ...)"


def _needs(_: str, value: object) -> str:
    if isinstance(value, str):
        return f"needs = {value!r} is a word, not a tuple: write needs = ({value!r},), a trailing comma makes it one"
    if not isinstance(value, tuple):
        return f"needs = {value!r} is a {type(value).__name__}: write it as a tuple, such as needs = ('forward',)"
    for need in value:
        if need not in NEEDS:
            near = difflib.get_close_matches(str(need), NEEDS, n=1, cutoff=0.6)
            hint = f"did you mean '{near[0]}'? " if near else ""
            known = ", ".join((*READS_BATCH, "weights", "teacher"))
            return f"needs names {need!r}: {hint}there are {known}, and of {', '.join(VIEWS)} such as 'noise.forward'"
    return ""


def _sees(_: str, value: object) -> str:
    return "" if value in SEES else f"sees = {value!r} is none of {', '.join(SEES)}"


def _count(fact: str, value: object) -> str:
    return "" if type(value) is int and value >= 1 else f"{fact} = {value!r} is no whole number from 1"


_FACTS: dict[str, Fact] = {
    "name": _name,
    "family": _text,
    "reference": _reference,
    "needs": _needs,
    "version": _version,
    "sees": _sees,
    "least": _count,
    "least_of_class": _count,
}


def _wrong_field(field: Field[object]) -> str:
    if field.default is MISSING or not isinstance(field.default, _PLAIN):
        return f"field {field.name} needs a plain default: a text, a number, True or False"
    if field.name == "init" and field.default not in INITS:
        return f"init = {field.default!r} is none of {', '.join(INITS)}"
    return ""
