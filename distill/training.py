"""Train students in lock-step: one batch, one reading of the teacher, one step of every student.

All students of a seed are given the same images in the same order, so that differences between them are not those of
their data. A group of students may read several seeds' images, side by side.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from common.errors import BadInput
from common.formats import read_tensors, write_tensors
from distill.losses import kd
from distill.recipes import Recipe
from images.stream import Stream
from spaces.stack import unstack


class Answers(Protocol):
    """The teacher's logits [B, K] of the images of a step."""

    def __call__(self, step: int, images: torch.Tensor) -> torch.Tensor: ...


def live(teacher: nn.Module) -> Answers:
    """Asks the teacher at every step: one forward pass for all students."""

    def answer(step: int, images: torch.Tensor) -> torch.Tensor:
        return logits_of(teacher, images)

    return answer


def remembered(logits: torch.Tensor, batch: int) -> Answers:
    """What the teacher once said [steps * batch, K] of the whole stream: no forward pass for any student."""

    def answer(step: int, images: torch.Tensor) -> torch.Tensor:
        return logits[step * batch : (step + 1) * batch]

    return answer


@dataclass(frozen=True)
class HeldOut:
    """Normalised images [N, 3, H, W] and labels [N] of a split that is only ever measured on."""

    images: torch.Tensor
    labels: torch.Tensor


class Minimised(Protocol):
    """What a student minimises in place of (1 - weight) CE + weight KD, after `passed` of its steps, in 0..1.

    Of what the teacher's network and the student's returned for a batch, and its labels.
    """

    @property
    def name(self) -> str: ...
    def __call__(self, teacher: Any, student: Any, labels: torch.Tensor, passed: float) -> torch.Tensor: ...


@dataclass
class Group:
    """Students that run as one network (spaces/stack.py), and the weight of each one's distillation loss.

    Of M students, the first M / S read the first of S streams of images, and so on. With `objective` it is one student
    that minimises this instead; its network then is all that is trained with it (distill/process/objectives.py).
    """

    network: nn.Module
    kd_weights: tuple[float, ...]
    objective: Minimised | None = None


class Trained(NamedTuple):
    """Accuracies of a student in percent: `val` and `test` after the last step; `best` the highest test accuracy at the
    end of any epoch, for information only. `log_likelihood` is the mean of ln p(label) over the test images after the
    last step. `ok`, or `diverged` where a loss or logit was not finite: then they are NaN.
    """

    val: float
    test: float
    best: float
    log_likelihood: float
    status: str


_DIVERGED = Trained(math.nan, math.nan, math.nan, math.nan, "diverged")


class Measured(NamedTuple):
    """Of M students on held-out images, each [M]: percent of images whose largest logit is the label's, and the mean of
    ln p(label). NaN where a logit is not finite.
    """

    accuracy: torch.Tensor
    log_likelihood: torch.Tensor


def learning_rate(recipe: Recipe, step: int) -> float:
    """`cosine`: lr (1 + cos(pi step / steps)) / 2, towards 0 at the end; `steps`: lr, a tenth after 62.5 % of the
    steps, a hundredth after 75 %, a thousandth after 87.5 % (150, 180 and 210 of 240 epochs); `trapezoid`:
    lr min(1, (step + 1) / 50, (steps - step) / (.3 steps)).
    """
    passed = step / recipe.steps
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * passed)) / 2
    if recipe.schedule == "trapezoid":
        return recipe.learning_rate * min(1, (step + 1) / 50, (1 - passed) / 0.3)
    return recipe.learning_rate * 0.1 ** sum(passed >= drop for drop in (0.625, 0.75, 0.875))


def optimiser(parameters: Iterable[torch.Tensor], recipe: Recipe) -> torch.optim.SGD:
    """The recipe's SGD with Nesterov momentum; its learning rate is set anew at every step."""
    return torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )


def read_checkpoint(path: Path, about: dict[str, Any], what: str, device: torch.device) -> dict[str, Any]:
    """The state that was saved with what it is `about`. Raises BadInput for a damaged file and for that of another
    training, or `what` else goes on from it.
    """
    state = read_tensors(path, f"delete it to begin the {what} anew", ("about",), device)
    if state["about"] != about:
        raise BadInput(f"the checkpoint {path} is of another {what}: delete it to begin anew")
    return state


