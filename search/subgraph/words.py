"""The words of `python -m search subgraph`, known before anything slow is imported."""

from __future__ import annotations

import re
from typing import NamedTuple

from common import results
from common.errors import BadUsage, unknown

GATES = {
    "edges": "one gate on each edge of the teacher's cell, shared by all cells: students are subgraphs of the teacher",
    "operations": "one gate on each of four operations on each edge, shared: any cell, an extension of the method",
    "blocks": "one gate on each residual block of a ResNet teacher",
    "channels": "gates on residual blocks and on groups of channels within them",
}
FOLDER = results.SUBGRAPHS
FOUND = "l1"
"""The kind of the student that gates have found."""
RIVALS = {
    "random": "other subgraphs of equal size, or the nearest",
    "largest": "the subgraph of most parameters",
    "width": "the teacher, narrower",
    "depth": "the teacher, shallower",
    "both": "the teacher, narrower and shallower",
}
"""The networks beside it, by kind."""
ALIKE = 0.1
"""Random subgraphs are of equal size within this share of the found student's parameters, where there are any."""
_FACTORS = {"": 1, "k": 10**3, "M": 10**6}


class Budget(NamedTuple):
    """A `Budget` is a number of parameters, or a share of the teacher's."""

    number: float
    is_share: bool

    def of(self, whole: int) -> int:
        """Return the budget in parameters. Raises BadUsage where nothing would have to be cut."""
        most = int(self.number * whole) if self.is_share else int(self.number)
        if most >= whole:
            raise BadUsage(f"--budget {most:,}: the teacher's graph has {whole:,} parameters, so nothing is to be cut")
        return most


def budget(text: str) -> Budget:
    """Read a budget written as 20000, 20k, 0.5M, or as a share such as 0.5. Raises BadUsage."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)([kM]?)", text.strip(), re.ASCII)
    number = float(found[1]) * _FACTORS[found[2]] if found else 0.0
    if not found or not number:
        raise BadUsage(f"--budget '{text}': expected parameters such as 20k or 0.5M, or a share of the teacher's, 0.5")
    return Budget(number, is_share=number < 1)


def gates(text: str) -> str:
    """Return the text, if it is one of `GATES`. Raises BadUsage."""
    if text not in GATES:
        raise unknown("kind of gates", text, GATES)
    return text
