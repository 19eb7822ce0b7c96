"""DistPro: learn the weight of every pathway at every step of a distillation, by one step of look-ahead.

Deng, Sun, Newsam & Wang, "DistPro: Searching A Fast Knowledge Distillation Process via Meta Optimization", ECCV 2022,
arXiv 2204.05547. The student minimises L_in = CE + sum_i w_i(alpha) d_i, d the distances of the pathways. Before each
of its steps alpha takes one of Adam's towards a lower L_out(theta'), the CE of held-out images after that step.

L_in is linear in w: d L_out(theta') / d w_i = -rate (1 + momentum) <v, grad d_i(theta)>, v = grad L_out(theta'), and
<v, grad d_i> for all i at once is one forward-mode pass of theta -> d along v. Exact, where the released code takes a
difference quotient. The transforms of the pathways are not part of L_out: they only follow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.autograd.forward_ad as forward
import torch.nn.functional as F
from torch.func import functional_call

from common.errors import BadInput, BadUsage, unknown
from common.formats import write_tensors
from distill.process.forward_mode import Rules
from distill.process.pathways import Pathways
from distill.process.process import Process
from distill.process.stages import Seen, Tapped
from distill.recipes import Recipe
from distill.training import learning_rate, optimiser, read_checkpoint
from images import DataSet
from images.stream import Resident, Stream

Tensors = dict[str, torch.Tensor]


def _or_none(alpha: torch.Tensor) -> torch.Tensor:
    return torch.cat([alpha, alpha.new_ones(1)]).softmax(0)[:-1]


NORMALISATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "constant": lambda alpha: 0 * alpha + 1,
    "softmax": lambda alpha: alpha.softmax(0),
    "softmax-or-none": _or_none,
    "sigmoid": torch.sigmoid,
    "absolute": torch.abs,
    "share": lambda alpha: 3 * alpha.abs() / alpha.abs().sum(),
    "share-or-none": lambda alpha: 10 * alpha.abs() / (1 + alpha.abs().sum()),
    "scaled-or-none": lambda alpha: len(alpha) * _or_none(alpha),
}
"""w(alpha), alpha starting at ones, n pathways. In the order of the released code's numbers 0 to 6 and 333: 1, to be
scaled; softmax(alpha), its default; softmax([alpha, 1]) less the last, a share for no distillation at all;
1 / (1 + exp(-alpha)); |alpha|; 3 |alpha| / sum |alpha|; 10 |alpha| / (1 + sum |alpha|); n softmax([alpha, 1]) less the
last, to be scaled, which its README retrains with."""
SCALED = ("constant", "scaled-or-none")
"""Those that the settings' `scale` multiplies, the released code's `kd_weight`."""


@dataclass(frozen=True)
class Settings:
    """How alpha is learned: Adam of `rate` and `betas`, no decay; the process has the weights at `knots` + 1 times."""

    normalisation: str = "softmax"
    scale: float = 1.0
    rate: float = 0.1
    betas: tuple[float, float] = (0.5, 0.999)
    knots: int = 60

    def __post_init__(self) -> None:
        if self.normalisation not in NORMALISATIONS:
            raise unknown("normalisation", self.normalisation, NORMALISATIONS)

    def weights(self, alpha: torch.Tensor) -> torch.Tensor:
        """w(alpha) [n]."""
        factor = self.scale if self.normalisation in SCALED else 1.0
        return factor * NORMALISATIONS[self.normalisation](alpha)


def next_parameters(sgd: torch.optim.SGD, parameters: Tensors, gradients: Sequence[torch.Tensor]) -> Tensors:
    """Where the optimiser's next step with these gradients would lead: theta - rate (g + momentum b'), with
    g = gradient + decay theta and b' = momentum b + g. The optimiser stays as it is.
    """
    group = sgd.param_groups[0]
    rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
    ahead = {}
    for (name, value), gradient in zip(parameters.items(), gradients, strict=True):
        full = gradient + decay * value.detach()
        buffer = sgd.state[value].get("momentum_buffer") if value in sgd.state else None
        ahead[name] = value.detach() - rate * (full + momentum * (full if buffer is None else momentum * buffer + full))
    return ahead


def directional(
    function: Callable[[Tensors], torch.Tensor], parameters: Tensors, direction: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """d/de function(parameters + e direction) at e = 0, by one forward-mode pass; no graph is kept."""
    with torch.no_grad(), forward.dual_level(), Rules():
        dual = {name: forward.make_dual(value.detach(), direction[name]) for name, value in parameters.items()}
        value, tangent = forward.unpack_dual(function(dual))
        return torch.zeros_like(value) if tangent is None else tangent


class Search:
    """The search of a process: from the first step, or from a checkpoint to the same numbers.

    The student learns on `train`, alpha on `held_out`, of which each step reads one batch, in training mode as the
    student's. The teacher is in evaluation mode. A step of alpha leaves the student, its batch statistics and the
    optimiser as they were, and nothing here draws a random number.
    """

    def __init__(
        self,
        student: Tapped,
        teacher: Tapped,
        pathways: Pathways,
        train: Stream,
        held_out: Stream,
        recipe: Recipe,
        settings: Settings,
    ) -> None:
        self.student, self.teacher, self.pathways = student, teacher, pathways
        self.train, self.held_out = train, held_out
        self.recipe, self.settings = recipe, settings
        self.device = train.resident.images.device
        self.step = 0
        self.sgd = optimiser([*student.parameters(), *pathways.parameters()], recipe)
        self.alpha = torch.ones(len(pathways.pathways), dtype=torch.float64, requires_grad=True)
        self.adam = torch.optim.Adam([self.alpha], lr=settings.rate, betas=settings.betas)
        self.history: list[list[float]] = []
        """w at every step so far."""

    def advance(self) -> None:
        """One step of alpha, then one of the student."""
        images, labels = self.train.batch(self.step)
        of_teacher = self.teacher.look(images)
        self.sgd.param_groups[0]["lr"] = learning_rate(self.recipe, self.step)
        self.student.train()
        parameters: Tensors = dict(self.student.named_parameters())
        seen: Seen = self.student(images)
        cross_entropy = F.cross_entropy(seen.logits, labels)
        distances = self.pathways(of_teacher, seen)

        weights = self._weights()
        gradients = torch.autograd.grad(
            cross_entropy + weights.to(distances) @ distances,
            list(parameters.values()),
            retain_graph=True,
            materialize_grads=True,
        )
        ahead = next_parameters(self.sgd, parameters, gradients)
        direction = self._outer_gradient(ahead)
        # per unit of the learning rate: Adam does not see a constant factor, and the published rate is constant
        along = directional(lambda values: self.distances(values, images, of_teacher), parameters, direction)
        slope = -(1 + self.recipe.momentum) * along
        (self.alpha.grad,) = torch.autograd.grad(
            self.settings.weights(self.alpha), self.alpha, slope.to(self.alpha), materialize_grads=True
        )
        self.adam.step()

        weights = self._weights()
        self.history.append(weights.tolist())
        self.sgd.zero_grad()
        (cross_entropy + weights.to(distances) @ distances).backward()
        self.sgd.step()
        self.step += 1

    def distances(self, parameters: Tensors, images: torch.Tensor, of_teacher: Seen) -> torch.Tensor:
        """d(theta) of a batch, at other parameters than the student's own, which stays as it is."""
        seen: Seen = functional_call(self.student, (parameters, self._copies()), (images,))
        distances: torch.Tensor = self.pathways(of_teacher, seen)
        return distances

    def _weights(self) -> torch.Tensor:
        return self.settings.weights(self.alpha).detach()

    def _copies(self) -> Tensors:
        """Of the batch norms' buffers, to be written on in place of the student's."""
        return {name: value.clone() for name, value in self.student.named_buffers()}

    def _outer_gradient(self, ahead: Tensors) -> Tensors:
        """v = grad L_out at theta', by name."""
        images, labels = self.held_out.batch(self.step)
        leaves = {name: value.requires_grad_() for name, value in ahead.items()}
        seen: Seen = functional_call(self.student, (leaves, self._copies()), (images,))
        outer = F.cross_entropy(seen.logits, labels)
        return dict(zip(leaves, torch.autograd.grad(outer, list(leaves.values()), materialize_grads=True), strict=True))

    def run(
        self,
        checkpoint: Path | None = None,
        every: float = 60.0,
        watch: Callable[[int], None] | None = None,
        made_by: Mapping[str, Any] | None = None,
    ) -> Process:
        """Search to the end; the process. With `checkpoint` the state is saved after a step when `every` seconds have
        gone by, and the search starts from what is saved there. Raises BadInput where it diverges.
        """
        if checkpoint is not None and checkpoint.exists():
            self.load(checkpoint)
        saved = time.monotonic()
        while self.step < self.recipe.steps:
            self.advance()
            if not all(map(math.isfinite, self.history[-1])):
                raise BadInput(f"the search diverged at step {self.step}: no process was learned")
            if checkpoint is not None and time.monotonic() - saved >= every:
                self.save(checkpoint)
                saved = time.monotonic()
            if watch is not None:
                watch(self.step)
        return self.process(made_by)

    def process(self, made_by: Mapping[str, Any] | None = None) -> Process:
        """The weights so far at `knots` + 1 times: of the step taken then, the last of them that of the last step."""
        steps = len(self.history)
        knots = min(self.settings.knots, steps)
        times = [knot / knots for knot in range(knots + 1)]
        rows = [self.history[min(int(time * steps), steps - 1)] for time in times]
        names = tuple(map(str, self.pathways.pathways))
        return Process(names, tuple(times), tuple(map(tuple, rows)), dict(made_by or {}))

    def save(self, path: Path) -> None:
        """The whole state; `path` is the old file or the new one at every moment."""
        state = {
            "student": self.student.state_dict(),
            "pathways": self.pathways.state_dict(),
            "sgd": self.sgd.state_dict(),
            "alpha": self.alpha.detach(),
            "adam": self.adam.state_dict(),
            "history": self.history,
            "step": self.step,
        }
        write_tensors(path, state | {"about": self._about()})

    def load(self, path: Path) -> None:
        """Go on from a saved state. Raises BadInput for a damaged file and for that of another search."""
        state = read_checkpoint(path, self._about(), "search", self.device)
        self.student.load_state_dict(state["student"])
        self.pathways.load_state_dict(state["pathways"])
        self.sgd.load_state_dict(state["sgd"])
        with torch.no_grad():
            self.alpha.copy_(state["alpha"])
        self.adam.load_state_dict(state["adam"])
        self.history, self.step = state["history"], state["step"]

    def _about(self) -> dict[str, Any]:
        """What the state is of: another recipe, stream or student cannot go on from it."""
        return {
            "recipe": repr(self.recipe),
            "settings": repr(asdict(self.settings)),
            "streams": [self.train.hash, self.held_out.hash],
            "pathways": list(map(str, self.pathways.pathways)),
            "student": {name: list(value.shape) for name, value in self.student.state_dict().items()},
        }


