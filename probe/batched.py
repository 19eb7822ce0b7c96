"""Probes of several cells that are observed in one run (spaces/nb201/batched.py); a proxy meets one cell's probe.

What is differentiated is differentiated for all cells at once, behind each convolution; a weight's derivative is then
made for each cell from what its convolution read. The Hessian alone is taken one cell at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from images.base import Batch
from probe.needs import BACKWARD, needs_of
from probe.network import Probe
from probe.observed import BlockGradient, Observed, block_signs
from probe.relus import ReluCode, agreements
from probe.views import View
from spaces.nb201.cell import Cell
from spaces.nb201.recording import CellOutputs, LayerRun, Recording, Relu
from spaces.output import Output
from spaces.space import Skeleton

_SHARED = tuple(need for need in BACKWARD if need != "hessian_gradient")


class _Relus:
    """What is asked of the ReLUs: their codes, or how many ones two images share, or both."""

    def __init__(self, count: int, codes_wanted: bool, kernel_wanted: bool) -> None:
        self.codes_wanted = codes_wanted
        self.kernel_wanted = kernel_wanted
        self._codes: list[list[tuple[tuple[int, ...], ReluCode]]] = [[] for _ in range(count)]
        self._ones: torch.Tensor | None = None
        self._units = [0] * count
        self._block = 0

    def __call__(self, relu: Relu) -> None:
        on = relu.values.detach() > 0
        on = on.flatten(2)
        for cell, row, uses, place in relu.readers:
            if self.codes_wanted:
                self._codes[cell].append((place, ReluCode(on[row], uses)))
            self._units[cell] += uses * on.shape[2]
        if self.kernel_wanted:
            ones = on.to(torch.float32)
            shared = (ones @ ones.mT).double()  # counts of one ReLU stay below 2^24: exact in float32
            if self._ones is None:
                self._ones = shared.new_zeros(len(self._units), *shared.shape[1:])
            for cell, row, uses, _ in relu.readers:
                self._ones[cell] += uses * shared[row]

    def codes(self, cell: int) -> list[ReluCode]:
        """In the order in which a network of the cell alone would run them."""
        return [code for _, code in sorted(self._codes[cell], key=lambda entry: entry[0])]

    def kernel(self, cell: int) -> torch.Tensor:
        assert self._ones is not None
        return agreements(self._ones[cell], self._units[cell])


class _CellRelus:
    """Those of one cell."""

    def __init__(self, relus: _Relus, cell: int) -> None:
        self._relus = relus
        self._cell = cell

    @property
    def codes(self) -> list[ReluCode]:
        return self._relus.codes(self._cell)

    def kernel(self) -> torch.Tensor:
        return self._relus.kernel(self._cell)


class Group:
    """Cells of one draw on one batch: run together when the first of their probes is read."""

    def __init__(
        self,
        cells: Sequence[Cell],
        skeleton: Skeleton,
        engine: Callable[[Skeleton], Any],
        sees: str,
        batch: Callable[[], Batch],
        needs: Iterable[str],
        views: Mapping[str, View],
    ) -> None:
        """`engine` runs cells on a skeleton; `views` are those of any of the cells: their batches and skeletons."""
        self.cells = cells
        self.needs = frozenset(needs)
        self._skeleton = skeleton
        self._engine = engine
        self._sees = sees
        self._load = batch
        self._of_views = views
        self._views: dict[str, Group] = {}

    def view(self, name: str) -> Group:
        """The same cells in one of their views."""
        if name not in self._views:
            view = self._of_views[name]
            skeleton, batch = view.skeleton or self._skeleton, view.batch or self._load
            needs = needs_of(name, self.needs)
            self._views[name] = Group(self.cells, skeleton, self._engine, self._sees, batch, needs, {})
        return self._views[name]

    @cached_property
    def _batch(self) -> Batch:
        return self._load()

    @property
    def was_run(self) -> bool:
        """Whether a probe has been read, here or in a view, so that a failure may be that of the whole group."""
        return "_run" in self.__dict__ or bool(self._views) or "_batch" in self.__dict__

    @cached_property
    def _run(self) -> tuple[CellOutputs, Recording, _Relus]:
        relus = _Relus(len(self.cells), "relu_codes" in self.needs, "relu_kernel" in self.needs)
        watch = Recording(relus if relus.codes_wanted or relus.kernel_wanted else None, self._differentiated)
        seen = self._engine(self._skeleton).run(self.cells, self._sees, self._batch.images, watch)
        if self.needs.isdisjoint(("blocks", "block_gradients")):
            watch.blocks.clear()
        return seen, watch, relus

    @property
    def _differentiated(self) -> bool:
        return not self.needs.isdisjoint(_SHARED)

    def observed(self, cell: int) -> Observed:
        """What the run showed of a cell, by its number in the group."""
        seen, watch, relus = self._run
        features = tuple(stage.maps()[cell].detach() for stage in seen.features)
        output = Output(seen.logits[cell].detach(), seen.pooled[cell].detach(), features)
        layers = self._of_layers(cell, [run.output for run in watch.runs]) if "gate_gradients" in self.needs else []
        return Observed(output, _CellRelus(relus, cell), layers, [block.maps()[cell] for block in watch.blocks])

    def _derivatives(
        self, values: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor], along: Sequence[torch.Tensor] | None
    ) -> tuple[torch.Tensor, ...]:
        keep = len(self.needs.intersection(_SHARED)) > 1
        return torch.autograd.grad(values, inputs, along, retain_graph=keep, materialize_grads=True)

    @cached_property
    def _loss_derivatives(self) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """d (sum of the cells' losses) / d outputs, scales and shifts of all runs: no cell's loss reads another's."""
        seen, watch, _ = self._run
        norms = [run for run in watch.runs if run.scale is not None] if "gradients" in self.needs else []
        outputs = [run.output for run in watch.runs]
        scales = [run.scale for run in norms if run.scale is not None]
        shifts = [run.shift for run in norms if run.shift is not None]
        labels = self._batch.labels
        with torch.enable_grad():
            losses = F.cross_entropy(seen.logits.flatten(0, 1), labels.repeat(len(self.cells)), reduction="sum")
            found = self._derivatives([losses / len(labels)], [*outputs, *scales, *shifts], None)
        first, second = len(outputs), len(outputs) + len(scales)
        return list(found[:first]), list(found[first:second]), list(found[second:])

    def _layers(self, cell: int) -> list[tuple[LayerRun, int, int, int]]:
        """(run, number of the run, row, part) of everything that a cell has with weights, in the network's order."""
        _, watch, _ = self._run
        found = [
            (run, number, run.cells.index(cell), part)
            for number, run in enumerate(watch.runs)
            if cell in run.cells
            for part in range(len(run.parts))
        ]
        return sorted(found, key=lambda layer: layer[0].parts[layer[3]].place)

    def _of_layers(self, cell: int, values: Sequence[torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
        """What stands at the place of each convolution's and the classifier's output, with its weight's name."""
        return [
            (f"{run.parts[part].layer}.weight", values[number][row].chunk(len(run.parts), -1)[part].movedim(-1, 1))
            for run, number, row, part in self._layers(cell)
            if run.parts[part].layer
        ]

    def loss_derivatives(self, cell: int) -> tuple[dict[str, torch.Tensor], Sequence[torch.Tensor]]:
        """d loss / d parameters and d loss / d outputs of convolutions and the classifier, as far as needed."""
        outputs, scales, shifts = self._loss_derivatives
        of_outputs = self._of_layers(cell, outputs) if "gate_gradients" in self.needs else []
        parameters: dict[str, torch.Tensor] = {}
        if "gradients" in self.needs:
            _, watch, _ = self._run
            normed = [number for number, run in enumerate(watch.runs) if run.scale is not None]
            norm_of = {number: place for place, number in enumerate(normed)}
            weights: dict[int, torch.Tensor] = {}
            for run, number, row, part in self._layers(cell):
                _, layer, norm = run.parts[part]
                if layer:
                    if number not in weights:
                        weights[number] = _weight_gradient(run, row, outputs[number][row])
                    parameters[f"{layer}.weight"] = weights[number].chunk(len(run.parts))[part]
                if layer == "classifier":
                    parameters["classifier.bias"] = outputs[number][row].sum(0)
                if norm:
                    place = norm_of[number]
                    parameters[f"{norm}.weight"] = scales[place][row].chunk(len(run.parts))[part]
                    parameters[f"{norm}.bias"] = shifts[place][row].chunk(len(run.parts))[part]
        return parameters, [gradient for _, gradient in of_outputs]

    @cached_property
    def input_gradients(self) -> torch.Tensor:
        """d (sum of a cell's logits) / d images, [K, B, C H W]."""
        seen, watch, _ = self._run
        stem = watch.runs[0]
        (gradient,) = self._derivatives([seen.logits], [stem.output], [torch.ones_like(seen.logits)])
        weight = self._engine(self._skeleton).draw.conv("stem", 3, self._skeleton.channels, 3).weight.detach()
        images = self._batch.images
        size = torch.Size((len(self.cells) * len(images), *images.shape[1:]))
        found = conv2d_input(size, weight, gradient.flatten(0, 1).movedim(-1, 1), padding=weight.shape[-1] // 2)
        return found.unflatten(0, (len(self.cells), -1)).flatten(2)

    @cached_property
    def _block_gradients(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        _, watch, _ = self._run
        maps, found = watch.blocks, []
        for number in range(1, len(maps)):
            table = maps[number].table
            signs = block_signs(self._batch.hash, number, table[0].movedim(-1, 1))
            along = signs.movedim(1, -1).expand_as(table)
            (gradient,) = self._derivatives([table], [maps[number - 1].table], [along])
            found.append((signs, gradient))
        return found

    def block_gradients(self, cell: int) -> list[BlockGradient]:
        """As the probe's."""
        return [BlockGradient(signs, gradient[cell].movedim(-1, 1)) for signs, gradient in self._block_gradients]


def _weight_gradient(run: LayerRun, row: int, gradient: torch.Tensor) -> torch.Tensor:
    """d loss / d weights of all parts of a row, from what they read and the derivative in what they put out."""
    read = run.read[row if len(run.read) == len(run.output) else 0].detach()
    if gradient.ndim == 2:
        return gradient.T @ read
    shape = torch.Size((gradient.shape[-1], read.shape[-1], run.kernel, run.kernel))
    return conv2d_weight(read.movedim(-1, 1), shape, gradient.movedim(-1, 1), run.stride, run.kernel // 2)


class GroupProbe(Probe):
    """The probe of one cell of a group. Its network is built if a proxy asks for it, and then by itself."""

    def __init__(self, group: Group, number: int, alone: Probe) -> None:
        """`alone` is the probe of the cell by itself, of which nothing has been read: it has the way to its network."""
        super().__init__(alone.cell, alone.skeleton, alone.build, alone.load, alone.needs, alone.views)
        self._group = group
        self._number = number

    def _view(self, name: str) -> Probe:
        self._needs_of(name)
        view = self.views[name]
        skeleton, build, batch = view.skeleton or self.skeleton, view.build or self.build, view.batch or self.load
        group = self._group.view(name)
        return GroupProbe(group, self._number, Probe(self.cell, skeleton, build, batch, group.needs))

    @cached_property
    def _pass(self) -> Observed:
        return self._group.observed(self._number)

    @cached_property
    def _loss_derivatives(self) -> tuple[dict[str, torch.Tensor], Sequence[torch.Tensor]]:
        return self._group.loss_derivatives(self._number)

    @property
    def _input_gradients(self) -> torch.Tensor:
        return self._group.input_gradients[self._number]

    @cached_property
    def _block_gradients(self) -> list[BlockGradient]:
        return self._group.block_gradients(self._number)

    @cached_property
    def _hessian_gradient(self) -> dict[str, torch.Tensor]:
        alone = Probe(self.cell, self.skeleton, self.build, self.load, ("hessian_gradient",))
        return alone.hessian_gradient
