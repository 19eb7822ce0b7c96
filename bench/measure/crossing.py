"""Every combination of weights, images and initialisation on a few cells: what a score's noise is made of.

A benchmark's seed draws weights and images together; here each has its own. `analysis.studies.variance` splits it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.benchmarks import Benchmark
from bench.plan import Pass, select
from bench.worker import Setup, Worker
from common import results
from common.errors import BadInput
from common.files import together
from common.formats import read_csv, read_json, write_csv, write_json
from common.progress import Progress
from proxies.base import Proxy

FOLDER = results.CROSSINGS
COLUMNS = ["proxy", "init", "cell", "weights", "images", "score", "status"]


def inits(proxy: Proxy) -> tuple[str, str]:
    """The initialisation of a proxy's definition, and PyTorch's default beside it, or Kaiming's where it is that."""
    return proxy.init, "kaiming" if proxy.init == "default" else "default"


def cross(
    setting: Benchmark,
    proxies: Sequence[Proxy],
    sample: int,
    draws: int,
    folder: Path = FOLDER,
    data: Path | None = None,
    device: str = "cpu",
    provenance: dict[str, Any] | None = None,
) -> Path:
    """Score the first `sample` functions of the visiting order with `draws` seeds of weights times as many of images,
    under both of `inits`: `<benchmark>.csv.gz`, what made it in a JSON file beside. Draws that it has are kept.

    Raises BadInput where the file was made with other settings.
    """
    path = folder / f"{setting.name}.csv.gz"
    record = {
        "benchmark": setting.name,
        "proxies": {proxy.label: proxy.version for proxy in proxies},
        "sample": sample,
        "draws": draws,
    }
    rows = _stored(path, record)
    cells = select("functions", setting.space, sample)
    done = set(zip(rows["weights"], rows["images"], strict=True))
    with Progress("crossing", draws * draws * sample, "cells") as bar:
        bar.advance(len(done) * sample)
        for images in range(draws):
            worker = _worker(setting, proxies, images, data, device)
            for weights in (seed for seed in range(draws) if (seed, images) not in done):
                found = []
                for cell in cells:
                    scored = list(_score(worker, proxies, cell, weights))
                    found += [[*row[:3], weights, images, *row[3:]] for row in scored]
                    bar.advance(1, sum(row[-1] != "ok" for row in scored))
                more = pd.DataFrame(found, columns=COLUMNS)
                rows = pd.concat([rows, more], ignore_index=True) if len(rows) else more
                _write(path, rows, record | {"provenance": provenance or {}})
    return path


def _worker(setting: Benchmark, proxies: Sequence[Proxy], images: int, data: Path | None, device: str) -> Worker:
    """Of the proxies as they are and then, in the same order, with the other initialisation."""
    other = [replace(proxy, init=inits(proxy)[1]) for proxy in proxies]
    return Setup(setting, (*proxies, *other), (), data, device, images_seed=images)()


def _score(worker: Worker, proxies: Sequence[Proxy], cell: int, weights: int) -> Iterator[list[Any]]:
    """Proxy, initialisation, cell, score, status."""
    passes: dict[tuple[str, int], list[int]] = {}
    for number, proxy in enumerate((*proxies, *proxies)):
        init = inits(proxy)[number // len(proxies)]
        passes.setdefault((init, worker.space.representatives(proxy.sees)[cell]), []).append(number)
    for (init, stands_for), readers in passes.items():
        for outcome in worker.score(Pass(weights, init, stands_for, tuple(readers))):
            yield [proxies[outcome.proxy % len(proxies)].label, init, cell, outcome.score, outcome.status]


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows of a crossing and what made them. Raises BadInput where they cannot be read."""
    again = "restore it, or remove it and make it again"
    return read_csv(path, again, COLUMNS)[COLUMNS], read_json(_beside(path), again)


def _stored(path: Path, record: dict[str, Any]) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    rows, made = read(path)
    if {name: made.get(name) for name in record} != record:
        raise BadInput(f"{path} was made with other proxies, sample or draws: name another --output, or remove it")
    return rows


def _write(path: Path, rows: pd.DataFrame, made: dict[str, Any]) -> None:
    with together():
        write_json(_beside(path), made)
        write_csv(path, rows)


def _beside(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".csv.gz") + ".json")
