"""The networks that teachers can be, by the first word of their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from spaces.draw import Draw
from spaces.nb201.cell import cell_at, resolve
from spaces.nb201.network import CellNetwork
from spaces.resnet.network import ResNet, shape_named
from spaces.resnet.resnet9 import ResNet9

Build = Callable[[Draw], nn.Module]
"""Makes the network of a draw."""
Kind = Callable[[str, Any], Build]
"""Takes a network's name and its recipe's skeleton. Raises BadUsage for a wrong name, before anything is built."""


def _cell(name: str, skeleton: Any) -> Build:
    """`nb201-<cell>`: a cell on the recipe's skeleton, by its index or string."""
    if not name.startswith("nb201-"):
        return _residual(name, skeleton)
    return partial(CellNetwork, cell_at(resolve(name.removeprefix("nb201-"))), skeleton)


def _resnet9(name: str, skeleton: Any) -> Build:
    """`resnet9-<channels>`."""
    said = re.fullmatch(r"resnet9-([1-9]\d{0,2})", name, re.ASCII)
    return _residual(name, skeleton) if said is None else partial(ResNet9, int(said[1]), skeleton.classes)


def _residual(name: str, skeleton: Any) -> Build:
    """`resnet<depth>` or `wrn-<depth>-<widen>`."""
    return partial(ResNet, shape_named(name, skeleton.classes))


KINDS: dict[str, Kind] = {
    "nb201": _cell,
    "resnet9": _resnet9,
}
"""By what stands in front of the first dash of a network's name; names of other kinds are those of `shape_named`."""


def network(name: str, skeleton: Any) -> Build:
    """How the network of a name is made. Raises BadUsage where there is none."""
    return KINDS.get(name.partition("-")[0], _residual)(name, skeleton)
