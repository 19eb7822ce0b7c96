"""A benchmark of very few images: what compares images says so, and has no number that means something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore
from proxies import registry

pytestmark = pytest.mark.slow

COMPARE = {
    1: "cc cka dextr diswot diswot_relation epe_nas epsilon gradsign gradsign_mean jacov ntk ntk_alignment "
    "ntk_distance nwot pkt rkd sp swap swap_regularised wrcor zen",
    2: "cka epe_nas epsilon ntk_alignment rkd",
    8: "",
}
"""By the images of a batch, of the digits drawn by seed 0, the proxies to which it says nothing."""


def scored(folder: Path, images: int, *labels: str) -> dict[str, set[tuple[str, str]]]:
    """The statuses and reasons of three ordinary cells by proxy."""
    setting = replace(benchmark("digits"), batch=images)
    store = ScoreStore(folder / "s.sqlite")
    (folder / "cells.txt").write_text("5000\n11111\n15624\n")
    proxies = tuple(registry.create(label) for label in labels)
    execute(Request(setting, proxies, (0,), str(folder / "cells.txt")), store)
    return {
        proxy.label: {(row.status, row.reason) for stored in store.scores(setting.name, proxy) for row in stored.rows}
        for proxy in proxies
    }


@pytest.mark.parametrize("images", COMPARE)
def test_every_proxy_says_whether_so_few_images_mean_anything(tmp_path: Path, images: int) -> None:
    found = scored(tmp_path, images, *registry.known())
    silent = {label for label, rows in found.items() if any(status == "not_applicable" for status, _ in rows)}
    assert silent == set(COMPARE[images].split())
    assert all(status in ("ok", "not_applicable", "nonfinite") for rows in found.values() for status, _ in rows)


def test_a_field_that_takes_fewer_images_counts_as_the_batch(tmp_path: Path) -> None:
    for label in ("swap:images=1", "ntk:images=1", "ntk_alignment:images=2"):
        ((status, reason),) = scored(tmp_path, 64, label)[label]
        name, _, images = label.partition(":images=")
        assert status == "not_applicable"
        assert reason.startswith(f"{name} compares images: it takes ")
        assert reason.endswith(f"here is {images}")
