"""Cells of one draw run as one network: every operation once for all cells that chose it, nothing twice.

All cells are parts of one draw: those with the same operation on an edge share its weights. A node has a table
of *values*, one for each way in which its cells compute it: where the input is shared, as behind the stem, cells that
agree share values too. For each node the values that some cell convolves are gathered into one dense convolution;
a cell's convolutions of one node to several are one with their kernels side by side. Batch statistics are those of each
value alone. In numbers it is `CellNetwork`, the one-at-a-time path, up to rounding; and what a cell
shows does not depend on its company, on a CPU to the bit: kernels stand side by side only with those of the same cell.

Values are [V, B, H, W, C], V the number of values: channels last, so that each is a batch of its own in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F

from spaces.average_pool import average
from spaces.draw import ConvBn, Draw
from spaces.nb201.cell import EDGES, KERNEL, NONE, OPERATIONS, POOL, Cell, Edge
from spaces.nb201.recording import CellOutputs, LayerRun, Part, Recording, Relu, Values
from spaces.nb201.skeleton import Block, CellSkeleton

Value = tuple[object, ...]


class _Step(NamedTuple):
    """One operation of a cell block, from a node to several, on some values of the node."""

    operation: int
    read: tuple[int, ...]
    """Values of the source."""
    adds: tuple[tuple[Edge, tuple[int, ...], tuple[int, ...]], ...]
    """(an edge, rows of what was computed, the values of the edge's target that they are added to)."""


class _Plan(NamedTuple):
    """A cell block for several cells whose input is `of` values."""

    of: tuple[tuple[int, ...], ...]
    """For each node the value of each cell."""
    counts: tuple[int, ...]
    """Of each node's values."""
    steps: tuple[tuple[_Step, ...], ...]
    """In order, by source."""
    relus: tuple[tuple[tuple[int, int, int, tuple[int, ...]], ...], ...]
    """For each source: (cell, value, uses, place)."""


def _edges(cell: Cell, sees: str) -> list[Edge]:
    return cell.live_edges() if sees == "function" else [edge for edge in cell.edges() if edge.operation != NONE]


@cache
def _plan(cells: tuple[Cell, ...], of: tuple[int, ...], sees: str, apart: bool) -> _Plan:
    """The plan of a cell block: which values each node has, which cells share them, and the steps that compute them."""
    chosen = [_edges(cell, sees) for cell in cells]
    tables: list[dict[Value, int]] = [{(value,): value for value in sorted(set(of))}, {}, {}, {}]
    of_node: list[list[int]] = [list(of), [], [], []]
    nothing: list[set[int]] = [set(), set(), set(), set()]  # values that nothing has reached: zeros
    for target in (1, 2, 3):
        for number, edges in enumerate(chosen):
            left = {edge.source for edge in edges} | {3}
            terms = []
            for edge in edges:
                if edge.target != target:
                    continue
                value = of_node[edge.source][number]
                if edge.operation in KERNEL:
                    beside = tuple(other.position for other in edges if _run_as_one(edge, other, sees, left))
                    if edge.position in beside:
                        terms.append((edge.position, edge.operation, value, beside))
                elif value not in nothing[edge.source]:
                    terms.append((edge.position, edge.operation, value, ()))
            key: Value = (*terms, number) if apart else tuple(terms)
            place = tables[target].setdefault(key, len(tables[target]))
            of_node[target].append(place)
            if not terms:
                nothing[target].add(place)
    steps, relus = [], []
    for source in (0, 1, 2):
        steps.append(tuple(_steps(source, tables)))
        relus.append(tuple(_relus(source, chosen, of_node[source])))
    return _Plan(
        tuple(tuple(values) for values in of_node), tuple(len(table) for table in tables), tuple(steps), tuple(relus)
    )


def _run_as_one(edge: Edge, other: Edge, sees: str, left: set[int]) -> bool:
    """Whether `other` runs in the same convolution as `edge`: it has the same source and operation and is run.

    For `relus` a convolution that no edge reads is not run.
    """
    same = (other.source, other.operation) == (edge.source, edge.operation)
    return same and (sees != "relus" or other.target in left)


def _steps(source: int, tables: list[dict[Value, int]]) -> Iterator[_Step]:
    """Operations on a node's values."""
    # (operation, positions side by side) -> value -> position -> values of its target
    wanted: dict[tuple[int, tuple[int, ...]], dict[int, dict[int, list[int]]]] = {}
    for target, table in enumerate(tables):
        for terms, place in table.items():
            for term in terms:
                if isinstance(term, tuple) and EDGES[term[0]] == (source, target):
                    position, operation, value, beside = term
                    of_value = wanted.setdefault((operation, beside), {}).setdefault(value, {})
                    of_value.setdefault(position, []).append(place)
    for (operation, beside), values in sorted(wanted.items()):
        read = tuple(sorted(values))
        adds = []
        for position in beside or sorted({position for readers in values.values() for position in readers}):
            pairs = [(row, place) for row, value in enumerate(read) for place in values[value].get(position, ())]
            rows, places = zip(*pairs, strict=True)
            adds.append((Edge(position, *EDGES[position], operation), rows, places))
        yield _Step(operation, read, tuple(adds))


def _relus(source: int, chosen: list[list[Edge]], of: list[int]) -> Iterator[tuple[int, int, int, tuple[int, ...]]]:
    """For each cell that rectifies the node: one ReLU, in the order in which a network of its own would run it."""
    for number, edges in enumerate(chosen):
        targets = [edge.target for edge in edges if edge.source == source and edge.operation in KERNEL]
        if targets:
            yield number, of[number], len(targets), (min(targets), source)


class Batched:
    """Runs cells of one draw: `run(cells, sees, images)`. Weights are the draw's own, shared and unchanged."""

    def __init__(self, skeleton: CellSkeleton, draw: Draw) -> None:
        self.skeleton = skeleton
        self.draw = draw
        self.at_once = draw.device.type == "cuda"
        """Whether what concerns each value by itself takes a few launches for all, as suits a GPU; else it is done one
        by one, which on a CPU is faster, and keeps the order of sums from depending on how many values there are."""
        self._stacks: dict[tuple[str, int, tuple[int, ...]], tuple[torch.Tensor, ...]] = {}

    def run(
        self, cells: Sequence[Cell], sees: str, images: torch.Tensor, watch: Recording | None = None
    ) -> CellOutputs:
        """Images [B, 3, H, W], normalised; what the cells execute follows from `sees` as in `CellNetwork`."""
        watch = watch or Recording()
        cells = tuple(cells)
        with torch.set_grad_enabled(watch.apart):
            return self._run(cells, sees, images, watch)

    def _run(self, cells: tuple[Cell, ...], sees: str, images: torch.Tensor, watch: Recording) -> CellOutputs:
        pixels = images.contiguous(memory_format=torch.channels_last).movedim(1, -1)[None]
        stem = self.draw.conv_bn("stem", 3, self.skeleton.channels, 3)
        x = self._conv_bn(Values(pixels, (0,) * len(cells)), stem, Part((-1, 0), "stem.0", "stem.1"), watch)
        watch.blocks.append(x)
        features = []
        for number, block in enumerate(self.skeleton.blocks()):
            if block.is_reduction:
                features.append(x)
                x = self._reduction(block, number, x, watch)
            else:
                x = self._cell_block(block, number, cells, sees, x, watch)
            if watch.apart and not x.table.requires_grad:  # zeros that nothing reached are the next block's input too
                x.table.requires_grad_()
            watch.blocks.append(x)
        last = len(watch.blocks)
        bn = self.draw.bn("lastact", self.skeleton.width)
        run = LayerRun((Part((last, 0), "", "lastact.0"),), x.of, x.table, x.table)
        x = Values(self._norm(run, bn.weight.detach(), bn.bias.detach(), bn.eps, watch), x.of)
        self._read(x, watch, (last,))
        x = Values(torch.relu(x.table), x.of)
        features.append(x)
        pooled = self._each(x.table, lambda table: table.mean((-3, -2)))
        classifier = self.draw.linear("classifier", self.skeleton.width, self.skeleton.classes)
        weight, bias = classifier.weight.detach(), classifier.bias.detach()
        logits = self._each(pooled, lambda table: F.linear(table, weight, bias))
        if watch.apart:
            watch.runs.append(LayerRun((Part((last, 1), "classifier", ""),), x.of, pooled, logits))
        return CellOutputs(_rows(logits, x.of), _rows(pooled, x.of), tuple(features))

    def _read(self, x: Values, watch: Recording, place: tuple[int, ...]) -> None:
        """Tell of a ReLU that every cell has."""
        if watch.relu:
            watch.relu(Relu(x.table, tuple((number, value, 1, place) for number, value in enumerate(x.of))))

    def _cell_block(
        self, block: Block, number: int, cells: tuple[Cell, ...], sees: str, x: Values, watch: Recording
    ) -> Values:
        plan = _plan(cells, x.of, sees, watch.apart)
        tables: list[torch.Tensor | None] = [x.table, None, None, None]
        owned = [False] * 4
        for source in (0, 1, 2):
            value = tables[source]
            rectified = sorted({row for _, row, _, _ in plan.relus[source]})
            if rectified and value is None:  # nothing has reached the node, and still it is convolved
                value = tables[source] = x.table.new_zeros(plan.counts[source], *x.table.shape[1:])
            if rectified and watch.relu:
                assert value is not None
                row_of = {row: at for at, row in enumerate(rectified)}
                readers = tuple(
                    (cell, row_of[row], uses, (number, *place)) for cell, row, uses, place in plan.relus[source]
                )
                watch.relu(Relu(_rows(value, rectified), readers))
            rectified_value: torch.Tensor | None = None
            for step in plan.steps[source]:
                assert value is not None
                if step.operation in KERNEL:
                    if rectified_value is None:
                        rectified_value = torch.relu(value)
                    parts = self._convolutions(block, number, step, rectified_value, watch)
                elif step.operation == POOL:
                    parts = [_values(average(_images(_rows(value, step.read))), len(step.read))] * len(step.adds)
                else:
                    parts = [_rows(value, step.read)] * len(step.adds)
                for (edge, rows, places), part in zip(step.adds, parts, strict=True):
                    target = edge.target
                    total = tables[target]
                    if total is None and not watch.apart and len(places) == plan.counts[target]:
                        # the first to be added reaches all values: no need of zeros. What others read is not written to
                        order = [row for _, row in sorted(zip(places, rows, strict=True))]
                        total = _rows(part, order).contiguous()
                        owned[target] = step.operation in KERNEL or total is not part
                        tables[target] = total
                        continue
                    if total is None:
                        total = x.table.new_zeros(plan.counts[target], *x.table.shape[1:])
                    elif not owned[target]:
                        total = total.clone()
                    owned[target] = True
                    tables[target] = _added(total, places, part, rows)
        output = tables[3]
        if output is None:
            output = x.table.new_zeros(plan.counts[3], *x.table.shape[1:])
        return Values(output, plan.of[3])

    def _convolutions(
        self, block: Block, number: int, step: _Step, rectified: torch.Tensor, watch: Recording
    ) -> list[torch.Tensor]:
        """What the convolutions of a step put out, behind their batch norms: one for each edge."""
        positions = tuple(edge.position for edge, _, _ in step.adds)
        weight, scale, shift = self._stack(block, step.operation, positions)
        names = [(position, f"{block.name}.layers.{position}.op") for position in positions]
        parts = tuple(Part((number, position), f"{name}.1", f"{name}.2") for position, name in names)
        read = _rows(rectified, step.read)
        eps = self._pair(block, positions[0], step.operation).bn.eps
        # apart, the value of a cell is the one of its number
        run = LayerRun(parts, step.read, read, self._convolve(read, weight, 1, watch), KERNEL[step.operation])
        return list(self._norm(run, scale, shift, eps, watch).chunk(len(parts), -1))

    def _pair(self, block: Block, position: int, operation: int) -> ConvBn:
        name = f"{block.name}/{position}/{OPERATIONS[operation]}"
        return self.draw.conv_bn(name, block.channels_in, block.channels_out, KERNEL[operation])

    def _stack(self, block: Block, operation: int, positions: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
        """Kernels [m C, C, k, k], weights and biases of the batch norms [m C] of m convolutions side by side."""
        key = (block.name, operation, positions)
        if key not in self._stacks:
            pairs = [self._pair(block, position, operation) for position in positions]
            kernels = torch.cat([pair.conv.weight.detach() for pair in pairs])
            self._stacks[key] = (
                kernels.contiguous(memory_format=torch.channels_last),
                torch.cat([pair.bn.weight.detach() for pair in pairs]),
                torch.cat([pair.bn.bias.detach() for pair in pairs]),
            )
        return self._stacks[key]

    def _reduction(self, block: Block, number: int, x: Values, watch: Recording) -> Values:
        i, o, name = block.channels_in, block.channels_out, block.name
        self._read(x, watch, (number, 0))
        a = self.draw.conv_bn(f"{name}/conv_a", i, o, 3, stride=2)
        part = Part((number, 0), f"{name}.conv_a.op.1", f"{name}.conv_a.op.2")
        y = self._conv_bn(Values(torch.relu(x.table), x.of), a, part, watch)
        self._read(y, watch, (number, 1))
        b = self.draw.conv_bn(f"{name}/conv_b", o, o, 3)
        part = Part((number, 1), f"{name}.conv_b.op.1", f"{name}.conv_b.op.2")
        y = self._conv_bn(Values(torch.relu(y.table), y.of), b, part, watch)
        halved = _values(F.avg_pool2d(_images(x.table), 2, stride=2), len(x.table))
        down = self.draw.conv(f"{name}/downsample", i, o, 1)
        short = self._convolve(halved, down.weight.detach(), 1, watch)
        if watch.apart:
            watch.runs.append(LayerRun((Part((number, 2), f"{name}.downsample.1", ""),), x.of, halved, short, 1))
        return Values(short + y.table, x.of)

    def _conv_bn(self, x: Values, pair: ConvBn, part: Part, watch: Recording) -> Values:
        """A convolution and batch norm that every cell has."""
        (stride, _), bn = pair.conv.stride, pair.bn
        output, of = self._convolve(x.table, pair.conv.weight.detach(), stride, watch), x.of
        if watch.apart and len(output) < len(of):  # the stem: from here on each cell has its own value
            of = tuple(range(len(of)))
            output = output.detach().expand(len(of), *output.shape[1:]).contiguous().requires_grad_()
        run = LayerRun((part,), of, x.table, output, pair.conv.kernel_size[0], stride)
        return Values(self._norm(run, bn.weight.detach(), bn.bias.detach(), bn.eps, watch), of)

    def _convolve(self, read: torch.Tensor, weight: torch.Tensor, stride: int, watch: Recording) -> torch.Tensor:
        """[V, B, H, W, C_in] to [V, B, H', W', C]; apart, a node of the graph that can be differentiated in."""
        output = F.conv2d(_images(read), weight, stride=stride, padding=weight.shape[-1] // 2)
        values = _values(output, len(read))
        return values.detach().requires_grad_() if watch.apart and not values.requires_grad else values

    def _norm(
        self, run: LayerRun, scale: torch.Tensor, shift: torch.Tensor, eps: float, watch: Recording
    ) -> torch.Tensor:
        """(x - mean) / sqrt(variance + eps) * scale + shift of the output, over the batch of each value and channel."""
        x = run.output
        scale, shift = scale.expand(len(x), -1), shift.expand(len(x), -1)
        if watch.apart:  # a copy for each value, so that each has a derivative
            scale, shift = scale.clone().requires_grad_(), shift.clone().requires_grad_()
            watch.runs.append(run._replace(scale=scale, shift=shift))
        if self.at_once:
            flat = x.flatten(1, 3)
            variance, mean = torch.var_mean(flat, 1, correction=0)
            factor = (variance + eps).rsqrt() * scale
            return torch.addcmul((shift - mean * factor)[:, None], flat, factor[:, None]).view_as(x)
        each = [
            F.batch_norm(value.movedim(-1, 1), None, None, weight, bias, True, 0.0, eps).movedim(1, -1)
            for value, weight, bias in zip(x, scale, shift, strict=True)
        ]
        return each[0][None] if len(each) == 1 else torch.stack(each)

    def _each(self, table: torch.Tensor, compute: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """What is computed of each value."""
        return compute(table) if self.at_once else torch.stack([compute(value) for value in table])


def _images(values: torch.Tensor) -> torch.Tensor:
    """[V, B, H, W, C] as [V B, C, H, W], channels last."""
    return values.flatten(0, 1).movedim(-1, 1)


def _values(images: torch.Tensor, count: int) -> torch.Tensor:
    """[V B, C, H, W], channels last, as [V, B, H, W, C]."""
    return images.movedim(1, -1).unflatten(0, (count, -1))


def _rows(values: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
    """These rows, without a copy where they are all rows in order."""
    return values if list(rows) == list(range(len(values))) else values[list(rows)]


def _added(total: torch.Tensor, places: Sequence[int], part: torch.Tensor, rows: Iterable[int]) -> torch.Tensor:
    """`total` with rows of `part` added at `places`, in place."""
    part = _rows(part, list(rows))
    if list(places) == list(range(len(total))):
        return total.add_(part)
    index = torch.tensor(places, device=total.device)
    return total.index_add_(0, index, part)
