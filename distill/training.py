"""Train one student, with or without a teacher."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from distill.losses import kd
from distill.recipes import Recipe


@dataclass(frozen=True)
class Stream:
    """The training images of one seed in the order all its students see them, and what the teacher says of them.

    images [steps * batch, 3, H, W] normalised, labels [steps * batch], teacher_logits [steps * batch, K] or None.
    """

    images: torch.Tensor
    labels: torch.Tensor
    teacher_logits: torch.Tensor | None


@dataclass(frozen=True)
class HeldOut:
    """Normalised images and labels of a split that is only ever measured on."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Trained:
    """Accuracies in percent after the last step, wall-clock seconds, `ok` or `diverged` (loss or logits not finite)."""

    val: float
    test: float
    seconds: float
    status: str


def cosine(step: int, steps: int) -> float:
    """(1 + cos(pi step / steps)) / 2: 1 at the first step, towards 0 at the end."""
    return (1 + math.cos(math.pi * step / steps)) / 2


def fit(network: nn.Module, stream: Stream, recipe: Recipe, kd_weight: float) -> bool:
    """Train `network` in place on the stream, one step a batch. Returns False as soon as the loss is not finite."""
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )
    network.train()
    for step in range(recipe.steps):
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * cosine(step, recipe.steps)
        part = slice(step * recipe.batch, (step + 1) * recipe.batch)
        logits = network(stream.images[part]).logits
        loss = F.cross_entropy(logits, stream.labels[part])
        if kd_weight:
            assert stream.teacher_logits is not None
            loss = (1 - kd_weight) * loss + kd_weight * kd(stream.teacher_logits[part], logits, recipe.temperature)
        if not torch.isfinite(loss):
            return False
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return True


@torch.no_grad()
def logits_of(network: nn.Module, images: torch.Tensor, batch: int = 500) -> torch.Tensor:
    """Logits [N, K] in evaluation mode."""
    network.eval()
    return torch.cat([network(part).logits for part in images.split(batch)])


def accuracy(network: nn.Module, held_out: HeldOut) -> float:
    """Percent of images whose largest logit is the label's; NaN where a logit is not finite."""
    logits = logits_of(network, held_out.images)
    if not logits.isfinite().all():
        return math.nan  # the last step has no loss behind it that would have shown it
    return 100 * (logits.argmax(1) == held_out.labels).double().mean().item()


def train(network: nn.Module, stream: Stream, val: HeldOut, test: HeldOut, recipe: Recipe, mode: str) -> Trained:
    """Train a fresh network by the recipe in the given mode and measure it after the last step."""
    start = time.perf_counter()
    finite = fit(network, stream, recipe, recipe.kd_weight if mode == "distilled" else 0.0)
    results = (accuracy(network, val), accuracy(network, test)) if finite else (math.nan, math.nan)
    finite = finite and all(map(math.isfinite, results))
    return Trained(*results, seconds=time.perf_counter() - start, status="ok" if finite else "diverged")
