"""What made the numbers of the page: command, commit, versions, and where their recipe stands."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.report.words import TABLES, table_of

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


def run_of(proxy: str, benchmark: str, seeds: Sequence[str]) -> str:
    """The command that scores a proxy: of its seeds, under the teacher that its name says."""
    label, _, teacher = proxy.partition("@")
    words = [f"python -m bench run {label} --benchmark {benchmark}"]
    words += [f"--teacher {teacher}"] if teacher else []
    first, last = (min(map(int, seeds)), max(map(int, seeds))) if seeds else (0, 0)
    return " ".join([*words, f"--seeds {first}-{last}" if last > first else f"--seeds {first}"])


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
