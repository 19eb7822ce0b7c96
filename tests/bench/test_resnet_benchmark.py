"""`resnet-cifar100` from end to end: runs, searches, imported labels, and what stands beside the parameters."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.read.columns import counted
from analysis.read.labels import load_labels
from analysis.studies.correlate import judge
from analysis.studies.over_params import beside
from bench.benchmarks import ResNetTeacher, benchmark, names, teacher_name, with_teacher
from bench.identity import fingerprint, name_of, settings
from bench.plan import select
from bench.runner import Request, execute
from bench.store import ScoreStore, StoredRow
from common.errors import BadInput
from distill.tables import read_table, table_path
from proxies.registry import create
from spaces.nb201.cell import cell_at
from spaces.nb201.space import NB201
from spaces.resnet.space import RESNET, ResNetSkeleton, codes
from tests.conftest import Command

SETTING = benchmark("resnet-cifar100")
TINY = replace(SETTING, skeleton=ResNetSkeleton(2, 10, 8), teacher=ResNetTeacher(20, 2, (2, 4, 8), 10), batch=4)
BLIND = ("params", "synflow", "zen")
"""Proxies that read no image of the data set."""
RUN = ("--benchmark", "resnet-cifar100", "--workers", 1)


def request(**changes: object) -> Request:
    return replace(Request(TINY, tuple(map(create, BLIND)), (0, 1)), **changes)


def rows(store: ScoreStore, proxy: str) -> list[tuple[int, list[StoredRow]]]:
    return [(entry.seed, list(entry.rows)) for entry in store.scores(TINY.name, create(proxy))]


# settings


def test_the_teacher_is_the_papers_and_has_one_name() -> None:
    assert SETTING.teacher == ResNetTeacher(110, 16, (16, 32, 64), 100)
    assert SETTING.data_set == "cifar100"
    assert with_teacher(SETTING, "resnet110") == SETTING
    assert name_of(create("diswot"), SETTING) == "diswot"
    assert name_of(create("diswot"), with_teacher(SETTING, "resnet20")) == "diswot@resnet20"
    assert teacher_name("cifar100", SETTING.teacher.record()) == "resnet110"


def test_a_setting_says_of_which_space_it_is_and_that_of_cells_says_what_it_said() -> None:
    for name in names():
        of = benchmark(name)
        if of.space not in (NB201, RESNET):
            continue
        assert of.data_set == ("cifar100" if name == "resnet-cifar100" else name)
        record = settings(create("params"), of, None)["skeleton"]
        sizes = {"channels": of.skeleton.channels, "classes": of.skeleton.classes, "size": of.skeleton.size}
        own = {"space": "resnet"} if of.space == RESNET else {"cells_per_stage": of.skeleton.cells_per_stage}
        assert record == sizes | own
    prints = {name: fingerprint(settings(create("params"), benchmark(name), None)) for name in names()}
    for part in [name for name in prints if name.endswith("-subset")]:
        assert prints.pop(part) == prints[part.removesuffix("-subset")]
    whole = len(prints)
    assert prints.pop("cifar10-16px") == prints["digits"], "equal networks have equal counts whatever the images are"
    assert len(set(prints.values())) == len(prints) == whole - 1
    seen = {fingerprint(settings(create("nwot"), benchmark(name), f"images of {name}")) for name in names()}
    assert len(seen) == len(names())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backbone", "xautodl"], "--backbone xautodl: it has no networks of the space 'resnet' (resnet-cifar100)"),
        (["--teacher", "best"], "--teacher best: students of resnet-cifar100 have a ResNet as teacher: resnet20, "),
        (["--teacher", "random:3"], "--teacher random:3: students of resnet-cifar100 have a ResNet as teacher"),
        (["--teacher", "trained"], "--teacher trained: no teacher is trained for resnet-cifar100"),
        (["--teacher", "resnet21"], "unknown teacher 'resnet21': did you mean"),
        (["--cells", "valid"], "--cells 'valid': neither a cell set (all, functions, labelled) nor a file"),
        (["--cells", "codes.txt"], "codes.txt, line 2: unknown depth code '723'"),
    ],
)
def test_what_these_networks_lack_is_told_in_one_line(
    command: Command, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "codes.txt").write_text("713\n723\n")
    ended = command("bench", "run", "params", *RUN, *words)
    assert ended.code == 2
    assert message in ended.error


@pytest.mark.slow
def test_the_conventional_loop_and_latencies_are_of_cells(command: Command) -> None:
    ended = command("bench", "speed", "--benchmark", "resnet-cifar100")
    assert (ended.code, "the conventional loop is that of NAS-Bench-201's cells" in ended.error) == (2, True)
    ended = command("search", "rank", "--proxy", "params", "--benchmark", "resnet-cifar100", "--max-latency", 5)
    assert ended.code == 2
    assert "--max-latency: times are of the operations of cells, and resnet-cifar100 has none" in ended.error


# runs


@pytest.mark.slow
def test_a_run_that_was_interrupted_ends_with_the_same_numbers(tmp_path: Path) -> None:
    whole, parted = ScoreStore(tmp_path / "whole.sqlite"), ScoreStore(tmp_path / "parted.sqlite")
    assert execute(request(limit=16), whole).ok == 16 * 2 * len(BLIND)
    execute(request(seeds=(1,), limit=5), parted)
    execute(request(proxies=(create("zen"),), seeds=(0,), limit=11), parted)
    summary = execute(request(limit=16), parted)
    assert (summary.ok, summary.failed) == (16 * 2 * len(BLIND), 0)
    assert execute(request(limit=16), parted).passes == 0
    for proxy in BLIND:
        assert rows(parted, proxy) == rows(whole, proxy)
        assert [row.cell for row in rows(whole, proxy)[0][1]] == sorted(select("all", RESNET, 16))
    whole.close()
    parted.close()


@pytest.mark.slow
def test_scores_are_run_shown_exported_and_verified(command: Command, tmp_path: Path) -> None:
    (tmp_path / "codes.txt").write_text("# two\n713\n[3, 3, 3]\n")
    assert command("bench", "run", "params,l2_norm", *RUN, "--cells", "codes.txt", "--store", "s.sqlite").code == 0
    assert command("bench", "run", "params", "--cells", "codes.txt", "--store", "s.sqlite").code == 2  # no cells
    (tmp_path / "49.txt").write_text("49\n")
    assert command("bench", "run", "params", "--cells", "49.txt", "--store", "s.sqlite").code == 0
    shown = json.loads(command("bench", "show", "713", "--space", "resnet", "--store", "s.sqlite", "--json").out)[0]
    assert (shown["cell"], shown["string"], shown["same_function"]) == (49, "713", [49])
    found = {row["proxy"]: (row["benchmark"], row["score"]) for row in shown["scores"]}
    assert found["params"] == ("resnet-cifar100", 259_892)
    assert set(found) == {"params", "l2_norm"}
    of_cell = json.loads(command("bench", "show", "49", "--store", "s.sqlite", "--json").out)[0]
    assert (of_cell["string"], [row["benchmark"] for row in of_cell["scores"]]) == (str(cell_at(49)), ["digits"])
    ended = command("bench", "verify", "params,l2_norm", "--benchmark", "resnet-cifar100", "--store", "s.sqlite")
    assert ended.out.count("2 rows scored again, 0 differ") == 2
    ended = command("bench", "export", "params", "--benchmark", "resnet-cifar100", "--store", "s.sqlite")
    assert ended.code == 0
    manifest = json.loads((tmp_path / "results/scores/resnet-cifar100/manifest.json").read_text())
    (setting,) = manifest["params.csv.gz"]["settings"].values()
    assert setting["record"]["skeleton"] == {"space": "resnet", "channels": 16, "classes": 100, "size": 32}


@pytest.mark.slow
def test_the_report_shows_them_with_and_without_labels(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("plotly")
    command("bench", "run", "params", *RUN, "--store", "s.sqlite")
    command("bench", "export", "params", "--benchmark", "resnet-cifar100", "--store", "s.sqlite")
    for labelled in (False, True):
        if labelled:
            imported(command, labels_file(tmp_path), "distilled")
        ended = command("analysis", "report")
        assert ended.code == 0, ended.err
        page = (tmp_path / "results/report.html").read_text()
        assert "networks of 16 channels and 1, 3, 5 or 7 residual blocks a stage;" in page
        assert ("No accuracy tables of this benchmark are stored" in page) != labelled


@pytest.mark.slow
def test_a_search_ends_at_a_depth_code_within_the_limit(command: Command, tmp_path: Path) -> None:
    counts = {code: SETTING.skeleton.count_parameters(code) for code in codes()}
    words = ("search", "evolve:population=8,rank", "--benchmark", "resnet-cifar100", "--proxy", "params")
    ended = command(*words, "--max-params", "0.26M", "--runs", 4, "--budget", 40)
    assert ended.code == 0, ended.err
    best = max((code for code in codes() if counts[code] <= 260_000), key=counts.__getitem__)
    assert f"cell {best.index}: {best}\n" in ended.out
    for method, runs in (("evolve.population=8", 4), ("rank", 1)):
        name = f"resnet-cifar100-params-{method}.params=260000.csv"
        with (tmp_path / "results/searches" / name).open(newline="") as file:
            found = list(csv.DictReader(file))
        assert len(found) == runs
        for row in found:
            assert int(row["params"]) == counts[codes()[int(row["cell"])]] == float(row["score"]) <= 260_000
            assert int(row["flops"]) == SETTING.skeleton.count_multiply_adds(codes()[int(row["cell"])])
    assert int(found[0]["cell"]) == best.index
    ended = command(*words, "--max-params", "1k")
    assert ended.code == 2
    assert f"the least is {min(counts.values())}" in ended.error


# labels


def labels_file(tmp_path: Path) -> Path:
    """A made-up accuracy for every code, larger for more blocks, with some disorder."""
    path = tmp_path / "depths.txt"
    path.write_text("".join(f"{code} {40 + sum(code.blocks) + code.index % 5 / 4}\n" for code in codes()))
    return path


def imported(command: Command, path: Path, *modes: str) -> None:
    for mode in modes:
        words = ("--dataset", "cifar100", "--name", f"resnet-cifar100-{mode}")
        assert command("analysis", "import", "resnet-depths", path, *words).code == 0


@pytest.mark.slow
def test_imported_labels_judge_scores_and_say_that_no_ceiling_is_known(command: Command, tmp_path: Path) -> None:
    imported(command, labels_file(tmp_path), "distilled", "vanilla")
    command("bench", "run", "layers", *RUN, "--store", "s.sqlite")
    words = ("--benchmark", "resnet-cifar100", "--store", "s.sqlite")
    ended = command("analysis", "correlate", "layers", *words)
    assert ended.code == 0, ended.err
    assert "cell set 'all', 64 labelled cells" in ended.out
    assert "ceiling: unknown, the labels have a single seed" in ended.out
    assert "beside params" in ended.out
    accuracy = [40 + sum(code.blocks) + code.index % 5 / 4 for code in codes()]
    layers = [SETTING.skeleton.count_layers(code) for code in codes()]
    (found, *_) = json.loads(command("analysis", "correlate", "layers", *words, "--json").out)
    assert found["n"] == 64
    assert found["spearman"] == pytest.approx(stats.spearmanr(layers, accuracy).statistic)
    ended = command("analysis", "correlate", "params", *words, "--against", "gain")
    assert "64 labelled cells" in ended.out  # no gain anywhere: a constant, on which nothing is judged
    assert "–" in ended.out
    ended = command("analysis", "reliability", "--benchmark", "resnet-cifar100")
    assert ended.code == 0, ended.err
    assert "unknown: needs two seeds of three classes" in ended.out


@pytest.mark.slow
def test_a_csv_file_may_name_codes_or_indices(command: Command, tmp_path: Path) -> None:
    lines = [f"{code},{code.index},{50 + code.index / 4}" for code in codes()]
    (tmp_path / "mine.csv").write_text("\n".join(["arch,index,accuracy", *lines]))
    ended = command("analysis", "correlate", "params", "--benchmark", "resnet-cifar100", "--against", "mine.csv")
    assert ended.code == 0, ended.err
    assert "64 labelled cells" in ended.out
    (tmp_path / "mine.csv").write_text("arch,index,accuracy\n713,48,50\n")
    with pytest.raises(BadInput, match="line 2: '48' and '713' are different cells of the space 'resnet'"):
        load_labels(str(tmp_path / "mine.csv"), "resnet-cifar100")


@pytest.mark.slow
def test_labels_of_one_space_judge_no_scores_of_another(command: Command, tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("index,accuracy\n3,50\n4,60\n5,70\n")
    command("analysis", "import", "csv", "cells.csv", "--dataset", "cifar100", "--name", "resnet-cifar100-distilled")
    ended = command("analysis", "correlate", "params", "--benchmark", "resnet-cifar100")
    assert ended.code == 1
    assert "labels networks of the space 'nb201', and scores are of the space 'resnet'" in ended.error
    ended = command("search", "random", "--accuracy", "distilled", "--benchmark", "resnet-cifar100")
    assert "is of the space 'nb201', and the search is in the space 'resnet'" in ended.error


# beside params


@pytest.mark.slow
def test_difference_and_partial_correlation_are_those_of_the_formulas() -> None:
    rng = np.random.default_rng(0)
    labels = pd.Series(rng.normal(size=64), index=range(64))
    sizes = counted("params", SETTING, range(64))
    score = pd.Series(labels + 0.5 * stats.rankdata(sizes) / 64 + rng.normal(size=64), index=range(64))
    score[[3, 9]] = np.nan  # without a score: left out on both sides
    results = [judge("mine", [0], score, labels, RESNET), judge("params", [], sizes, labels, RESNET)]
    (found,) = beside(results, labels, RESNET)
    kept = score.dropna().index
    x, y, z = score[kept], labels[kept], sizes[kept]
    rho = {
        pair: stats.spearmanr(*pair_of).statistic for pair, pair_of in (("xy", (x, y)), ("xz", (x, z)), ("yz", (y, z)))
    }
    assert found.over.n == 62
    assert found.over.difference == pytest.approx(rho["xy"] - rho["yz"])
    partial = (rho["xy"] - rho["xz"] * rho["yz"]) / np.sqrt((1 - rho["xz"] ** 2) * (1 - rho["yz"] ** 2))
    assert found.given == pytest.approx(partial)


def test_no_networks_are_lumped_together_when_drawn() -> None:
    """Classes of cells are none of ResNets: the interval has to be that of 64 observations."""
    labels = pd.Series(np.arange(64.0) + np.random.default_rng(1).normal(0, 20, 64), index=range(64))
    found = judge("params", [], counted("params", SETTING, range(64)), labels, RESNET)
    again = judge("params", [], counted("params", SETTING, range(64)), labels, NB201)
    assert found.correlation.spearman == again.correlation.spearman
    assert found.correlation.spearman_low != again.correlation.spearman_low


# the published accuracies


def published(mode: str) -> pd.Series:
    file = Path(os.environ.get("DISWOT_DATA", "")) / f"resnet_s0/{mode}_accuracy.txt"
    if "DISWOT_DATA" not in os.environ or not file.exists():
        pytest.skip(f"set DISWOT_DATA to a folder with resnet_s0/{file.name}")
    found = dict(line.split() for line in file.read_text().splitlines())
    return pd.Series({RESNET.resolve(code): float(accuracy) for code, accuracy in found.items()}).sort_index()


@pytest.mark.slow
def test_published_accuracies_agree_with_each_other_and_with_size_as_is_known(command: Command, tmp_path: Path) -> None:
    sizes = counted("params", SETTING, range(64))
    distilled, vanilla = published("distilled"), published("vanilla")
    assert stats.kendalltau(distilled, vanilla).statistic == pytest.approx(0.836, abs=5e-4)
    assert stats.kendalltau(distilled, sizes).statistic == pytest.approx(0.873, abs=5e-4)
    assert stats.spearmanr(distilled, sizes).statistic == pytest.approx(0.968, abs=5e-4)
    for mode, by_code in (("distilled", distilled), ("vanilla", vanilla)):
        path = tmp_path / f"{mode}.txt"
        path.write_text("".join(f"{RESNET.at(index)} {value}\n" for index, value in by_code.items()))
        imported(command, path, mode)
        table = read_table(table_path("resnet-cifar100", mode, tmp_path / "results/accuracies"))
        assert table.rows.set_index("cell")["test"].to_dict() == pytest.approx(by_code.to_dict())
    words = ("analysis", "correlate", "params", "--benchmark", "resnet-cifar100", "--json")
    (params, flops) = json.loads(command(*words).out)
    assert (params["kendall"], params["spearman"]) == pytest.approx((0.873, 0.968), abs=5e-4)
    assert (flops["kendall"], flops["spearman"]) == pytest.approx((0.657, 0.814), abs=5e-4)
    (params, _) = json.loads(command(*words, "--against", "gain").out)
    assert params["kendall"] == pytest.approx(0.45, abs=5e-3)
