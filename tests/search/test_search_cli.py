"""`python -m search`: what it writes, that it goes on where it was killed, what it never reads, how it refuses."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import forked
import pytest

from bench.benchmarks import benchmark
from common.cli import run
from search.cli import app
from search.methods.registry import METHODS
from spaces.nb201.cell import CONV1, CONV3, cells
from spaces.nb201.equivalence import representatives
from spaces.nb201.skeleton import count_parameters
from tests.conftest import ROOT, Command, Fork

pytestmark = pytest.mark.slow

SKELETON = benchmark("digits").skeleton
PARAMS = [count_parameters(cell, SKELETON) for cell in cells()]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_method_finds_what_it_says_and_writes_it(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    ended = command("search", "all", "--proxy", "params", "--runs", "2", "--budget", "40", "--max-params", "50k")
    assert ended.code == 0, ended.err
    assert "digits by params, seeds 0: " in ended.out
    allowed = [number for number in PARAMS if number <= 50_000]
    for name, method in METHODS.items():
        assert name in ended.out
        found = rows(tmp_path / f"results/searches/digits-params-{name}.params=50000.csv")
        settings = json.loads((tmp_path / f"results/searches/digits-params-{name}.params=50000.json").read_text())
        assert len(found) == (1 if method.exhaustive else 2)
        assert settings["allowed"] == len(allowed)
        assert settings["limits"] == {"params": 50_000}
        for number, row in enumerate(found):
            cell = int(row["cell"])
            assert int(row["run"]) == number
            assert int(row["params"]) == PARAMS[cell] == float(row["score"]) <= 50_000
            assert int(row["evaluations"]) <= 40 or method.exhaustive
            assert row["steps"].split()[-1].endswith(f":{cell}")
    best = rows(tmp_path / "results/searches/digits-params-rank.params=50000.csv")[0]
    assert (int(best["params"]), int(best["evaluations"])) == (max(allowed), len(allowed))


def test_the_same_command_writes_the_same_bytes_and_json_says_the_same(command: Command, tmp_path: Path) -> None:
    words = ("search", "evolve:population=5,random", "--proxy", "params", "--runs", "3", "--budget", "30")
    assert command(*words).code == 0
    folder = tmp_path / "results/searches"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(first) == [
        f"digits-params-{name}.{kind}" for name in ("evolve.population=5", "random") for kind in ("csv", "json")
    ]
    ended = command(*words, "--json")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    evolve, random = json.loads(ended.out)
    assert (evolve["method"], random["method"]) == ("evolve:population=5", "random")
    assert [str(one["cell"]) for one in random["found"]] == [
        row["cell"] for row in rows(folder / "digits-params-random.csv")
    ]


def test_a_limit_on_latency_holds_by_the_table_that_lies_there(command: Command, tmp_path: Path) -> None:
    each = {"skip_connect": 0, "nor_conv_1x1": 1, "nor_conv_3x3": 2, "avg_pool_3x3": 0}
    table = {"base": 1, "operations": each, "device": "cpu", "batch": 64}
    folder = tmp_path / "results/searches"
    folder.mkdir(parents=True)
    (folder / "latency-digits-cpu.json").write_text(json.dumps(table))
    words = ("search", "rank", "--proxy", "params", "--max-latency", "4", "--device", "cpu", "--json")
    (entry,) = json.loads(command(*words).out)
    live = [[edge.operation for edge in cell.live_edges()] for cell in cells()]
    quick = [cell for cell, edges in enumerate(live) if 1 + edges.count(CONV1) + 2 * edges.count(CONV3) <= 4]
    assert entry["allowed"] == len(quick)
    assert PARAMS[entry["found"][0]["cell"]] == max(PARAMS[cell] for cell in quick)
    assert entry["latency"]["base"] == 1


def test_cells_of_a_file_are_all_there_is(command: Command, tmp_path: Path) -> None:
    (tmp_path / "cells.txt").write_text("3\n77\n15624\n")
    ended = command("search", "random", "--proxy", "params", "--runs", "1", "--cells", "cells.txt", "--json")
    (entry,) = json.loads(ended.out)
    assert entry["allowed"] == 3
    assert entry["found"][0]["cell"] == max((3, 77, 15624), key=PARAMS.__getitem__)
    assert entry["found"][0]["evaluations"] == 3


def guarded(*words: str) -> None:
    """The command, in a process that ends with 77 as soon as it opens accuracies, or their database."""

    def guard(event: str, opened: tuple[object, ...]) -> None:
        if event in ("open", "sqlite3.connect") and "accuracies" in str(opened[0]):
            os._exit(77)

    for name in [name for name in sys.modules if name.partition(".")[0] in ("search", "analysis")]:
        del sys.modules[name]  # of the process from which this one was forked

    sys.addaudithook(guard)
    sys.argv = ["search", *words, "--runs", "1", "--budget", "30"]
    try:
        run(app)
    finally:
        assert not [name for name in sys.modules if name == "search.trained" or name.startswith("analysis")]


def test_a_search_by_a_proxy_opens_no_accuracy(tmp_path: Path, fork: Fork) -> None:
    """They lie where they would be found; a search by them ends with 77."""
    for folder in ("accuracies", "costs", "scores"):
        shutil.copytree(ROOT / "results" / folder, tmp_path / "results" / folder)
    code, _, err = fork(guarded, "evolve,regularised,local,reinforce", "--proxy", "diswot").end()
    assert code == 0, err
    assert rows(tmp_path / "results/searches/digits-diswot-evolve.csv")[0]["cell"]
    assert fork(guarded, "evolve", "--accuracy", "distilled").end()[0] == 77


def test_a_search_by_accuracy_chooses_among_labelled_cells_by_validation_of_the_seeds_named(
    command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "results/accuracies"
    folder.mkdir(parents=True)
    lines = ["cell,seed,val,test,best,epochs,seconds,status"]
    labels = {4: (70, 60), 6: (50, 90), 9930: (65, 70)}  # val of seeds 0 and 1; test says the opposite
    for cell, values in labels.items():
        lines += [f"{cell},{seed},{val},{100 - val},,2,{cell % 10 + 1},ok" for seed, val in enumerate(values)]
    lines += ["8,0,99,99,,2,3,error", "10,1,99,99,,2,3,ok"]
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    (folder / "digits-distilled.csv.gz").write_bytes(gzip.compress((folder / "mine.csv").read_bytes()))
    (folder / "digits-distilled.json").write_text(json.dumps({"recipe": {"format": "csv"}}))

    def found(seeds: str) -> dict[str, object]:
        words = ("random", "--accuracy", "distilled", "--runs", "1", "--seeds", seeds, "--json")
        (entry,) = json.loads(command("search", *words).out)
        assert entry["allowed"] == 3 + (seeds == "1")
        one: dict[str, object] = entry["found"][0]
        return one

    assert (found("0")["cell"], found("0")["score"], found("0")["seconds"]) == (4, 70, 5 + 7 + 1)
    assert found("1")["cell"] == 10
    assert (found("0-1")["cell"], found("0-1")["score"], found("0-1")["seconds"]) == (6, 70, 2 * (5 + 7 + 1))


def test_a_label_of_a_function_is_that_of_all_its_cells(command: Command) -> None:
    words = ("rank", "--accuracy", str(ROOT / "results/accuracies/digits-distilled.csv.gz"), "--json")
    (entry,) = json.loads(command("search", *words).out)
    labelled = {int(row["cell"]) for row in _table()}
    stands_for = representatives("function")
    assert entry["allowed"] == sum(stands_for[cell] in labelled for cell in range(len(cells())))
    assert entry["functions"] == entry["found"][0]["evaluations"] == len(labelled)
    best = max(float(row["val"]) for row in _table() if row["seed"] == "0")
    assert entry["found"][0]["score"] == best


def _table() -> list[dict[str, str]]:
    with gzip.open(ROOT / "results/accuracies/digits-distilled.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


SEARCH = ["evolve", "--proxy", "diswot", "--runs", "2", "--budget", "40"]


def count(path: Path) -> int:
    """Rows on disk, read as a bystander does."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=600)) as database:
        try:
            return int(database.execute("SELECT COUNT(*) FROM score").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


def test_a_search_killed_and_repeated_finds_what_one_finds_that_nothing_disturbed(
    command: Command, tmp_path: Path, fork: Fork
) -> None:
    store = tmp_path / "killed.sqlite"
    words = [*SEARCH, "--store", str(store), "--output", "killed"]
    driver = fork(forked.python, "-m", "search", *words)
    deadline = time.monotonic() + 600
    while count(store) < 20:
        assert driver.process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    driver.process.kill()
    driver.end()
    made = count(store)
    assert not (tmp_path / "killed").exists()
    again = command("search", *words)
    assert again.code == 0, again.err
    whole = command("search", *SEARCH, "--store", "whole.sqlite", "--output", "whole")
    assert whole.code == 0, whole.err
    assert made < count(store) == count(tmp_path / "whole.sqlite")
    for name in ("digits-diswot-evolve.csv", "digits-diswot-evolve.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["evolv"], "unknown search method 'evolv': did you mean 'evolve'?"),
        (["evolve:k=3"], "unknown field of evolve 'k'"),
        (["evolve", "--proxy", "diswott"], "did you mean 'diswot'"),
        (["evolve", "--proxy", "diswot,nwot"], "--proxy 'diswot,nwot': a search follows one proxy"),
        (["evolve", "--proxy", "diswot_rank"], "--proxy diswot_rank: it ranks cells among others"),
        (["evolve", "--benchmark", "digit"], "did you mean 'digits'"),
        (["evolve", "--runs", "0"], "--runs 0: must be at least 1"),
        (["evolve", "--budget", "0"], "--budget 0: must be at least 1"),
        (["evolve", "--seeds", "x"], "--seeds 'x': expected numbers"),
        (["evolve", "--max-params", "few"], "--max-params 'few': expected a number, 500000"),
        (["evolve", "--proxy", "params", "--max-params", "1k"], f"the least is {min(PARAMS)}"),
        (["evolve", "--max-latency", "5k"], "--max-latency '5k': expected a number, milliseconds such as 3.5"),
        (["evolve", "--cells", "none.txt"], "--cells 'none.txt': neither a cell set"),
        (["evolve", "--accuracy", "distiled"], "--accuracy 'distiled': neither distilled nor vanilla"),
    ],
)
def test_a_word_that_means_nothing_ends_with_2(command: Command, words: list[str], expected: str) -> None:
    ended = command("search", *words)
    assert expected in ended.error
    assert (ended.code, ended.out) == (2, "")


def test_a_missing_table_ends_with_1(command: Command) -> None:
    ended = command("search", "evolve", "--accuracy", "vanilla", "--benchmark", "cifar10")
    assert "no accuracy table results/accuracies/cifar10-vanilla.csv.gz" in ended.error
    assert ended.code == 1


def test_tpe_without_optuna_says_what_to_install(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.methods.tpe.importlib.util.find_spec", lambda name: None)
    ended = command("search", "random,tpe", "--proxy", "params")
    assert "the method tpe needs Optuna: pip install 'diswot-bench[search]'" in ended.error
    assert ended.code == 1
