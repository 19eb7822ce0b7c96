"""Teachers: networks to distil from, identified by the hash of their weights, not by a file name.

A teacher is named `<benchmark>` or `<benchmark>-<network>`; networks are `resnet20`, `resnet32`, `resnet44`,
`resnet56`, `resnet110`, `wrn-<depth>-<widen>`, `resnet9-<channels>`, `nb201-<cell index>` and what else
distill/networks.py names; `@<epochs>` behind a name is another horizon than the recipe's, `random:` before it the
network untrained.
"""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import images
from common.errors import BadInput, BadUsage, unknown
from common.files import content_hash, json_hash, together
from common.formats import read_json, read_tensors, reading, write_json, write_tensors
from distill.networks import network, own_network
from distill.recipe_name import is_own, short_name
from distill.recipes import Recipe, names, teacher_recipe
from distill.training import Group, HeldOut, Lockstep, logits_of, measured
from spaces.draw import Draw
from spaces.output import Output

FOLDER = Path(__file__).parent / "weights"
NETWORKS = {
    "digits": "nb201-1462",
    "cifar10": "resnet56",
    "cifar100": "resnet56",
    "cifar10-small": "wrn-10-1",
    "cifar10-16px": "resnet9-16",
    "cifar100-16px": "resnet9-32",
}
"""The network of a teacher whose name says only the recipe; 1462 is the cell of six 3x3 convolutions."""
TEACHER_STREAM = 1_000_000
"""Added to the seed of the images a teacher trains on: none that its students will use."""


@dataclass(frozen=True)
class TeacherSpec:
    """What a name stands for: a network, the vanilla recipe that trains it, the seed of its weights and images."""

    network: str
    recipe: Recipe
    seed: int = 0

    def build(self) -> nn.Module:
        """The network at its initialisation, which no student of any seed shares."""
        draw = Draw(self.seed, self.recipe.init, role="teacher ")
        return network(self.network, self.recipe.skeleton)(draw)


def spec(name: str, epochs: int | None = None) -> TeacherSpec:
    """The spec of a name, with another horizon on request. Raises BadUsage for an unknown benchmark or network."""
    called = re.fullmatch(r"([^@]+)(?:@([1-9]\d{0,4}))?", name, re.ASCII)
    whole = called[1] if called else ""
    # of benchmarks whose names begin alike the longest is meant
    benchmark = max((head for head in names() if f"{whole}-".startswith(f"{head}-")), key=len, default="")
    said = NETWORKS.get(benchmark, "") if whole == benchmark else whole.removeprefix(f"{benchmark}-")
    if called is None or not benchmark or not said:
        raise unknown("teacher", name, [*NETWORKS, "cifar100-resnet110", "cifar100-wrn-40-2"])
    recipe = teacher_recipe(benchmark)
    if epochs is not None and called[2] and epochs != int(called[2]):
        raise BadUsage(f"the teacher '{name}' trains {called[2]} epochs, not {epochs}: name another, or ask for none")
    if epochs is not None or called[2]:
        recipe = replace(recipe, epochs=epochs or int(called[2]))
    network(said, recipe.skeleton)  # raises for one that is none
    return TeacherSpec(said, recipe)


def check_teacher(students: Recipe) -> None:
    """Raises BadUsage where the teacher that a recipe names is of other images than its students."""
    if is_own(students.teacher):
        _check_own(students)
        return
    found, own = spec(students.teacher.removeprefix("random:")).recipe.benchmark, students.benchmark
    if found != own:
        raise BadUsage(f"the teacher '{students.teacher}' is of {found}: students of {own} need one of theirs")


class _Answering(nn.Module):
    """A network of one's own whose answers are an Output, whether it returns logits, or what has them, or a tuple."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> Output:
        """The logits [B, K], and nothing else."""
        found = self.network(images)
        if isinstance(found, Mapping):
            found = found["logits"]
        found = getattr(found, "logits", found)
        logits = found[0] if isinstance(found, tuple | list) else found
        return Output(logits, logits[:, :0], ())


def _check_own(students: Recipe) -> None:
    """Raises BadInput where a teacher of one's own does not score the students' classes for their images."""
    size, classes = students.skeleton.size, students.skeleton.classes
    network = own_network(students.teacher).cpu()
    try:
        with torch.no_grad():
            logits = logits_of(_Answering(network), torch.zeros(2, 3, size, size))
    except Exception as error:  # whatever the user's network raises
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise BadInput(
            f"the teacher '{students.teacher}' cannot read images [2, 3, {size}, {size}] ({reason})"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, classes):
        shape = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise BadInput(f"the teacher '{students.teacher}' answers two images with {shape}: wanted are [2, {classes}]")
    own_hash(students.teacher)


@dataclass(frozen=True)
class Teacher:
    """A teacher in evaluation mode, the content hash of its weights and the record of how it was made."""

    network: nn.Module
    hash: str
    record: dict[str, Any]


def weights_hash(network: nn.Module) -> str:
    """Content hash over the names and values that a forward pass uses, in the order of the names."""
    state = _values(network)
    names = np.array(sorted(state))
    return content_hash([np.char.encode(names), *(state[name].cpu().numpy() for name in names)])


def network_hash(network: nn.Module) -> str:
    """Content hash of an nn.Module of somebody's own: its weights, and each module's name, class, text and mode.

    A batch norm in training mode gives other numbers than one in evaluation mode, and so does another activation.
    """
    modules = [
        (name, type(module).__qualname__, module.extra_repr(), module.training)
        for name, module in network.named_modules()
    ]
    return json_hash({"weights": weights_hash(network), "modules": modules})


def own_hash(place: str) -> str:
    """The `network_hash` of the nn.Module that `FILE.py:FUNCTION` returns.

    Raises BadInput as `own_network`, and for a network that is another each time it is made.
    """
    found, again = (network_hash(own_network(place)) for _ in range(2))
    if found != again:
        raise BadInput(
            f"--teacher {place}: it has other weights each time it is made: load them from a file, or draw them from a "
            "seeded generator"
        )
    return found


def _values(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict less the batch norms' step counters, which no forward pass reads."""
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}


