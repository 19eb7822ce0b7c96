"""What is known of a network before its images are looked at: layers, stages, blocks, where its class scores are.

A network is recorded for two images and for three: the dimension that grows is that of the images. On shapes alone it
is recorded once, for a prime number of images that is larger than any size in it: that is their dimension's mark. Not
where that number divides another dimension too, nor where one function is called so often that it may be a loop.

A *stage* ends where the pixels become half as many or fewer. Its map is the last one before that which everything
behind is computed from, with no way around it: what a residual block puts out, not what is inside of it. What comes
behind a global pooling is no stage. Tokens [B, N, C] are the pixels of a map of C channels, class tokens left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from common.errors import BadInput, unknown
from probe.calls import LAYERS, Kind
from probe.module.outputs import PROBABILITIES, Recording, find_logits
from probe.module.recorder import IMAGES, Node
from probe.module.spelled import halves_pooling, is_pooled, mark_spelled, ndim

EXTRA_TOKENS = 8
"""As many tokens may stand in front of those of a map."""


class Map(NamedTuple):
    """Where a feature map is put out, and how it lies there."""

    number: int
    """Of the call."""
    channels: int
    """Their dimension."""
    size: tuple[int, int]
    """Pixels, [H, W]."""
    extra: int = 0
    """Tokens in front of the pixels."""

    def of(self, value: torch.Tensor) -> torch.Tensor:
        """The map [B, C, H, W] in what the call puts out."""
        if value.ndim == 4:
            return value.movedim(self.channels, 1)
        return value.movedim(self.channels, 1)[:, :, self.extra :].unflatten(2, self.size)


class Block(NamedTuple):
    """A block: the calls that make what it reads and what it puts out, and the dimension of the channels in each."""

    input: tuple[int, int]
    output: tuple[int, int]


@dataclass(frozen=True)
class Survey:
    """The calls of a network in the order in which they come, and what they are to those who read it."""

    nodes: list[Node]
    images: list[int | None]
    """Dimension of the images in what each call puts out; None where there is none of their number."""
    logits: int
    choice: int
    """Which of the tensors that are returned are the logits."""
    classes: int
    classifier: int | None
    """The call of the last linear layer, if it reads one vector for each image."""
    stages: tuple[Map, ...]
    blocks: tuple[Block, ...]
    ends: str = ""
    """What makes something else of the class scores at the end: `softmax`, or `log_softmax`."""
    loops: bool = False
    """Whether other functions are called for another number of images."""

    @property
    def reader(self) -> int | None:
        """The call that reads what the classifier is applied to: where its bias is added, another one."""
        begins = None if self.classifier is None else self.nodes[self.classifier].begins
        return self.classifier if begins is None else begins

    @property
    def direct(self) -> bool:
        """Whether the logits are what the last linear layer puts out."""
        return self.classifier == self.logits

    def kinds(self, *kinds: Kind) -> dict[int, Node]:
        """The calls of these kinds."""
        return {number: node for number, node in enumerate(self.nodes) if node.kind in kinds}

    def names(self, *kinds: Kind) -> str:
        """What they are called, for reasons: `gelu, softmax`; empty where there are none."""
        return ", ".join(sorted({node.name for node in self.kinds(*kinds).values()}))


def survey(
    network: nn.Module,
    run: Recording,
    again: Recording | None,
    stages: Sequence[str] | None = None,
    blocks: Sequence[str] | None = None,
) -> Survey:
    """What a run says, beside another with one image more or for a number of images that is found by itself.

    Raises BadInput where there are no logits, or no module of a name.
    """
    nodes = run.recorder.nodes
    images = _marked(nodes, run.images) if again is None else _images(nodes, again.recorder.nodes)
    choice, logits = find_logits(network, run)
    live = _live(nodes, logits)
    mark_spelled(nodes)
    layers = [number for number, node in enumerate(nodes) if node.kind in LAYERS and number in live]
    shape = nodes[logits].shape
    assert shape is not None
    last = layers[-1] if layers else 0
    ends = _ends_in(nodes, [n for n in range(last, len(nodes)) if n in live], shape)
    for node in nodes[last:]:
        if node.kind is Kind.ATTENTION:  # behind the last layer it makes probabilities
            node.kind = None
    heads = [n for n in layers if nodes[n].kind is Kind.LINEAR and images[n] == 0 and ndim(nodes[n]) == 2]
    cuts = _cuts(nodes, live)
    maps = _maps(nodes, images, cuts, layers[0] if layers else len(nodes))
    said = (
        _named_stages(nodes, run, maps, stages)
        if stages is not None
        else _ends(nodes, _read(last, [maps[n] for n in cuts if n in maps]))
    )
    return Survey(
        nodes,
        images,
        logits,
        choice,
        shape[1],
        heads[-1] if heads else None,
        tuple(said),
        tuple(_blocks(network, nodes, images, run, cuts, blocks)),
        ends,
        again is not None and _names(nodes) != _names(again.recorder.nodes),
    )


def _names(nodes: Sequence[Node]) -> list[str]:
    return [node.name for node in nodes]


def prime_above(number: int) -> int:
    """The next prime number: so many images mark their dimension."""
    return next(n for n in itertools.count(number + 1) if all(n % k for k in range(2, math.isqrt(n) + 1)))


def is_marked(run: Recording) -> bool:
    """Whether the number of images divides one dimension at most of what each call puts out."""
    return all(len(_multiples(node, run.images)) < 2 for node in run.recorder.nodes)


def _multiples(node: Node, images: int) -> list[int]:
    return [dim for dim, size in enumerate(node.shape or ()) if size and size % images == 0]


def _marked(nodes: Sequence[Node], images: int) -> list[int | None]:
    """The dimension of the images in what each call puts out; None where they are folded into another, or in none."""
    found: list[int | None] = []
    for node in nodes:
        dims = _multiples(node, images)
        found.append(dims[0] if dims and node.shape is not None and node.shape[dims[0]] == images else None)
    return found


def _images(two: Sequence[Node], three: Sequence[Node]) -> list[int | None]:
    if _names(two) != _names(three):
        return [None] * len(two)
    return [_grown(a.shape, b.shape) for a, b in zip(two, three, strict=True)]


def _grown(two: torch.Size | None, three: torch.Size | None) -> int | None:
    if two is None or three is None or len(two) != len(three):
        return None
    grown = [dim for dim, (a, b) in enumerate(zip(two, three, strict=True)) if a != b]
    return grown[0] if len(grown) == 1 and (two[grown[0]], three[grown[0]]) == (2, 3) else None


def _ends_in(nodes: Sequence[Node], behind: Sequence[int], shape: torch.Size) -> str:
    """What calls behind the last layer make of class scores of that shape: `Survey.ends`. A logarithm of
    probabilities, however it is written, is `log_softmax`."""
    ends = ""
    for node in (nodes[number] for number in behind):
        if node.shape is None or node.shape.numel() != shape.numel():
            continue
        if node.name in PROBABILITIES:
            ends = node.name
        elif ends == "softmax" and node.name == "log":
            ends, node.kind = "log_softmax", None
        elif ends == "log_softmax" and node.name == "exp":
            ends, node.kind = "softmax", None
    return ends


def _live(nodes: Sequence[Node], logits: int) -> set[int]:
    """The calls that the logits depend on."""
    found, open_ends = {logits}, [logits]
    while open_ends:
        inputs = set(nodes[open_ends.pop()].inputs) - found - {IMAGES}
        found |= inputs
        open_ends += inputs
    return found


def _cuts(nodes: Sequence[Node], live: set[int]) -> list[int]:
    """The calls that no way from the images to the logits goes around, in their order."""
    last_use: dict[int, int] = {}
    for number in sorted(live):
        last_use |= dict.fromkeys(nodes[number].inputs, number)
    far, cuts = last_use.get(IMAGES, IMAGES), []
    for number in sorted(live):
        if far <= number:
            cuts.append(number)
        far = max(far, last_use.get(number, number))
    return cuts


def _maps(nodes: Sequence[Node], images: Sequence[int | None], cuts: Sequence[int], first: int) -> dict[int, Map]:
    """The calls from the first layer on that put out one map, or tokens, for each image."""
    found, recent, cut = {}, None, set(cuts)
    for number, node in enumerate(nodes):
        if number < first or images[number] != 0 or node.shape is None:
            continue
        if ndim(node) == 4 and node.channels in (1, 3):
            height, width = (node.shape[dim] for dim in range(1, 4) if dim != node.channels)
            found[number] = Map(number, node.channels, (height, width))
            recent = (height, width) if number in cut else recent
        elif ndim(node) == 3 and not halves_pooling(nodes, node):
            channels = node.channels if node.channels in (1, 2) else 2
            grid = _grid(node.shape[3 - channels], recent)
            if grid is not None:
                found[number] = Map(number, channels, *grid)
    return found


def _grid(tokens: int, recent: tuple[int, int] | None) -> tuple[tuple[int, int], int] | None:
    """The map that so many tokens are, and how many stand in front of it: the latest map's size, or a square."""
    if recent is not None and 0 <= tokens - math.prod(recent) <= EXTRA_TOKENS:
        return recent, tokens - math.prod(recent)
    for extra in (0, 1):
        side = math.isqrt(tokens - extra)
        if side > 1 and side**2 == tokens - extra:
            return (side, side), extra
    return None


