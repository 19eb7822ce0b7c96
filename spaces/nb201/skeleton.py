"""The macro network around a cell, and the closed-form counts of its parameters, multiply-adds and layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from spaces.nb201.cell import CONV3, EDGES, KERNEL, Cell
from spaces.space import Skeleton


class Block(NamedTuple):
    """One block of the skeleton: a cell, or the residual block that halves the map and doubles the channels."""

    name: str
    is_reduction: bool
    channels_in: int
    channels_out: int
    size: int
    """Side of the square output map in pixels."""


@dataclass(frozen=True)
class CellSkeleton(Skeleton):
    """Stem of `channels`, then three stages of `cells_per_stage` cells with a reduction between stages, then the head.

    NAS-Bench-201 uses 16 channels and 5 cells a stage on 32-pixel images. `size` is the side of the input in pixels.
    """

    channels: int
    cells_per_stage: int
    classes: int
    size: int

    def blocks(self) -> Iterator[Block]:
        """The blocks after the stem, named as in the state dict: `cells.0`, `cells.1`, ..."""
        number, channels, size = 0, self.channels, self.size
        for stage in range(3):
            if stage:
                channels, size = 2 * channels, (size + 1) // 2
                yield Block(f"cells.{number}", True, channels // 2, channels, size)
                number += 1
            for _ in range(self.cells_per_stage):
                yield Block(f"cells.{number}", False, channels, channels, size)
                number += 1

    @property
    def described(self) -> str:
        cells = f"{self.cells_per_stage} cell{'' if self.cells_per_stage == 1 else 's'}"
        return f"{self.channels} channels and {cells} a stage"

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def small(self) -> CellSkeleton:
        """One cell a stage."""
        return replace(self, channels=3, cells_per_stage=1)

    def thin(self) -> CellSkeleton:
        """One cell a stage."""
        return replace(self, channels=1, cells_per_stage=1, size=3)

    def count_parameters(self, architecture: Cell) -> int:
        return count_parameters(architecture, self)

    def count_multiply_adds(self, architecture: Cell) -> int:
        return count_multiply_adds(architecture, self)

    def count_layers(self, architecture: Cell) -> int:
        return count_layers(architecture, self)

    def most_parameters(self) -> int:
        return count_parameters(Cell((CONV3,) * len(EDGES)), self)


def count_parameters(cell: Cell, skeleton: CellSkeleton) -> int:
    """Trainable parameters: convolution, batch-norm and classifier weights of every operation the cell names."""
    C = skeleton.channels
    total = 3 * 9 * C + 2 * C  # stem
    for block in skeleton.blocks():
        i, o = block.channels_in, block.channels_out
        if block.is_reduction:
            total += 9 * i * o + 2 * o + 9 * o * o + 2 * o + i * o
        else:
            kernels = [KERNEL[op] for op in cell.operations if op in KERNEL]
            total += sum(k * k * i * o + 2 * o for k in kernels)
    return total + 2 * skeleton.width + (skeleton.width + 1) * skeleton.classes


def count_multiply_adds(cell: Cell, skeleton: CellSkeleton) -> int:
    """Multiply-adds of all convolutions and the classifier for one image; pooling, batch norm and sums not counted."""
    C, size = skeleton.channels, skeleton.size
    total = 3 * 9 * C * size * size
    for block in skeleton.blocks():
        i, o, pixels = block.channels_in, block.channels_out, block.size**2
        if block.is_reduction:
            total += (9 * i * o + 9 * o * o + i * o) * pixels
        else:
            total += sum(KERNEL[op] ** 2 * i * o * pixels for op in cell.operations if op in KERNEL)
    return total + skeleton.width * skeleton.classes


def count_layers(cell: Cell, skeleton: CellSkeleton) -> int:
    """Convolutions and the classifier, side by side or in a row, those of every operation the cell names."""
    convolutions = sum(op in KERNEL for op in cell.operations)
    return 2 + sum(3 if block.is_reduction else convolutions for block in skeleton.blocks())  # 2: stem and classifier