def held_out(data_set: images.DataSet, name: str, device: torch.device | str = "cpu") -> HeldOut:
    """The normalised images of a split on a device."""
    split = data_set.split(name)
    return HeldOut(data_set.normalise(split.images).to(device), torch.from_numpy(split.labels).to(device))


def train_teacher(
    name: str,
    folder: Path = FOLDER,
    data: Path | None = None,
    *,
    epochs: int | None = None,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    watch: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Train a named teacher, round its weights to half precision, and write `<name>.pt` and `<name>.json`.

    With `checkpoint` an interrupted training goes on from there. Raises BadInput, writing nothing, where it diverges.
    """
    plan = spec(name, epochs)
    recipe, data_set = plan.recipe, images.load(plan.recipe.benchmark, data)
    val, test = (held_out(data_set, split, device) for split in ("val", "test"))
    network = plan.build().to(device)
    group = Group(network, (0.0,))
    stream = data_set.stream(TEACHER_STREAM + plan.seed, recipe.steps, recipe.batch, device)
    (trained,) = Lockstep([group], [stream], [], recipe).run(val, test, checkpoint, watch=watch)
    # half the bytes; the rounded network is the teacher, and is what gets measured and hashed
    halves = {key: value.half().cpu() for key, value in _values(network).items()}
    network.load_state_dict(network.state_dict() | halves)
    accuracies = [measured(group, split).accuracy.item() for split in (val, test)]
    if trained.status != "ok" or not all(map(math.isfinite, accuracies)):
        raise BadInput(f"the teacher '{name}' diverged: nothing was written")
    record = {
        "name": name,
        "network": plan.network,
        "seed": plan.seed,
        "recipe": recipe.record(),
        "val": accuracies[0],
        "test": accuracies[1],
        "hash": weights_hash(network),
        "hardware": hardware(device),
    }
    with together(folder / f"{name}.json"):
        write_tensors(folder / f"{name}.pt", halves)
        write_json(folder / f"{name}.json", record)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return record


def load_teacher(name: str, folder: Path = FOLDER) -> Teacher:
    """The teacher of a name, untrained that of `random:NAME`, or one's own of `FILE.py:FUNCTION`, on the CPU.

    Raises BadUsage for an unknown name, BadInput where its files are missing, damaged or of other weights.
    """
    if is_own(name):
        network = own_network(name).cpu()
        answering = _Answering(network).eval().requires_grad_(False)
        return Teacher(answering, network_hash(network), {"name": short_name(name)})
    if name.startswith("random:"):
        plan = spec(name.removeprefix("random:"))
        network = plan.build().eval().requires_grad_(False)
        record = {"name": name, "network": plan.network, "seed": plan.seed, "init": plan.recipe.init}
        return Teacher(network, weights_hash(network), record)
    plan = spec(name)
    weights, record_file = folder / f"{name}.pt", folder / f"{name}.json"
    for file in (weights, record_file):
        if not file.exists():
            raise BadInput(
                f"the teacher '{name}' has no {file.name} in {folder}: train it with `python -m distill teacher {name}`"
            )
    record = read_json(record_file, keys=("hash",))
    network, again = plan.build(), "restore the file or train it again"
    halves = read_tensors(weights, again)
    with reading(weights, again):
        shapes = {key: value.shape for key, value in halves.items()}
    if shapes != {key: value.shape for key, value in _values(network).items()}:
        raise BadInput(f"{weights} holds another network than the teacher '{name}': restore the file")
    network.load_state_dict(network.state_dict() | halves)
    if weights_hash(network) != record["hash"]:
        raise BadInput(f"{weights} does not hold the weights that {record_file.name} names: restore both files")
    network.eval().requires_grad_(False)
    return Teacher(network, record["hash"], record)


def hardware(device: torch.device | str) -> str:
    """What computed, in a few words."""
    is_cuda = torch.device(device).type == "cuda"
    name = torch.cuda.get_device_name(device) if is_cuda else f"{platform.machine()} CPU, one thread a training"
    return f"{name}, torch {torch.__version__}"
