"""Each fault: how a command is hurt by it, how often, and what is seen of it. `FAULTS` has them by name."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hurt import Seen, hurt, random_signals, signalled, to_a_worker, until, wait
from world import COMMANDS, DONE, RUN, Scene, Started, contents, is_there, lost, played, rows, run

STORE = Path("results/store/scores.sqlite")
HARMED = ("bench", "run", "nwot,harm", "--module", "harm.py", *RUN[3:])
BIRDS = ("bench", "run", "nwot,snip", "--benchmark", "birds", "--module", "birds.py", "--limit", "40", "--workers", "2")
PATIENCE = ("--timeout", "5")
Do = Callable[["Stage", random.Random, int], Seen]


@dataclass(frozen=True)
class Stage:
    """The scenes of all commands, and where further ones begin."""

    new: Path
    scenes: dict[str, Scene]

    @property
    def run(self) -> Scene:
        """The one with two workers."""
        return self.scenes["bench run"]

    def of(self, words: tuple[str, ...]) -> Scene:
        """The scene of another command in a new folder."""
        place = self.new.parent / str(abs(hash(words)))
        place.mkdir(exist_ok=True)
        shutil.rmtree(place / "world", ignore_errors=True)
        return played(self.new, words, place)[0]


def signals(number: signal.Signals, name: str, stage: Stage, rng: random.Random, times: int) -> Seen:
    """A command, by name, that is sent a signal at random moments."""
    return random_signals(stage.scenes[name], number, rng, times)


def killed_worker(stage: Stage, rng: random.Random, times: int) -> Seen:
    """Workers are killed; the run goes on by itself."""
    scene = stage.run
    return hurt(scene, lambda: to_a_worker(signal.SIGKILL, rng, rng.uniform(0, scene.seconds / 4)), times, ())


def stopped_worker(stage: Stage, rng: random.Random, times: int) -> Seen:
    """Workers are stopped at work, as by a debugger; the run replaces them. One that starts has ten minutes for it."""
    scene = Scene((*RUN, *PATIENCE), stage.run.begins, stage.run.ends, stage.run.seconds)
    blow = partial(to_a_worker, signal.SIGSTOP, rng, 0, at_work=True)
    return hurt(scene, blow, times, (), more="--retry")  # a slow machine may give up more than was stopped


def harm(kind: str, status: str, stage: Stage, rng: random.Random, times: int) -> Seen:
    """A proxy does harm at one cell: that row alone has no score, and has it once the proxy is mended."""
    scene, seen = stage.of(HARMED), Seen(times)
    for _ in range(times):
        folder = scene.begun()
        (folder / "harm").write_text(kind)
        run((*HARMED, *PATIENCE), folder)
        (folder / "harm").unlink()
        found = rows(folder)
        harmed = lost(scene.ends.rows, found)
        if {found[key][1] if key in found else "missing" for key in harmed} != {status} or len(harmed) != 2:
            seen.wrong.append(f"not two rows have the status {status}: {[(key, found.get(key)) for key in harmed]}")
        seen.repeated(scene, folder, "--retry")
    return seen


def no_room(stage: Stage, rng: random.Random, times: int) -> Seen:
    """No file can grow, as by `ulimit -f`; then it can again."""
    seen = Seen()
    for _ in range(times):
        folder = stage.run.begun()
        seen.times += 1
        seen.ended(*Started(RUN, folder, "no room").end(), (1,))
        seen.repeated(stage.run, folder)
    return seen


def full_disk(stage: Stage, rng: random.Random, times: int) -> Seen:
    """The store lies on a file system that is full before all is scored; then it has more room."""
    seen = Seen()
    for _ in range(times):
        folder = stage.run.begun()
        disk = folder / STORE.parent
        disk.mkdir(exist_ok=True)
        size = rng.randrange(56, 104)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            seen.remark = "only root can try it"
            return seen
        try:
            code, error = Started(RUN, folder).end()
            seen.times += code == 1
            seen.ended(code, error, (1, *DONE))
            before = rows(folder)
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            run(RUN, folder)
            seen.compare(before, rows(folder))
            seen.repeated(stage.run, folder)
        finally:
            subprocess.run(["umount", "-l", disk], check=True)
    return seen


def half_done(stage: Stage, rng: random.Random) -> Path:
    """A folder in which a run was killed half-way."""
    folder = stage.run.begun()
    started = Started(RUN, folder)
    some = rng.randrange(8, 100)
    until(lambda: len(rows(folder)) > some, started)
    if is_there(started.pid):
        os.kill(started.pid, signal.SIGKILL)
    started.end()
    return folder


def read_only(stage: Stage, rng: random.Random, times: int) -> Seen:
    """The store of a killed run cannot be written; then it can."""
    seen = Seen(times)
    for _ in range(times):
        folder = half_done(stage, rng)
        before = rows(folder)
        (folder / STORE).chmod(0o444)
        seen.ended(*Started(RUN, folder).end(), (1,))
        (folder / STORE).chmod(0o644)
        seen.compare(before, rows(folder))
        seen.repeated(stage.run, folder)
    return seen


def log_removed(stage: Stage, rng: random.Random, times: int) -> Seen:
    """The log of a run that was stopped, or killed, is deleted. What a killed one had there alone is made again."""
    seen, again = Seen(times), 0
    for number in range(times):
        folder = half_done(stage, rng)
        if number % 2:
            hurt_once = signalled(signal.SIGTERM, rng.uniform(0, stage.run.seconds))
            started = Started(RUN, folder)
            hurt_once(started, folder)
            started.end()
        before = rows(folder)
        for ending in ("-wal", "-shm"):
            (folder / f"{STORE}{ending}").unlink(missing_ok=True)
        again += len(lost(before, rows(folder)))
        seen.repeated(stage.run, folder)
    seen.remark = f"{again} rows were in the log alone, and made again"
    return seen


def log_removed_meanwhile(stage: Stage, rng: random.Random, times: int) -> Seen:
    """The log is deleted while a run writes it."""

    def blow(started: Started, folder: Path) -> dict[tuple[object, ...], tuple[object, ...]] | None:
        if not until(lambda: rows(folder), started):
            return None
        before = rows(folder)
        (folder / f"{STORE}-wal").unlink(missing_ok=True)
        return before

    return hurt(stage.run, lambda: blow, times, ())


def images_vanish(stage: Stage, rng: random.Random, times: int) -> Seen:
    """The folder of images vanishes in mid-run, and then a worker is killed; it comes back."""
    scene, seen = stage.of(BIRDS), Seen(times)
    for _ in range(times):
        folder = scene.begun()
        started = Started(BIRDS, folder)
        wait(started, rng.uniform(0, scene.seconds))
        before = rows(folder)
        (folder / "own").rename(folder / "gone")
        for worker in started.workers():
            os.kill(worker, signal.SIGKILL)
        seen.ended(*started.end(), (1, *DONE))
        (folder / "gone").rename(folder / "own")
        seen.compare(before, rows(folder))
        seen.repeated(scene, folder)
    return seen


def two_at_once(name: str, stage: Stage, rng: random.Random, times: int) -> Seen:
    """The same command twice at the same time."""
    scene, seen = stage.scenes[name], Seen(times)
    for _ in range(times):
        folder = scene.begun()
        both = [Started(scene.words, folder), Started(scene.words, folder)]
        for started in both:
            seen.ended(*started.end(), DONE)
        seen.differing += contents(folder).differs(scene.ends)
        seen.repeated(scene, folder)
    return seen


def clock(stage: Stage, rng: random.Random, times: int) -> Seen:
    """The clock goes backwards within a run and between runs, which are killed."""
    return random_signals(stage.run, signal.SIGKILL, rng, times, "clock")


FAULTS: dict[str, tuple[Do, int, int]] = {
    "a proxy ends its process": (partial(harm, "leave", "error"), 0, 3),
    "a pass does not return": (partial(harm, "hang", "timeout"), 0, 3),
    "a worker goes over its memory limit": (partial(harm, "eat", "oom"), 0, 3),
    "SIGKILL of a worker": (killed_worker, 1, 12),
    "SIGSTOP of a worker": (stopped_worker, 0, 4),
    "no file can grow": (no_room, 1, 3),
    "the disk is full": (full_disk, 0, 6),
    "the store is read-only": (read_only, 0, 3),
    "the log is deleted between runs": (log_removed, 0, 8),
    "the log is deleted in mid-run": (log_removed_meanwhile, 0, 4),
    "images vanish in mid-run": (images_vanish, 0, 6),
    "the clock goes backwards": (clock, 0, 6),
    "two at once: bench run": (partial(two_at_once, "bench run"), 0, 4),
    "two at once: distill run": (partial(two_at_once, "distill run"), 0, 2),
    "two at once: distill compare": (partial(two_at_once, "distill compare"), 0, 2),
    "two at once: analysis tables": (partial(two_at_once, "analysis tables"), 0, 2),
    "SIGTERM: bench run": (partial(signals, signal.SIGTERM, "bench run"), 1, 20),
    "Ctrl-C: bench run": (partial(signals, signal.SIGINT, "bench run"), 1, 20),
    "SIGKILL: bench run": (partial(signals, signal.SIGKILL, "bench run"), 1, 40),
    **{
        f"SIGKILL: {name}": (partial(signals, signal.SIGKILL, name), 0, 6)
        for name in COMMANDS
        if not name.startswith("bench run")
    },
}
"""By name: what tries it, and how often, in the quick half and in all."""