def _read(last: int, maps: Sequence[Map]) -> Sequence[Map]:
    """The maps in front of the last layer: one that it puts out has class scores. All of them if there is no other."""
    return [each for each in maps if each.number < last] or maps


def _ends(nodes: Sequence[Node], maps: Sequence[Map]) -> list[Map]:
    """The last map before the pixels become half as many or fewer (or twice as many), up to a global pooling."""
    ends: list[Map] = []
    for each in maps:
        name = nodes[each.number].name
        if name == "pad":
            continue
        if is_pooled(nodes, each.number, each.size):
            break
        now, before = math.prod(each.size), math.prod(ends[-1].size) if ends else 0
        if before / 2 < now < 2 * before:
            ends[-1] = each
        else:
            ends.append(each)
    return ends


def _put_out(run: Recording, kind: str, name: str) -> int:
    """The call that makes what a module puts out when it last runs. Raises BadInput without a module that runs."""
    if not name or name not in run.modules:
        raise unknown(f"{kind} (a module that runs)", name, filter(None, run.modules))  # the network itself has no name
    number = run.modules[name][-1][1]
    if number is None or number == IMAGES:
        raise BadInput(f"{kind} '{name}' puts out nothing that depends on the images: name another module")
    return number


def _named_stages(
    nodes: Sequence[Node], run: Recording, maps: Mapping[int, Map], names: Sequence[str]
) -> Iterator[Map]:
    for name in names:
        number = _put_out(run, "stage", name)
        if number not in maps:
            shape = nodes[number].shape
            raise BadInput(
                f"stage '{name}' puts out {list(shape or [])} for {run.images} images, which is no map: name another"
            )
        yield maps[number]