HELD_OUT = 5
"""Of so many training images one is held out of the student's."""


def split_streams(
    data_set: DataSet, seed: int, steps: int, batch: int, device: torch.device | str = "cpu"
) -> tuple[Stream, Stream]:
    """Training images of `seed`, and of the fifth that is held out of them, `steps` batches each, in a new order every
    epoch; cut out at random and mirrored where the data set's training images are.

    Of a data set without end just as many are drawn as the student sees once.
    """
    try:
        images = data_set.split("train")
    except BadUsage:
        images = data_set.training_images(seed, math.ceil(steps * batch * HELD_OUT / (HELD_OUT - 1)))
    of_split, *of_streams = np.random.SeedSequence([*data_set.name.encode(), seed, HELD_OUT]).spawn(3)
    order = np.random.default_rng(of_split).permutation(len(images))
    held_out = len(order) // HELD_OUT
    train, outer = (
        _stream(data_set, images.images[chosen], images.labels[chosen], sequence, steps * batch, batch, device)
        for chosen, sequence in zip((order[held_out:], order[:held_out]), of_streams, strict=True)
    )
    return train, outer


def _stream(
    data_set: DataSet,
    images: np.ndarray,
    labels: np.ndarray,
    sequence: np.random.SeedSequence,
    count: int,
    batch: int,
    device: torch.device | str,
) -> Stream:
    rng = np.random.default_rng(sequence)
    order = np.concatenate([rng.permutation(len(labels)) for _ in range(-(-count // len(labels)))])[:count]
    shifts = rng.integers(0, 2 * data_set.pad + 1, size=(count, 2))
    # a data set that is not shifted is not mirrored either: digits are not what they are in a mirror
    flips = rng.integers(0, 2, size=count).astype(bool) & (data_set.pad > 0)
    resident = Resident.of(images, labels, data_set.pad, torch.device(device))
    return Stream(data_set, resident, order, shifts, flips, batch)
