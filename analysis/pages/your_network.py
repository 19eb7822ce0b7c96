"""The table of docs/guides/your-network.md: what every proxy makes of a small network of every kind.

Written by `python -m analysis network-docs`, which asks the proxies; a test fails while the page is not what they say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from analysis.pages.marks import Marks, replaced
from common.errors import BadInput
from images.base import Batch
from probe.module.examples import CLASSES, KINDS, OTHERS, SIZE, example
from proxies import registry
from proxies.base import NotApplicable, Proxy
from proxies.module import ModuleScore, score_modules

PAGE = Path("docs/guides/your-network.md")
MARKS = Marks("<!-- kinds: made by `python -m analysis network-docs` -->", "<!-- end of kinds -->")
WORKS = "yes"

Outcomes = Mapping[str, Mapping[str, str]]
"""By kind and by proxy: `WORKS`, or in a few words why there is no number."""


def outcomes() -> Outcomes:
    """What the proxies of this tree make of an example of every kind, with another of the kind as the teacher."""
    images = torch.randn(10, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    batch = Batch(images, torch.arange(10) % CLASSES, "kinds")
    proxies = [registry.create(name) for name in registry.known()]
    return {kind: _of_kind(proxies, example(kind), example(kind, seed=1), batch) for kind in KINDS | OTHERS}


def _of_kind(proxies: list[Proxy], network: nn.Module, teacher: nn.Module, batch: Batch) -> dict[str, str]:
    """By proxy; where the network is refused, one proxy at a time: some may take it."""
    try:
        found = score_modules(proxies, network, batch, teacher=teacher)
    except BadInput as refused:
        if len(proxies) == 1:
            return {proxies[0].label: _in_words(refused)}
        alone = [_of_kind([proxy], network, teacher, batch) for proxy in proxies]
        return {label: said for one in alone for label, said in one.items()}
    return {label: _in_words(one) for label, one in found.items()}


def _in_words(one: ModuleScore | NotApplicable | BadInput) -> str:
    """The reason without what is of this network alone, its name and its layers', and without what to do."""
    if isinstance(one, ModuleScore):
        return WORKS if math.isfinite(one.value) else f"the number is {one.value}"
    reason = re.sub(r" \(\w+\)", "", str(one).partition(": ")[0])
    return re.sub(r"^[A-Z]\w+", "it", re.sub(r"\w+(\.\w+){2,}", "a layer", reason))


def table(found: Outcomes) -> str:
    """Rows of proxies that have the same outcomes, columns of kinds; letters stand for the reasons below."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for proxy in next(iter(found.values())):
        groups.setdefault(tuple(of_kind[proxy] for of_kind in found.values()), []).append(proxy)
    rows = sorted(groups.items(), key=lambda row: (-row[0].count(WORKS), row[1]))
    reasons = list(dict.fromkeys(each for row, _ in rows for each in row if each != WORKS))
    letters = {reason: chr(ord("a") + place) for place, reason in enumerate(reasons)} | {WORKS: WORKS}
    lines = [f"| proxies | {' | '.join(found)} |", "|" + "---|" * (len(found) + 1)]
    for row, proxies in rows:
        lines.append(f"| {', '.join(proxies)} | {' | '.join(letters[each] for each in row)} |")
    listed = [f"- {letters[reason]}: {reason}" for reason in reasons]
    return "\n".join([*lines, "", *listed, ""])


def whole_page(text: str, found: Outcomes) -> str:
    """The page, as it is, with the table between its marks made anew."""
    return replaced(text, MARKS, table(found), PAGE)
