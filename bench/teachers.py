"""The fixed networks that students are compared with: what a teacher is to a run, and each kind of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from common.errors import BadInput, BadUsage
from spaces.nb201.cell import Cell
from spaces.nb201.skeleton import CellSkeleton
from spaces.resnet.names import RESNETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from spaces.draw import Draw
    from spaces.space import Build, Skeleton

_NO_CELL = Cell(())
"""The cell of a teacher that is no cell: reading its operations or its name raises an error, so that no proxy mistakes
it for a cell of the space."""

Kind = TypeVar("Kind", bound="Teacher")


@dataclass(frozen=True)
class Teacher(ABC):
    """A fixed network beside the students. Subclasses say what it is; `name` is what people call it."""

    name: str = field(default="default", compare=False, kw_only=True)
    """`default` for a benchmark's own. Equal teachers may have two names."""

    drawn = True
    """Whether its weights come from the seed and the initialisation of a pass."""
    of_space = True
    """Whether it answers with stages and pooled features, as networks of a space do."""
    scales = False
    """Whether it has a small and a thin form, as students have."""
    blind = False
    """Whether it is shown N(0, 1) images and random labels in place of the batch."""

    @property
    def architecture(self) -> Cell:
        """The cell that it is."""
        return _NO_CELL

    @property
    def option(self) -> str:
        """What --teacher takes for it."""
        return self.name

    def record(self) -> dict[str, Any]:
        """All that can change a score, as its identity holds it."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "name"}

    def called(self: Kind, name: str) -> Kind:
        """The same teacher under another name."""
        return replace(self, name=name)

    def skeleton_for(self, students: Skeleton) -> Skeleton:
        """The skeleton of its network, beside students on theirs."""
        return students

    def with_cell(self, cell: str) -> Teacher:
        """This teacher of another cell. Raises BadUsage where it is no cell."""
        raise BadUsage(f"a ResNet as teacher: {', '.join(RESNETS)}")

    def function(self) -> Callable[[], nn.Module] | None:
        """The user's function that makes it; None where it is none of the user's."""
        return None

    @abstractmethod
    def network(self, skeleton: Skeleton, draw: Draw, sees: str, build: Build) -> nn.Module:
        """Its nn.Module on the device of `draw`, the draw of a teacher; `build` makes the networks of the space."""


@dataclass(frozen=True)
class CellTeacher(Teacher):
    """A randomly initialised NAS-Bench-201 network; a benchmark's own is one as wide as the students.

    As wide, because DisWOT's semantic term compares channels (docs/decisions/teachers.md).
    """

    cell: str
    skeleton: CellSkeleton

    scales = True

    @property
    def architecture(self) -> Cell:
        """The cell that it is."""
        return Cell.parse(self.cell)

    def record(self) -> dict[str, Any]:
        """The cell's text, and the sizes of its network."""
        return {"cell": self.cell, "skeleton": self.skeleton.record()}

    def skeleton_for(self, students: Skeleton) -> Skeleton:
        """Its own."""
        return self.skeleton

    def with_cell(self, cell: str) -> CellTeacher:
        """Another cell on the same skeleton."""
        return replace(self, cell=cell)

    def network(self, skeleton: Skeleton, draw: Draw, sees: str, build: Build) -> nn.Module:
        """A network of the space."""
        return build(self.architecture, skeleton, draw, sees)


@dataclass(frozen=True)
class ResNetTeacher(Teacher):
    """A randomly initialised CIFAR ResNet: stem of `stem` channels, three stages of `widths` (spaces/resnet/)."""

    depth: int
    stem: int
    widths: tuple[int, int, int]
    classes: int

    def record(self) -> dict[str, Any]:
        """Its sizes."""
        return {"kind": "resnet", **super().record(), "widths": list(self.widths)}

    def network(self, skeleton: Skeleton, draw: Draw, sees: str, build: Build) -> nn.Module:
        """A ResNet of the draw."""
        from spaces.resnet.network import ResNet, resnet_shape

        return ResNet(replace(resnet_shape(self.depth, self.classes), stem=self.stem, widths=self.widths), draw)


@dataclass(frozen=True)
class OwnTeacher(Teacher):
    """A teacher of one's own: what the function of `FILE.py:FUNCTION` returns, in the mode that it is returned in."""

    place: str
    hash: str
    """Content hash of its weights, modules and their modes."""

    drawn = False
    of_space = False

    @staticmethod
    def at(place: str) -> OwnTeacher:
        """The teacher that the function of a place returns. Raises BadInput as `own_hash`."""
        from distill.teachers import own_hash

        return OwnTeacher(place, own_hash(place))

    @property
    def option(self) -> str:
        return self.place

    def record(self) -> dict[str, Any]:
        """The function's name and the hash; the folder of the file changes nothing."""
        from distill.recipe_name import short_name

        return {"kind": "own", "name": short_name(self.place), "hash": self.hash}

    def function(self) -> Callable[[], nn.Module]:
        """The function."""
        from distill.networks import own_function

        return own_function(self.place)

    def network(self, skeleton: Skeleton, draw: Draw, sees: str, build: Build) -> nn.Module:
        """The network that the function returns."""
        from distill.networks import own_network
        from distill.teachers import network_hash

        network = own_network(self.place)
        if network_hash(network) != self.hash:
            raise BadInput(f"the teacher '{self.place}' was changed while it was in use: start again")
        return network.to(draw.device)


@dataclass(frozen=True)
class TrainedTeacher(Teacher):
    """The trained network of a teacher in distill/weights, in evaluation mode, as labels are distilled from it."""

    weights: str
    """What its files are named."""
    hash: str
    """Content hash of its weights."""

    drawn = False

    def record(self) -> dict[str, Any]:
        """Its files' name and its weights' hash."""
        return {"kind": "trained", "name": self.weights, "hash": self.hash}

    def network(self, skeleton: Skeleton, draw: Draw, sees: str, build: Build) -> nn.Module:
        """The network with the weights of the files, which can be differentiated in them."""
        from distill.teachers import load_teacher

        found = load_teacher(self.weights)
        if found.hash != self.hash:
            raise BadInput(f"the teacher '{self.weights}' was trained anew while it was in use: start again")
        return found.network.requires_grad_(True).to(draw.device)


@dataclass(frozen=True)
class BlindTeacher(Teacher):
    """Another teacher that is shown N(0, 1) images and random labels in place of the batch.

    Its answers have the statistics of a network's and say nothing of the batch: a score that ranks as well before it
    has nothing from its teacher.
    """

    seeing: Teacher

    blind = True

    def __post_init__(self) -> None:
        for fact in ("drawn", "of_space", "scales"):  # those of the teacher that it is
            object.__setattr__(self, fact, getattr(self.seeing, fact))

    @property
    def architecture(self) -> Cell:
        """That of the teacher that it is."""
        return self.seeing.architecture

    def record(self) -> dict[str, Any]:
        """The teacher that it is."""
        return {"kind": "noise", "of": self.seeing.record()}

    def skeleton_for(self, students: Skeleton) -> Skeleton:
        """That of the teacher that it is."""
        return self.seeing.skeleton_for(students)

    def network(self, skeleton: Skeleton, draw: Draw, sees: str, build: Build) -> nn.Module:
        """That of the teacher that it is."""
        return self.seeing.network(skeleton, draw, sees, build)
