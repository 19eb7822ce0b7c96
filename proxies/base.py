"""The contract: a proxy is a rule that turns what was observed of a student (and the teacher) into one number."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

from common.errors import unknown
from common.shipped import MARK, home
from common.spec import label
from probe.needs import NotApplicable as NotApplicable
from spaces.inits import INITS

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from probe.network import Probe


@dataclass(frozen=True)
class Reference:
    """Where a proxy comes from, and the correlation its paper reports (with the setting it was reported for).

    `bibtex` is the key of an entry in docs/references.bib, or an entry itself.
    """

    title: str
    year: int
    arxiv: str
    bibtex: str
    reported: str = ""

    @property
    def entry(self) -> str:
        """The BibTeX entry; empty where there is none, or where the file of the keys is not installed."""
        return self.bibtex if self.bibtex.startswith("@") else _entries().get(self.bibtex, "")

    def record(self) -> dict[str, Any]:
        """All fields, `bibtex` as the whole entry."""
        return asdict(self) | {"bibtex": self.entry}


@cache
def _entries() -> dict[str, str]:
    """The entries of the bibliography by key."""
    if (folder := home()) is None:
        return {}
    text = (folder / MARK).read_text(encoding="utf-8")
    return {found[1]: found[0].strip() for found in re.finditer(r"^@\w+\{([^,]+),.*?^\}", text, re.M | re.S)}


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

    Fields are hyper-parameters; every field, and `version`, is part of a score's identity (`identity`). `init` is the
    initialisation the networks are built with (`default | kaiming | gaussian`, spaces/draw.py). `sees` says what
    the score can depend on, so that equal cells are scored once: the live `function`, what the `relus` in front of all
    convolutions read, dead ones too, every `executed` operation, all `parameters`, or the `cell` itself
    (spaces/nb201/equivalence.py).
    """

    needs: ClassVar[tuple[str, ...]]
    sees: ClassVar[str] = "function"
    least: ClassVar[int] = 1
    """As many images it takes to say something of a network: two, if it compares images with each other. A field
    `images` that is smaller than the batch counts in its place."""
    least_of_class: ClassVar[int] = 1
    """As many of them have to be of one class, whichever: two, if it compares images within classes."""
    later: ClassVar[tuple[str, ...]] = ()
    """Fields that came after scores were published: where they are at their defaults, those are its scores still."""

    init: str = "default"

    def __post_init__(self) -> None:
        if self.init not in INITS:
            raise unknown("initialisation", self.init, INITS)

    @property
    def identity(self) -> dict[str, Any]:
        """The fields, as they are part of a score's identity: without those of `later` that are at their defaults."""
        defaults = {field.name: field.default for field in fields(self)}
        return {
            name: value for name, value in asdict(self).items() if name not in self.later or value != defaults[name]
        }

    @abstractmethod
    def score(self, student: Probe, teacher: Probe) -> float:
        """The score of the student; larger is better.

        It reads the probes and computes. It never seeds, builds, loads, moves devices, logs, or hides a NaN.
        May raise NotApplicable(reason).
        """


def too_few(proxy: Proxy, count: int, labels: Callable[[], torch.Tensor]) -> str:
    """Why a batch of `count` images, whose int64 [B] labels are asked for where they matter, says nothing to a proxy
    (`least`, `least_of_class`); empty where it does."""
    count = min(count, getattr(proxy, "images", count))
    if count < proxy.least:
        return f"{proxy.name} compares images: it takes {proxy.least} or more, and here is {count}"
    if proxy.least_of_class > 1 and (most := int(labels().bincount().max())) < proxy.least_of_class:
        return f"{proxy.name} compares images of a class: it takes {proxy.least_of_class} of one, and here is {most}"
    return ""


def as_score(value: object) -> float:
    """The float that `score` returned: a number of Python or NumPy, or what holds one, as a tensor of no dimensions.

    Raises TypeError for text, True and False, several numbers, and nothing.
    """
    found: object = value
    with suppress(AttributeError, RuntimeError, ValueError):  # the latter from tensors and arrays of several numbers
        found = value.item()  # type: ignore[attr-defined]
    if isinstance(found, Real) and not isinstance(found, bool):
        return float(found)
    shape = f" of shape {list(value.shape)}" if hasattr(value, "shape") else f" {value!r}"
    kind = "" if value is None else f" the {type(value).__name__}"
    raise TypeError(f"score() returned{kind}{shape}: return one number, a float")


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