class Lockstep:
    """The training of groups of students from the first step or from a checkpoint.

    `streams` are read side by side, and `answers` are the teacher's, one for each stream; vanilla students need none.
    `watched` is asked at every step for all that groups with an objective read of a teacher, of the only stream.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        streams: Sequence[Stream],
        answers: Sequence[Answers],
        recipe: Recipe,
        watched: Callable[[torch.Tensor], Any] | None = None,
    ) -> None:
        if any(weight for group in groups for weight in group.kd_weights) and len(answers) != len(streams):
            raise ValueError(f"distillation on {len(streams)} streams needs as many teachers, not {len(answers)}")
        if any(group.objective is not None for group in groups) and (watched is None or len(streams) != 1):
            raise ValueError(f"an objective needs a teacher to watch and one stream, not {len(streams)}")
        self.groups, self.streams, self.answers, self.recipe = list(groups), list(streams), list(answers), recipe
        self.watched = watched
        self.device = self.streams[0].resident.images.device
        self.step = 0
        self.optimisers = [optimiser(group.network.parameters(), recipe) for group in self.groups]
        self.finite = [torch.ones(len(group.kd_weights), dtype=torch.bool, device=self.device) for group in self.groups]
        # of the test images at the end of the latest epoch, and the highest accuracy so far
        unknown = [torch.full((len(group.kd_weights),), math.nan, dtype=torch.double) for group in self.groups]
        self.latest = [Measured(nothing, nothing) for nothing in unknown]
        self.best = [torch.full((len(group.kd_weights),), -math.inf, dtype=torch.double) for group in self.groups]

    def advance(self) -> None:
        """One step of every student."""
        batches = [stream.batch(self.step) for stream in self.streams]
        said = [answer(self.step, images) for answer, (images, _) in zip(self.answers, batches, strict=False)]
        side_by_side = torch.cat([images for images, _ in batches], 1)
        shown = self.watched(side_by_side) if self.watched is not None else None
        for group, sgd, finite in zip(self.groups, self.optimisers, self.finite, strict=True):
            group.network.train()
            sgd.param_groups[0]["lr"] = learning_rate(self.recipe, self.step)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
                output = group.network(side_by_side)
            if group.objective is None:
                losses = self._losses(group, output.logits, batches, said)
            else:
                losses = [group.objective(shown, output, batches[0][1], self.step / self.recipe.steps)]
            # students share no parameter: the gradient of the sum is the gradient of each
            total = torch.stack(losses)
            finite &= total.detach().isfinite()
            sgd.zero_grad()
            total.sum().backward()
            sgd.step()
        self.step += 1

    def _losses(
        self,
        group: Group,
        logits: torch.Tensor,
        batches: Sequence[tuple[torch.Tensor, torch.Tensor]],
        said: Sequence[torch.Tensor],
    ) -> list[torch.Tensor]:
        """(1 - weight) CE + weight KD of each student."""
        exact = logits.float() if logits.dtype == torch.bfloat16 else logits
        own = unstack(exact, len(group.kd_weights)).unflatten(0, (len(batches), -1))
        losses = []
        for number, weight in enumerate(group.kd_weights):
            stream, place = divmod(number, own.shape[1])
            loss = F.cross_entropy(own[stream, place], batches[stream][1])
            if weight:
                of_teacher = kd(said[stream], own[stream, place], self.recipe.temperature)
                loss = (1 - weight) * loss + weight * of_teacher
            losses.append(loss)
        return losses

    def run(
        self,
        val: HeldOut,
        test: HeldOut,
        checkpoint: Path | None = None,
        every: float = 60.0,
        watch: Callable[[int], None] | None = None,
    ) -> list[Trained]:
        """Train to the end; the students' results, group by group.

        With `checkpoint` the state is saved at the end of an epoch when `every` seconds have gone by since it last was,
        and training starts from what is saved there, to the same numbers. `watch` is told how many steps are done.
        """
        if checkpoint is not None and checkpoint.exists():
            self.load(checkpoint)
        saved = time.monotonic()
        while self.step < self.recipe.steps:
            self.advance()
            if watch is not None:
                watch(self.step)
            if self.step % self.recipe.epoch_steps:
                continue
            self.latest = [measured(group, test, len(self.streams)) for group in self.groups]
            self.best = [torch.maximum(best, now.accuracy) for best, now in zip(self.best, self.latest, strict=True)]
            if checkpoint is not None and time.monotonic() - saved >= every:
                self.save(checkpoint)
                saved = time.monotonic()
        return [result for number in range(len(self.groups)) for result in self._results(number, val)]

    def _results(self, number: int, val: HeldOut) -> list[Trained]:
        test = self.latest[number]
        of_val = measured(self.groups[number], val, len(self.streams)).accuracy
        columns = [of_val, test.accuracy, self.best[number], test.log_likelihood]
        results = []
        rows = zip(self.finite[number].tolist(), *(column.tolist() for column in columns), strict=True)
        for finite, val_now, test_now, best, likelihood in rows:
            ok = finite and all(map(math.isfinite, (val_now, test_now, best, likelihood)))
            results.append(Trained(val_now, test_now, best, likelihood, "ok") if ok else _DIVERGED)
        return results

    def save(self, path: Path) -> None:
        """The whole state; `path` is the old file or the new one at every moment."""
        write_tensors(path, self._state() | {"about": self._about()})

    def load(self, path: Path) -> None:
        """Go on from a saved state. Raises BadInput for a damaged file and for that of another training."""
        state = read_checkpoint(path, self._about(), "training", self.device)
        for group, of_network in zip(self.groups, state["networks"], strict=True):
            group.network.load_state_dict(of_network)
        for sgd, of_sgd in zip(self.optimisers, state["optimisers"], strict=True):
            sgd.load_state_dict(of_sgd)
        self.finite = [finite.to(old.device) for finite, old in zip(state["finite"], self.finite, strict=True)]
        self.latest = [Measured(*(column.cpu() for column in latest)) for latest in state["latest"]]
        self.best = [best.cpu() for best in state["best"]]
        self.step = state["step"]

    def _state(self) -> dict[str, Any]:
        return {
            "networks": [group.network.state_dict() for group in self.groups],
            "optimisers": [sgd.state_dict() for sgd in self.optimisers],
            "finite": self.finite,
            "latest": [tuple(latest) for latest in self.latest],
            "best": self.best,
            "step": self.step,
        }

    def _about(self) -> dict[str, Any]:
        """What the state is of: another recipe, stream or student cannot go on from it."""
        return {
            "recipe": repr(self.recipe),
            "measured": list(Measured._fields),
            "streams": [stream.hash for stream in self.streams],
            "weights": [
                list(group.kd_weights) if group.objective is None else group.objective.name for group in self.groups
            ],
            "students": [str(getattr(group.network, "cell", type(group.network).__name__)) for group in self.groups],
            "shapes": [
                {name: list(value.shape) for name, value in group.network.state_dict().items()} for group in self.groups
            ],
        }


@torch.no_grad()
def logits_of(network: nn.Module, images: torch.Tensor, batch: int = 250, streams: int = 1) -> torch.Tensor:
    """Logits [N, K] in evaluation mode; of a stack of networks with `streams`, all on these images."""
    network.eval()
    return torch.cat([network(part.repeat(1, streams, 1, 1)).logits for part in images.split(batch)])


def measured(group: Group, held_out: HeldOut, streams: int = 1) -> Measured:
    """What every student of a group makes of held-out images."""
    logits = unstack(logits_of(group.network, held_out.images, streams=streams), len(group.kd_weights))
    right = 100 * (logits.argmax(2) == held_out.labels).double().mean(1)
    of_label = logits.double().log_softmax(2)[:, torch.arange(len(held_out.labels)), held_out.labels].mean(1)
    # the last step has no loss behind it that would have shown it
    finite = logits.isfinite().all(2).all(1)
    return Measured(right.where(finite, math.nan).cpu(), of_label.where(finite, math.nan).cpu())
