"""The contract: a proxy is a rule that turns what was observed of a student (and the teacher) into one number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from common.errors import unknown
from common.named import label
from spaces.skeleton import INITS

if TYPE_CHECKING:
    import pandas as pd

    from proxies.probe import Probe

BACKWARD = ("gradients", "gate_gradients", "input_gradients", "hessian_gradient", "block_gradients")
"""The needs that take the autograd graph of the forward pass: the loss's gradients in the parameters and in gates on
the layers' channels (one backward pass for both), the logits' in the images, the loss's Hessian times its gradient,
random signs sent back through each block by itself."""

READS_BATCH = ("forward", "relu_codes", "relu_kernel", "blocks", *BACKWARD)
"""The needs that take the batch: one forward pass, the ReLUs' binary codes in it or only how many of them agree, the
maps between its blocks."""

VIEWS = {
    "second": "the same network on a second batch of the benchmark's images",
    "noise": "the same network on as many N(0, 1) images with random labels",
    "large": "the same network on one N(0, 1) image of 64 x 64 pixels",
    "small": "the cell in a network of 3 channels and one cell a stage, on the batch",
    "thin": "the cell in a network of 1 channel and one cell a stage, on 3,000 N(0, 1) images of 3 x 3 pixels",
}
"""Further probes of a cell, read as `student.noise` and asked for as `noise.forward` (proxies/views.py)."""

_RECORDS = (*READS_BATCH, "weights")
NEEDS = (*_RECORDS, "teacher", *(f"{view}.{record}" for view in VIEWS for record in _RECORDS))
"""What a proxy can ask for: the above, the network's weights (read without the batch), all these of a further view,
and the same records of the teacher."""


def needs_of(view: str, needs: Iterable[str]) -> tuple[str, ...]:
    """What `needs` ask of a view, without its name in front."""
    return tuple(need.removeprefix(f"{view}.") for need in needs if need.startswith(f"{view}."))


def reads_images(needs: Iterable[str]) -> bool:
    """Whether images of the data set are read."""
    needs = tuple(needs)
    asked = (*needs, *needs_of("second", needs), *needs_of("small", needs))
    return any(need in READS_BATCH for need in asked)


class NotApplicable(Exception):
    """Raised by `score` where the proxy has no meaning for this network; the reason is stored with the row."""


@dataclass(frozen=True)
class Reference:
    """Where a proxy comes from, and the correlation its paper reports (with the setting it was reported for)."""

    title: str
    year: int
    arxiv: str
    bibtex: str
    reported: str = ""


@dataclass(frozen=True)
class Named(ABC):
    """What the command line names: `name`, with the fields that are not at their defaults."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it when the numbers change: stored scores of another version are never mixed in."""
    family: ClassVar[str]
    reference: ClassVar[Reference]

    @property
    def label(self) -> str:
        """Name and the fields that are not at their defaults, as on the command line: `diswot:variant=paper`."""
        return label(self.name, self)


@dataclass(frozen=True)
class Proxy(Named):
    """Subclass, decorate with `@dataclass(frozen=True)`, set the class attributes, write `score`.

    Fields are hyper-parameters; every field, and `version`, is part of a score's identity. `init` is the
    initialisation the networks are built with (`default | kaiming | gaussian`, spaces/supernet.py). `sees` says what
    the score can depend on, so that equal cells are scored once: the live `function`, what the `relus` in front of all
    convolutions read, dead ones too, every `executed` operation, all `parameters`, or the `cell` itself
    (spaces/equivalence.py).
    """

    needs: ClassVar[tuple[str, ...]]
    sees: ClassVar[str] = "function"

    init: str = "default"

    def __post_init__(self) -> None:
        if self.init not in INITS:
            raise unknown("initialisation", self.init, INITS)

    @abstractmethod
    def score(self, student: Probe, teacher: Probe) -> float:
        """The score of the student; larger is better.

        It reads the probes and computes. It never seeds, builds, loads, moves devices, logs, or hides a NaN.
        May raise NotApplicable(reason).
        """


@dataclass(frozen=True)
class Population(Named):
    """A rule that makes a cell's score of the scores of others: subclass as a proxy is, name `parts`, write `combine`.

    Such a score depends on the cells that are ranked together, so nothing of it is stored: `bench run` scores the
    parts, and `analysis` combines their columns over the cell set it is asked about.
    """

    family: ClassVar[str] = "population"

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """The proxies whose columns are combined, as the command line names them."""

    @abstractmethod
    def combine(self, columns: pd.DataFrame) -> pd.Series:
        """The score of every row; columns are the parts, in their order, rows the cells ranked, without gaps."""
