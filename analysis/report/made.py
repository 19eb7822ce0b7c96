"""What made the numbers of the page: command, commit, versions, and where their recipe stands."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.report.words import TABLES, table_of
from bench.benchmarks import Benchmark
from bench.plan import LABELLED, labelled_modes, select_of

UNKNOWN = "not known: no git history has this file"
PINNED = ("torch", "numpy", "scipy", "pandas", "matplotlib")
"""The packages whose versions are told; `constraints.txt` of the commit has all."""


@dataclass(frozen=True)
class Made:
    """How numbers came to be. `recipe` is the anchor on the page of how their labels were trained; empty where none
    were."""

    command: str
    commit: str
    versions: str
    recipe: str = ""


@dataclass(frozen=True)
class History:
    """The commits in which the files below a folder became what they are."""

    folder: Path

    @cached_property
    def _last(self) -> dict[str, str]:
        """The last commit of each file that git keeps and nobody has edited, by its path in the folder."""
        edited = set(_git(self.folder, "diff", "HEAD", "--name-only", "--relative", "--", ".").splitlines())
        found: dict[str, str] = {}
        log = _git(self.folder, "log", "--format=%x00%H", "--name-only", "--relative", "--", ".")
        for entry in filter(str.strip, log.split("\0")):
            commit, *names = filter(None, entry.splitlines())
            for name in names:
                found.setdefault(name, commit)
        return {name: commit for name, commit in found.items() if name not in edited}

    @cached_property
    def _versions(self) -> dict[str, str]:
        return {commit: _pinned(self.folder, commit) for commit in {*self._last.values()}}

    def made(self, path: Path, command: str, recipe: str = "") -> Made:
        """What made a file of the folder, by the command that does."""
        commit = self._last.get(path.relative_to(self.folder).as_posix(), "")
        return Made(command, commit or UNKNOWN, self._versions.get(commit, "") or UNKNOWN, recipe)


def made_by_runs(runs: Sequence[Mapping[str, Any]], command: str, recipe: str) -> Made:
    """What made scores of the user's store, by the provenance of its runs."""

    def known(*names: str) -> str:
        said = dict.fromkeys(" ".join(f"{name} {run[name]}" for name in names if run.get(name)) for run in runs)
        return "; ".join(one for one in said if one) or "not recorded"

    commits = dict.fromkeys(str(run["commit"]) for run in runs if run.get("commit"))
    return Made(command, ", ".join(commits) or "not recorded", known("python", "torch", "device"), recipe)


def of_table(stem: str, benchmark: str) -> str:
    """The commands that make a table from nothing, by its file's name."""
    name = table_of(stem)
    return TABLES[name].command.format(benchmark=benchmark) if name else "make tables"


@dataclass(frozen=True)
class Runs:
    """The commands that score proxies on a benchmark."""

    setting: Benchmark

    def of(self, proxy: str, scored: Mapping[int, Collection[int]]) -> str:
        """Those of a proxy, under the teacher that its name says: `scored` are its cells by seed."""
        label, _, teacher = proxy.partition("@")
        run = f"python -m bench run {label} --benchmark {self.setting.name}"
        run += f" --teacher {teacher}" if teacher else ""
        seeds_of: dict[str, list[int]] = {}
        for seed, cells in sorted(scored.items()):
            seeds_of.setdefault(self._chosen(set(cells)), []).append(seed)
        return " && ".join(f"{run}{chosen} --seeds {_listed(seeds)}" for chosen, seeds in seeds_of.items())

    @cached_property
    def _sets(self) -> dict[str, list[int]]:
        """The cells of each named set, in visiting order."""
        names = [*self.setting.space.sets, *([LABELLED] if labelled_modes(self.setting.name) else [])]
        return {name: select_of(name, self.setting) for name in names}

    def _chosen(self, cells: set[int]) -> str:
        """The options that choose these cells: a set, or the first of one; FILE is a list of what is neither."""
        named = {
            name: "" if len(order) == len(self.setting.space) else f" --cells {name}"
            for name, order in self._sets.items()
        }
        for name, order in self._sets.items():
            if len(order) == len(cells) and cells.issuperset(order):
                return named[name]
        for name, order in self._sets.items():
            if cells.issuperset(order[: len(cells)]) and len(order) > len(cells):
                return f"{named[name]} --limit {len(cells)}"
        return " --cells FILE"


def _listed(seeds: list[int]) -> str:
    """Seeds as `--seeds` reads them: `0-2` where none between is left out."""
    first, last = seeds[0], seeds[-1]
    return f"{first}-{last}" if last - first == len(seeds) - 1 > 0 else ",".join(map(str, seeds))


def _pinned(folder: Path, commit: str) -> str:
    """What `constraints.txt` of a commit says of the packages that compute."""
    lines = _git(folder, "show", f"{commit}:constraints.txt").splitlines()
    versions = dict(line.split("==", 1) for line in lines if "==" in line)
    return ", ".join(f"{name} {versions[name]}" for name in PINNED if name in versions)


def _git(folder: Path, *words: str) -> str:
    """What git prints; nothing where there is none, or no repository."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout
