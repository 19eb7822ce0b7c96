"""Search to distil: a proxy finds a student, DistPro learns the process that distils it, and it is distilled, beside KD
and without a teacher.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.ondemand import OnDemand
from bench.runner import Request
from common.errors import BadInput
from common.formats import read_json, write_json
from common.progress import Progress
from distill.comparison import BASELINE, Pair, compare, learn, process_name, read_rows
from distill.process.distpro import Settings
from distill.process.objectives import Processes
from distill.process.pathways import between
from distill.process.process import read_process, read_processes
from distill.process.stages import STAGES
from search.methods.base import Method
from search.objective import by_proxy
from search.records import name_of
from search.searches import Plan, search, settings, space_of

PROCESS_SEED = 100
"""Of the search of the process: none that its students have."""
EVERY = 5.0
"""Seconds after which the record knows what a step has taken so far."""


@dataclass(frozen=True)
class Folders:
    """A `Folders` says where files lie: what is finished in folders of `results`, what is not in `scratch`."""

    results: Path
    scratch: Path

    @property
    def students(self) -> Path:
        return self.results / "students"

    @property
    def processes(self) -> Path:
        return self.results / "processes"

    @property
    def distillation(self) -> Path:
        return self.results / "distillation"


@dataclass
class Record:
    """A `Record` holds what is known of a student so far, and is on disk at any moment.

    `seconds` of a step are those of all runs of the command, stopped ones included, until it was finished.
    """

    path: Path
    facts: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, asked: dict[str, Any]) -> Record:
        """Begin a record, or read that which lies there. Raises BadInput where that is damaged or of another search."""
        if not path.exists():
            return cls(path, {"search": asked})
        facts = read_record(path)
        if facts["search"] != json.loads(json.dumps(asked)):  # through JSON, which knows no tuples
            raise BadInput(f"{path} is of another search: move it away, or name another folder with --output")
        return cls(path, facts, facts.pop("seconds"))

    @contextmanager
    def step(self, name: str, done: bool) -> Iterator[Callable[[], None]]:
        """Time a step, unless it was `done` before; the function given is to be called while it is at work."""
        before, start = self.seconds.get(name, 0.0), time.monotonic()
        written = start

        def note() -> None:
            if not done:
                self.seconds[name] = round(before + time.monotonic() - start, 2)
            write_json(self.path, self.facts | {"seconds": self.seconds})

        def tell() -> None:
            nonlocal written
            if time.monotonic() - written >= EVERY:
                written = time.monotonic()
                note()

        note()
        try:
            yield tell
        finally:
            note()


def read_record(path: Path) -> dict[str, Any]:
    """Read what is known of a student so far, by name. Raises BadInput for a missing or damaged file."""
    if not path.exists():
        raise BadInput(f"no student {path}: `python -m search student` makes one")
    return read_json(path, "restore it or move it away", ("search", "seconds"))


def student(
    plan: Plan,
    among: Sequence[int],
    method: Method,
    request: Request,
    scores: OnDemand,
    recipe: str,
    seeds: Sequence[int],
    given: Path | None,
    folders: Folders,
) -> Path:
    """Find a student among cells, learn its process, or take that of the file `given`, and distil it with each seed.

    All that is done lies on disk, so that the same command goes on where it was stopped. The record of the student.
    """
    if given is not None:
        read_process(given)  # a wrong file is told before anything is searched
    objective = by_proxy(request, scores)
    space = space_of(plan, among, objective)
    asked = settings(method, objective, plan, space) | {"benchmark": recipe}
    name = name_of(asked)
    if given is not None:
        asked["process"], name = given.stem, f"{name}.process={given.stem}"
    record = Record.of(folders.students / f"{name}.json", asked)

    with record.step("search", "found" in record.facts):
        (found,) = search(method, objective, plan, space)
        if found.cell is None:
            raise BadInput("nothing that the search evaluated has a score: name another proxy, or --retry its cells")
        pair, cell = Pair(recipe, str(found.cell)), str(plan.benchmark.space.at(found.cell))
        record.facts |= {"found": vars(found), "cell": cell, "pair": pair.name}
    processes = _process(pair, given, record, request, folders)
    _distil(pair, processes, seeds, record, request, folders)
    return record.path


def _process(pair: Pair, given: Path | None, record: Record, request: Request, folders: Folders) -> Processes:
    """The process of a file, or that of the pair, learned where it is not there yet."""
    how = Settings()
    path = given or folders.processes / f"{process_name(pair, how, PROCESS_SEED)}.json"
    done = "process" in record.facts or (path.exists() and "process" not in record.seconds)
    with record.step("process", done) as tell:
        if given is None and not path.exists():
            steps = pair.recipe.steps
            with Progress(f"process {pair.name}", steps, "steps") as bar:

                def watch(step: int) -> None:
                    bar.advance(step - bar.done)
                    tell()

                checkpoint = folders.scratch / "checkpoints" / f"process-{path.stem}.pt"
                pathways = between(STAGES[1:], ["T4"])
                learned = learn(
                    pair, pathways, how, PROCESS_SEED, request.data, request.device, checkpoint, watch=watch
                )
            learned.write(path)
        processes = read_processes([path])
        record.facts["process"] = str(path)
    return processes


def _distil(
    pair: Pair, processes: Processes, seeds: Sequence[int], record: Record, request: Request, folders: Folders
) -> None:
    of = record.facts["search"].get("process")
    losses = ["vanilla", BASELINE, f"replay@{of}" if of else "replay"]
    wanted = [[loss, seed] for loss in losses for seed in seeds]
    there = [[row.loss, row.seed] for row in read_rows(folders.distillation / f"{pair.name}.csv")]
    missing = [one for one in wanted if one not in there]
    # those that a stopped run meant to train are this command's own
    ours = [one for one in wanted if one in missing or one in record.facts.get("trained", [])]
    record.facts |= {"losses": losses, "seeds": list(seeds), "trained": ours}
    steps = pair.recipe.steps * len(seeds)
    with (
        record.step("distillation", not missing) as tell,
        Progress(f"compare {pair.name}", steps, "steps") as bar,
    ):

        def watch(step: int) -> None:
            bar.advance(step - bar.done)
            tell()

        compare(
            pair,
            losses,
            seeds,
            folders.distillation,
            folders.scratch,
            processes,
            request.data,
            request.device,
            watch=watch,
        )
