"""The contract: a proxy is a rule that turns what was observed of a student (and the teacher) into one number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from common.errors import unknown
from spaces.skeleton import INITS

if TYPE_CHECKING:
    from proxies.probe import Probe

BACKWARD = ("gradients", "gate_gradients", "input_gradients", "hessian_gradient")
"""The needs that take the autograd graph of the forward pass: the loss's gradients in the parameters and in gates on
the layers' channels (one backward pass for both), the logits' in the images, the loss's Hessian times its gradient."""

READS_BATCH = ("forward", "relu_codes", "relu_kernel", *BACKWARD)
"""The needs that take the batch: one forward pass, the ReLUs' binary codes in it or only how many of them agree."""

NEEDS = (*READS_BATCH, "weights", "teacher")
"""What a proxy can ask of a probe: the above, the network's weights (read without the batch), and the same records of
the teacher."""


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
class Proxy(ABC):
    """Subclass, decorate with `@dataclass(frozen=True)`, set the class attributes, write `score`.

    Fields are hyper-parameters; every field, and `version`, is part of a score's identity. `init` is the
    initialisation the networks are built with (`default | kaiming | gaussian`, spaces/supernet.py). `sees` says what
    the score can depend on, so that equal cells are scored once: the live `function`, what the `relus` in front of all
    convolutions read, dead ones too, every `executed` operation, or the `cell` itself (spaces/equivalence.py).
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it when the numbers change: stored scores of another version are never mixed in."""
    family: ClassVar[str]
    reference: ClassVar[Reference]
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

    @property
    def label(self) -> str:
        """Name and the fields that are not at their defaults, as on the command line: `diswot:variant=paper`."""
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return ":".join([self.name, *changed])
