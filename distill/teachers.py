"""Teachers: networks to distil from, identified by the hash of their weights, not by a file name."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import images
from common.errors import BadInput, unknown
from common.files import content_hash, write_json, write_whole
from distill.recipes import ALL_3X3, Recipe
from distill.training import HeldOut, Stream, accuracy, fit
from spaces.nb201 import Cell
from spaces.network import CellNetwork
from spaces.skeleton import Skeleton
from spaces.supernet import Supernet

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class TeacherSpec:
    """A NAS-Bench-201 network to distil from, and the vanilla recipe that trains it."""

    cell: str
    recipe: Recipe
    seed: int = 0


TEACHERS = {
    "digits": TeacherSpec(
        cell=ALL_3X3,
        recipe=Recipe(
            benchmark="digits",
            skeleton=Skeleton(channels=16, cells_per_stage=3, classes=10, size=16),
            teacher="",
            steps=1500,
            batch=96,
            learning_rate=0.1,
        ),
    )
}
"""Twice as wide and three times as deep as the students of `digits`."""


@dataclass(frozen=True)
class Teacher:
    """A trained teacher in evaluation mode, its content hash and the record of how it was made."""

    network: CellNetwork
    hash: str
    record: dict[str, Any]


def weights_hash(network: torch.nn.Module) -> str:
    """Content hash over the names and values that a forward pass uses, in the order of the names."""
    state = _values(network)
    names = np.array(sorted(state))
    return content_hash([np.char.encode(names), *(state[name].cpu().numpy() for name in names)])


def _values(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state dict less the batch norms' step counters, which no forward pass reads."""
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}


def build(spec: TeacherSpec) -> CellNetwork:
    """The teacher's network at its initialisation."""
    return CellNetwork(Cell.parse(spec.cell), Supernet(spec.recipe.skeleton, spec.seed, spec.recipe.init))


def training_data(recipe: Recipe, seed: int, data: Path | None) -> tuple[Stream, HeldOut, HeldOut]:
    """The stream of a seed (without teacher) and the validation and test splits."""
    data_set = images.load(recipe.benchmark, data)
    drawn = data_set.training_images(seed, recipe.steps * recipe.batch)
    held_out = []
    for name in ("val", "test"):
        split = data_set.split(name)
        held_out.append(HeldOut(data_set.normalise(split.images), torch.from_numpy(split.labels)))
    return Stream(data_set.normalise(drawn.images), torch.from_numpy(drawn.labels), None), held_out[0], held_out[1]


TEACHER_STREAM = 1_000_000
"""Seed of the images a teacher trains on: none that its students will use."""


def train_teacher(name: str, folder: Path = FOLDER, data: Path | None = None) -> dict[str, Any]:
    """Train a named teacher, round its weights to half precision, and write `<name>.pt` and `<name>.json`."""
    spec = _spec(name)
    stream, val, test = training_data(spec.recipe, TEACHER_STREAM + spec.seed, data)
    network = build(spec)
    if not fit(network, stream, spec.recipe, kd_weight=0.0):
        raise BadInput(f"the teacher '{name}' diverged: nothing was written")
    buffer = io.BytesIO()
    # half the bytes; the rounded network is the teacher, and is what gets measured and hashed
    halves = {name: value.half() for name, value in _values(network).items()}
    torch.save(halves, buffer)
    network.load_state_dict(network.state_dict() | halves)
    if not math.isfinite(accuracy(network, val)):
        raise BadInput(f"the teacher '{name}' diverged: nothing was written")
    record = {
        "name": name,
        "cell": spec.cell,
        "seed": spec.seed,
        "recipe": asdict(spec.recipe),
        "val": accuracy(network, val),
        "test": accuracy(network, test),
        "hash": weights_hash(network),
        "torch": torch.__version__,
    }
    write_whole(folder / f"{name}.pt", buffer.getvalue())
    write_json(folder / f"{name}.json", record)
    return record


def _spec(name: str) -> TeacherSpec:
    if name not in TEACHERS:
        raise unknown("teacher", name, TEACHERS)
    return TEACHERS[name]


def load_teacher(name: str, folder: Path = FOLDER) -> Teacher:
    """The trained teacher of a name. Raises BadInput where its files are missing, damaged or of other weights."""
    spec = _spec(name)
    weights, record_file = folder / f"{name}.pt", folder / f"{name}.json"
    for file in (weights, record_file):
        if not file.exists():
            raise BadInput(
                f"the teacher '{name}' has no {file.name} in {folder}: train it with `python -m distill teacher`"
            )
    try:
        record = json.loads(record_file.read_text())
        expected = record["hash"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"cannot read the teacher's record {record_file}: restore the file") from error
    network = build(spec)
    try:
        halves = torch.load(weights, weights_only=True)
        if halves.keys() != _values(network).keys():
            raise BadInput(f"{weights} holds another network than the teacher '{name}': restore the file")
        network.load_state_dict(network.state_dict() | halves)
    except BadInput:
        raise
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        raise BadInput(f"cannot read the teacher's weights {weights}: restore the file or train it again") from error
    if weights_hash(network) != expected:
        raise BadInput(f"{weights} does not hold the weights that {record_file.name} names: restore both files")
    network.eval().requires_grad_(False)
    return Teacher(network, expected, record)
