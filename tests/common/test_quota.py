"""The default of --workers follows a container's quota of processor time, of either version of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common import pool
from common.pool import quota

V2 = "0::/"
V1 = "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab"


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A file system with what the kernel shows there."""
    for name, text in {
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def v1(folder: str, most: int, period: int = 100_000) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": str(most), f"{folder}/cpu.cfs_period_us": str(period)}


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        (V2, {"cpu.max": "200000 100000"}, 2),  # docker run --cpus=2
        (V2, {"cpu.max": "150000 100000"}, 2),
        (V2, {"cpu.max": "50000 100000"}, 1),
        (V2, {"cpu.max": "max 100000"}, None),
        (V2, {}, None),
        (V2, {"cpu.max": "much"}, None),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "800000 100000"}, 4),
        (V1, v1("cpu,cpuacct", 200_000), 2),
        (V1, v1("cpu", 250_000, 50_000), 5),
        (V1, v1("cpu,cpuacct/docker/ab", 300_000), 3),
        (V1, v1("cpu,cpuacct", -1), None),
        (V1, v1("memory", 100_000), None),
    ],
)  # fmt: skip
def test_the_strictest_quota_counts(groups: str, files: dict[str, str], cores: int | None, tmp_path: Path) -> None:
    assert quota(machine(tmp_path, groups, files)) == cores


def test_a_system_without_control_groups_has_none(tmp_path: Path) -> None:
    assert quota(tmp_path) is None


def test_workers_are_no_more_than_the_quota_or_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    for found, expected in ((2, 2), (100, 64), (None, 64)):
        monkeypatch.setattr(pool, "quota", lambda found=found: found)
        assert pool.cores() == expected
