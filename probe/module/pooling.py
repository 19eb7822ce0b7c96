"""Global pooling, however it is spelled: what it makes is no map of a stage."""

from __future__ import annotations

from collections.abc import Sequence

from probe.module.recorder import IMAGES, Node

_REDUCES = ("mean", "sum", "nanmean", "amax", "max")


def ndim(node: Node) -> int:
    return 0 if node.shape is None else len(node.shape)


def halves_pooling(nodes: Sequence[Node], node: Node) -> bool:
    """Whether a Node puts out the rows or columns of a map, each reduced to one value: half of a global pooling."""
    return node.name in _REDUCES and any(ndim(nodes[number]) == 4 for number in node.inputs if number != IMAGES)


def is_pooled(nodes: Sequence[Node], number: int, size: tuple[int, int]) -> bool:
    """Whether a map of a size is what a global pooling made, in the shape of a map or not, or what half of one made."""
    node = nodes[number]
    if size != (1, 1):
        return 1 in size and node.name in _REDUCES
    made = [nodes[one] for one in node.inputs if one != IMAGES]
    return node.name in _REDUCES or "pool" in node.name or any(ndim(one) in (2, 3) for one in made)
