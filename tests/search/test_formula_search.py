"""`python -m search formula` and `statistics`: what they find and write, that a killed one goes on to the same end, the
control, how they refuse."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from formula_world import STORE, TOLD, formula_world, recorded
from heavy import heavy_imports
from small_results import CELLS, accuracies

from bench.benchmarks import benchmark
from common.cli import run
from common.errors import BadUsage
from search.cli import app
from search.formula.evolution import OK, Archive, Evolution, Search, crossed, mutated, random_formula
from search.formula.expression import parse
from search.formula.functions import Spearman, functions_of
from search.formula.halves import halves, shuffled
from search.formula.names import LEAVES
from search.formula.records import COLUMNS, VALUES, read
from search.formula.store import FormulaStore
from tests.conftest import Command, Fork

pytestmark = pytest.mark.slow

SHORT = ("formula", "--runs", 2, "--controls", 2, "--budget", 300, "--population", 40)
SETTING = benchmark("digits")


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "results/formulas").iterdir())}


def count(store: Path, table: str = "judged") -> int:
    try:
        with closing(sqlite3.connect(store)) as database:
            return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """The store of a small world."""
    return formula_world(tmp_path)


def test_a_formula_is_found_and_written_with_its_values(command: Command, tmp_path: Path, world: Path) -> None:
    ended = command("search", *SHORT, "--formula", f"neg({TOLD})")
    assert ended.code == 0, ended.err
    formulas, values, settings = read("digits", tmp_path / "results/formulas")
    assert set(COLUMNS) <= set(formulas)
    assert set(VALUES) == set(values)
    assert formulas["kind"].tolist() == ["found"] * 2 + ["control"] * 2 + ["given"]
    found = formulas[formulas["kind"] != "given"]
    assert (found["judged"] == 300).all()
    assert (found[["ok", "same", "constant", "nonfinite"]].sum(axis=1) == 300).all()
    assert found[found["kind"] == "found"]["fitness"].max() > 0.9
    assert TOLD in found["formula"].iloc[found["fitness"].argmax()]
    assert formulas["fitness"].iloc[-1] < -0.9
    assert len(values) == 5 * 2 * len(CELLS)
    assert (settings["seeds"], settings["labels"]["functions"]) == ([0], {"searched": 15, "other": 15})
    with FormulaStoreOf(world) as store:
        (sweep,) = store.statistics("digits", 1)
    functions = functions_of(sweep, CELLS)
    for number, text in zip(formulas["number"], formulas["formula"], strict=True):
        own = values[(values["number"] == number) & (values["seed"] == 1)].set_index("cell")["value"]
        np.testing.assert_allclose(own[CELLS], functions.values(parse(text)), rtol=1e-6)


class FormulaStoreOf:
    """A store, closed at the end."""

    def __init__(self, path: Path) -> None:
        self._store = FormulaStore(path)

    def __enter__(self) -> FormulaStore:
        return self._store

    def __exit__(self, *ended: object) -> None:
        self._store.close()


def test_the_same_command_judges_nothing_anew_and_writes_the_same_bytes(command: Command, tmp_path: Path) -> None:
    store = formula_world(tmp_path)
    assert command("search", *SHORT).code == 0
    first, judged = written(tmp_path), count(store)
    assert judged == 4 * 300
    assert command("search", *SHORT).code == 0
    assert (written(tmp_path), count(store)) == (first, judged)
    with closing(sqlite3.connect(store)) as database:
        database.execute("DELETE FROM judged")
        database.commit()
    assert command("search", *SHORT).code == 0
    assert written(tmp_path) == first


def test_what_a_search_sees_is_one_half(command: Command, tmp_path: Path, world: Path) -> None:
    """Other labels on the other half change nothing of what is found."""
    assert command("search", *SHORT[:3], "--controls", 0, *SHORT[5:]).code == 0
    first, _, _ = read("digits", tmp_path / "results/formulas")
    _, other = halves(CELLS, SETTING)
    table = tmp_path / "results/accuracies/digits-distilled.csv.gz"
    import pandas as pd

    rows = pd.read_csv(table)
    rows.loc[rows["cell"].isin(other), "test"] = 50.0 + rows["cell"] % 7
    rows.to_csv(table, index=False)
    assert command("search", *SHORT[:3], "--controls", 0, *SHORT[5:]).code == 0
    again, _, _ = read("digits", tmp_path / "results/formulas")
    assert again[["formula", "fitness"]].equals(first[["formula", "fitness"]])


def test_halves_are_every_second_function_and_have_nothing_in_common() -> None:
    searched, other = halves(list(reversed(CELLS)), SETTING)
    assert (searched, other) == (CELLS[::2], CELLS[1::2])


def test_a_control_has_the_same_labels_on_other_functions() -> None:
    labels = {cell: float(cell) for cell in CELLS}
    one, again, other = shuffled(labels, 0), shuffled(labels, 0), shuffled(dict(reversed(labels.items())), 1)
    assert one == again
    assert sorted(one.values()) == sorted(other.values()) == sorted(labels.values())
    assert one != other
    assert sum(one[cell] == labels[cell] for cell in CELLS) < len(CELLS) / 2


def test_a_control_finds_less_and_nothing_that_holds(command: Command, tmp_path: Path, world: Path) -> None:
    ended = command("search", *SHORT[:1], "--runs", 2, "--controls", 4, *SHORT[5:])
    assert ended.code == 0, ended.err
    formulas, values, _ = read("digits", tmp_path / "results/formulas")
    labels = accuracies()["distilled"].mean(axis=1).to_dict()
    searched, other = halves(CELLS, SETTING)
    held = []
    for row in formulas[formulas["kind"] == "control"].to_dict("records"):
        dealt = shuffled(labels, int(row["run"]))
        own = values[(values["number"] == row["number"]) & (values["seed"] == 0)].set_index("cell")["value"]
        there = Spearman(np.array([dealt[cell] for cell in searched]))(own[searched].to_numpy())
        assert there == pytest.approx(row["fitness"], abs=1e-6)
        held.append(Spearman(np.array([dealt[cell] for cell in other]))(own[other].to_numpy()))
    found = formulas.groupby("kind")["fitness"].mean()
    assert 0.4 < found["control"] < found["found"]
    assert abs(np.mean(held)) < 0.4


def search(store: FormulaStore, **fields: int) -> Search:
    (sweep,) = store.statistics("digits", 0)
    labels = accuracies()["distilled"].mean(axis=1)
    functions = functions_of(sweep, CELLS)
    return Search("test", Evolution(**fields), [functions], Spearman(labels[CELLS].to_numpy()))  # type: ignore[arg-type]


def test_no_formula_is_judged_twice_or_beyond_its_limits(world: Path) -> None:
    with FormulaStoreOf(world) as store:
        number = store.search({"test": 1})
        archive = search(store, budget=500, population=50, depth=4, size=9).run(store, number, lambda count: None)
        rows = [row for generation in store.judged(number) for row in generation]
    texts = [row.formula for row in rows]
    assert len(texts) == len(set(texts)) == archive.judged == 500
    formulas = [parse(text) for text in texts]
    assert max(one.depth for one in formulas) <= 4
    assert max(one.size for one in formulas) <= 9
    fitnesses = [round(row.fitness, 12) for row in rows if row.verdict == OK and row.fitness is not None]
    assert len(fitnesses) == len(set(fitnesses)), "of those that rank alike the first alone has children"
    assert {row.verdict for row in rows} <= {"ok", "same", "constant", "nonfinite"}
    assert all((row.fitness is None) == (row.verdict in ("constant", "nonfinite")) for row in rows)
    assert archive.best[0] == pytest.approx(max(fitnesses), abs=1e-11)


def test_later_generations_are_better_than_founders(world: Path) -> None:
    with FormulaStoreOf(world) as store:
        number = store.search({"test": 2})
        search(store, budget=600, population=60).run(store, number, lambda count: None)
        means = [
            np.mean([row.fitness for row in generation if row.fitness is not None])
            for generation in store.judged(number)
        ]
    assert len(means) == 10
    assert means[-1] > means[0] + 0.2


def test_a_search_that_finds_nothing_new_ends(world: Path) -> None:
    with FormulaStoreOf(world) as store:
        number = store.search({"test": 3})
        archive = search(store, budget=10_000, population=500, depth=1, size=1).run(store, number, lambda count: None)
    assert archive.judged == len(LEAVES), "as many as there are statistics"


def test_verdicts(world: Path) -> None:
    with FormulaStoreOf(world) as store:
        one = search(store)
    known: set[float] = set()
    assert one.judge(parse(TOLD), known).verdict == "ok"
    assert one.judge(parse(f"add({TOLD}, {TOLD})"), known).verdict == "same"
    assert one.judge(parse("teacher.map_std"), known).verdict == "constant"
    assert one.judge(parse(f"sub({TOLD}, {TOLD})"), known).verdict == "constant"
    assert one.judge(parse(f"inv(sub({TOLD}, {TOLD}))"), known).verdict == "nonfinite"
    told = one.judge(parse(f"neg({TOLD})"), known)
    assert told.verdict == "ok"
    assert told.fitness is not None
    assert told.fitness < -0.9


def test_children_are_formulas_and_parents_stay() -> None:
    draw = random.Random(5)
    for _ in range(300):
        mother, father = random_formula(draw, 4), random_formula(draw, 4)
        before = str(mother), str(father)
        for child in (crossed(mother, father, draw), mutated(mother, draw)):
            assert parse(str(child)) == child
        assert (str(mother), str(father)) == before


def test_fields_out_of_range_are_refused() -> None:
    with pytest.raises(BadUsage, match=r"--crossover 1\.5: expected 0 to 1"):
        Evolution(crossover=1.5)
    assert Archive.of([]).judged == 0


# -- killed and repeated


def searching() -> None:
    sys.argv = ["search", *map(str, SHORT), "--budget", "600"]
    run(app)


def test_a_killed_search_goes_on_to_the_same_end(tmp_path: Path, fork: Fork) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    formula_world(whole)
    shutil.copytree(whole, killed)
    code, _, err = fork(searching, folder=whole).end()
    assert code == 0, err
    running = fork(searching, folder=killed)
    until = time.monotonic() + 600
    while count(killed / STORE) < 700:  # in the second search
        assert time.monotonic() < until
        assert running.process.is_alive(), "it ended before it was killed"
        time.sleep(0.01)
    running.process.kill()
    assert running.end()[0] == -signal.SIGKILL
    assert not (killed / "results/formulas").exists()
    before = count(killed / STORE)
    assert before < 2400
    code, _, err = fork(searching, folder=killed).end()
    assert code == 0, err
    assert written(killed) == written(whole)
    assert judged(killed / STORE) == judged(whole / STORE)


def judged(store: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(store)) as database:
        return database.execute("SELECT * FROM judged ORDER BY search, generation, place").fetchall()


SWEEP = ("statistics", "--cells", "functions", "--limit", "20", "--seeds", "0-1", "--device", "cpu")


def recording(workers: int) -> None:
    sys.argv = ["search", *SWEEP, "--workers", str(workers)]
    run(app)


def statistics(store: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(store)) as database:
        return database.execute("SELECT * FROM statistic ORDER BY sweep, cell").fetchall()


def test_a_killed_sweep_goes_on_and_workers_change_nothing(tmp_path: Path, fork: Fork) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    code, _, err = fork(recording, 2, folder=whole).end()
    assert code == 0, err
    running = fork(recording, 1, folder=killed)
    until = time.monotonic() + 600
    while not count(killed / STORE, "statistic"):
        assert time.monotonic() < until
        assert running.process.is_alive(), "it ended before it was killed"
        time.sleep(0.01)
    running.process.kill()
    assert running.end()[0] == -signal.SIGKILL
    before = count(killed / STORE, "statistic")
    code, out, err = fork(recording, 1, folder=killed).end()
    assert code == 0, err
    assert f"{40 - before} recorded now" in out
    assert statistics(killed / STORE) == statistics(whole / STORE)
    assert len(statistics(whole / STORE)) == 40


# -- refusals


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["formula", "--benchmark", "digit"], 2, "did you mean 'digits'?"),
        (["formula", "--seeds", "x"], 2, "--seeds 'x': expected numbers and ranges"),
        (["formula", "--seeds", "5"], 1, "statistics of 0 of the 30 labelled functions of digits, seed 5: `python -m "),
        (["formula", "--fitness", "pearson"], 2, "unknown fitness 'pearson'"),
        (["formula", "--runs", "0"], 2, "--runs 0: must be at least 1"),
        (["formula", "--controls", "-1"], 2, "--controls -1: must not be negative"),
        (["formula", "--budget", "0"], 2, "--budget 0: must be at least 1"),
        (["formula", "--depth", "0"], 2, "--depth 0: must be at least 1"),
        (["formula", "--formula", "lgo(both.cka)"], 2, "did you mean 'log'?"),
        (["formula", "--also", "cifar11"], 2, "unknown benchmark 'cifar11'"),
        (["formula", "--benchmark", "cifar100"], 1, "no accuracy table"),
        (
            ["formula", "--store", "nowhere.sqlite"],
            1,
            "no statistics at nowhere.sqlite: record them by `python -m search statistics",
        ),
        (["statistics", "--benchmark", "digit"], 2, "did you mean 'digits'?"),
        (["statistics", "--limit", "0"], 2, "--limit 0: must be at least 1"),
        (["statistics", "--workers", "0"], 2, "--workers 0: must be at least 1"),
        (["statistics", "--cells", "functoins"], 2, "functoins"),
        (["statistics", "--data", "nowhere"], 1, "--data nowhere: no such folder"),
        (["statistics", "--store", "results"], 1, "the store results is a folder"),
    ],
)
def test_a_word_that_means_nothing_is_one_line(
    command: Command, tmp_path: Path, world: Path, words: list[str], code: int, message: str
) -> None:
    ended = command("search", *words)
    assert message in ended.error
    assert (ended.code, ended.out) == (code, "")
    assert not (tmp_path / "results/formulas").exists()
    assert not (tmp_path / "nowhere.sqlite").exists()


def test_a_store_of_other_numbers_is_refused(command: Command, tmp_path: Path, world: Path) -> None:
    with closing(sqlite3.connect(world)) as database:
        database.execute("UPDATE statistic SET numbers = x'00' WHERE cell = ?", (CELLS[0],))
        database.commit()
    ended = command("search", *SHORT)
    assert "has statistics of another size than 18 x 5: remove it and record again" in ended.error
    assert ended.code == 1


def test_statistics_of_another_version_are_not_taken(
    command: Command, tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.formula.statistics.Statistics.version", 2)
    ended = command("search", *SHORT)
    assert "statistics of 0 of the 30 labelled functions of digits, seed 0" in ended.error
    assert ended.code == 1


def test_a_half_recorded_benchmark_is_refused(command: Command, tmp_path: Path) -> None:
    formula_world(tmp_path, seeds=())
    recorded(tmp_path / STORE, (0,), CELLS[:12])
    ended = command("search", *SHORT)
    assert "statistics of 12 of the 30 labelled functions of digits, seed 0: `python -m" in ended.error
    assert ended.code == 1


def test_words_that_mean_nothing_cost_no_imports(tmp_path: Path, environment: dict[str, str]) -> None:
    words = [
        ["formula", "--fitness", "x"],
        ["formula", "--formula", "lgo(both.cka)"],
        ["statistics", "--limit", "0"],
    ]
    assert heavy_imports(1, "search", words, tmp_path, environment) == "[]"


def test_settings_are_json_without_paths(command: Command, tmp_path: Path, world: Path) -> None:
    assert command("search", *SHORT).code == 0
    text = (tmp_path / "results/formulas/digits.json").read_text()
    assert json.loads(text)["labels"]["recipe_hash"]
    assert str(tmp_path) not in text