def _blocks(
    network: nn.Module,
    nodes: Sequence[Node],
    images: Sequence[int | None],
    run: Recording,
    cuts: Sequence[int],
    names: Sequence[str] | None,
) -> Iterator[Block]:
    """The blocks named; those of a list `blocks` of the network, from its second on; or those that are found."""

    def end(number: int | None) -> tuple[int, int] | None:
        if number == IMAGES:
            return IMAGES, 1
        if number is None or images[number] != 0 or ndim(nodes[number]) not in (3, 4):
            return None
        channels = nodes[number].channels
        return number, channels if channels is not None else (1 if ndim(nodes[number]) == 4 else 2)

    own = _own_blocks(network, run)
    if names is None and own:
        outputs = [end(_put_out(run, "block", name)) for name in own]
        pairs = list(pairwise(outputs))
    else:
        wanted = _found_blocks(network, run, cuts) if names is None else names
        for name in wanted:
            _put_out(run, "block", name)
        pairs = [(end(run.modules[name][-1][0]), end(run.modules[name][-1][1])) for name in wanted]
        if names is not None and not all(one is not None for pair in pairs for one in pair):
            raise BadInput("blocks: each has to read a map, or tokens, and to put out one: name other modules")
    for before, after in pairs:
        if before is not None and after is not None:
            yield Block(before, after)


def _own_blocks(network: nn.Module, run: Recording) -> list[str]:
    """The names of what a network's list `blocks` holds, if that are modules of it that run."""
    held = getattr(network, "blocks", None)
    called = {module: name for name, module in network.named_modules() if name in run.modules}
    if not isinstance(held, list) or not all(isinstance(one, nn.Module) and one in called for one in held):
        return []
    return [called[module] for module in held]


def _found_blocks(network: nn.Module, run: Recording, cuts: Sequence[int]) -> list[str]:
    """Modules in lists that hold two layers or more and that everything passes through, as residual blocks do.

    One that holds others gives way to them if they have more than half of its weights: a stage to its blocks.
    """
    through = {IMAGES, *cuts}
    lists = nn.Sequential | nn.ModuleList
    inside = {
        f"{name}.{number}" if name else number
        for name, module in network.named_modules()
        if isinstance(module, lists)
        for number in module._modules
    }
    sizes = {
        name: sum(parameter.numel() for parameter in module.parameters() if parameter.ndim > 1)
        for name, module in network.named_modules()
        if name in inside
        and not isinstance(module, lists)
        and sum(parameter.ndim > 1 for parameter in module.parameters()) > 1
        and len(run.modules.get(name, ())) == 1
        and through.issuperset(number if number is not None else IMAGES - 1 for number in run.modules[name][0])
    }
    chosen: list[str] = []
    for name in reversed(sizes):  # those inside come behind
        within = [other for other in chosen if other.startswith(f"{name}.")]
        if 2 * sum(sizes[other] for other in within) <= sizes[name]:
            chosen = [other for other in chosen if other not in within] + [name]
    return [name for name in sizes if name in chosen]
