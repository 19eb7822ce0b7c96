"""How far label sets agree: of planted tables of two benchmarks and a file, what SciPy says of what all three have."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Command
from planted import publish_scores
from scipy import stats

from analysis.read.columns import counted
from analysis.studies.labels.agreement import agreements, label_sets, standings
from analysis.tables import label_sets as tables
from bench.benchmarks import benchmark
from common.errors import BadInput
from distill.recipes import MODES
from distill.tables import COLUMNS, AccuracyTable, table_path, write_table
from spaces.nb201.cell import cell_at
from spaces.nb201.sets import cell_set

ONE, OTHER = "digits", "cifar10-16px"
CELLS = [int(cell) for cell in cell_set("functions")[100:140]]
ALL = slice(5, 30)
"""Of the cells, those that every set has: one benchmark lacks the first five, the file the last ten."""
PAIRS = [
    ("digits, vanilla", "digits, distilled"),
    ("digits, vanilla", f"{OTHER}, vanilla"),
    ("digits, vanilla", f"{OTHER}, distilled"),
    ("digits, vanilla", "published"),
]
rng = np.random.default_rng
TRUTH = 60 + 5 * rng(0).normal(size=40)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_resamples")]


def accuracies(name: str, mode: str) -> np.ndarray:
    """Of the cells, by seed, to four decimals as a table keeps them."""
    return (TRUTH[:, None] + 2 * rng([len(name), len(mode)]).normal(size=(40, 2))).round(4)


def plant(folder: Path, name: str, cells: slice) -> None:
    for mode in MODES:
        frame = pd.DataFrame(accuracies(name, mode)[cells], CELLS[cells])
        rows = frame.stack().rename_axis(["cell", "seed"]).rename("test").reset_index()
        rows = rows.assign(val=0.0, best=100.0, log_likelihood=-1.0, epochs=1, seconds=1.0, status="ok")
        # of a cell that diverged throughout no set has a label
        gone = pd.DataFrame({"cell": 0, "seed": [0, 1], "seconds": 1.0, "status": "diverged"})
        table = pd.concat([rows, gone]).reindex(columns=list(COLUMNS))
        write_table(table_path(name, mode, folder), AccuracyTable(table, {"mode": mode, "steps": 3}), {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plant(tmp_path / "accuracies", ONE, slice(0, 40))
    plant(tmp_path / "accuracies", OTHER, slice(5, 40))
    return tmp_path / "accuracies"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """By string, two seeds, and a cell more."""
    lines = [
        f"{cell_at(CELLS[k])},{seed},{value}"
        for k in range(30)
        for seed, value in enumerate(accuracies("published", "")[k])
    ]
    path = tmp_path / "published.csv"
    path.write_text("\n".join(["arch,seed,accuracy", *lines, f"{cell_at(1)},0,99.0", ""]))
    return path


def expected_labels() -> dict[str, np.ndarray]:
    """Means over seeds of the cells that all sets have."""
    found = {f"{name}, {mode}": accuracies(name, mode) for name in (ONE, OTHER) for mode in MODES}
    return {name: each[ALL].mean(axis=1) for name, each in (found | {"published": accuracies("published", "")}).items()}


def test_labels_are_of_the_functions_that_every_set_has(folder: Path, published: Path) -> None:
    found = label_sets(folder, {"published": published})
    assert list(found) == list(expected_labels())
    assert list(found.index) == CELLS[ALL]
    for name, values in expected_labels().items():
        assert found[name].to_numpy() == pytest.approx(values)
    assert list(label_sets(folder).index) == CELLS[5:], "without the file ten more"


def test_a_benchmark_without_tables_is_no_set(folder: Path, tmp_path: Path) -> None:
    plant(tmp_path / "one", OTHER, slice(0, 40))
    assert list(label_sets(tmp_path / "one")) == [f"{OTHER}, {mode}" for mode in MODES]
    table_path(OTHER, "vanilla", folder).unlink()
    with pytest.raises(BadInput, match="no accuracy table"):
        label_sets(folder)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_pair_of_sets_agrees_as_scipy_says(folder: Path, published: Path, one: str, other: str) -> None:
    labels = label_sets(folder, {"published": published})
    found = agreements(labels, pd.DataFrame())
    assert len(found) == 10
    (pair,) = [each for each in found if (each.one, each.other) == (one, other)]
    a, b = expected_labels()[one], expected_labels()[other]
    assert pair.n == 25
    assert pair.spearman == pytest.approx(stats.spearmanr(a, b).statistic)
    assert pair.kendall == pytest.approx(stats.kendalltau(a, b).statistic)
    assert pair.low < pair.spearman < pair.high
    best = b.argsort()[12:]  # 13 of 25 are not below the median
    assert pair.upper_half == pytest.approx(stats.spearmanr(a[best], b[best]).statistic)
    assert math.isnan(pair.proxies)


def test_the_upper_half_is_that_of_the_second_set() -> None:
    """The sets agree where the second is high and contradict each other where it is low."""
    b = np.arange(20.0)
    a = np.where(b < 10, 100 - b, b)
    (found,) = agreements(pd.DataFrame({"x": a, "y": b}), pd.DataFrame())
    assert found.upper_half == pytest.approx(1)
    (turned,) = agreements(pd.DataFrame({"y": b, "x": a}), pd.DataFrame())
    assert turned.upper_half == pytest.approx(-1), "the ten that are best by the first are those in which both descend"


# proxies


def scores(name: str) -> dict[str, dict[int, dict[int, float | None]]]:
    """Four proxies, each with so much noise on what the benchmark's own distilled accuracies are; one is variant."""
    truth = accuracies(name, "distilled").mean(axis=1)
    found = {}
    for number, (proxy, noise) in enumerate({"nwot": 1.0, "snip": 4.0, "zen": 9.0, "nwot:x=1": 0.0}.items()):
        column = truth + noise * rng([number, len(name)]).normal(size=40)
        found[proxy] = {0: dict(zip(CELLS, column.tolist(), strict=True))}
    return found


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Scores of both benchmarks; `snip` lacks three of 25 functions in one, `fisher` is published in that one only."""
    publish_scores(tmp_path / "scores", scores(ONE))
    more = scores(OTHER)
    more["fisher"] = {0: dict(more["zen"][0])}
    more["snip"][0] |= dict.fromkeys(CELLS[10:13])
    publish_scores(tmp_path / "scores", more, benchmark=OTHER)
    return tmp_path / "scores"


def test_proxies_stand_where_their_own_benchmarks_scores_put_them(folder: Path, published: Path, stored: Path) -> None:
    labels = label_sets(folder, {"published": published})
    found = standings(labels, stored)
    assert list(found) == [f"{name}, {mode}" for name in (ONE, OTHER) for mode in MODES], "a file has no scores"
    assert set(found.index) == {"nwot", "snip", "zen", "fisher", "params", "flops"}
    for name in (ONE, OTHER):
        for mode in MODES:
            label, values = f"{name}, {mode}", expected_labels()[f"{name}, {mode}"]
            for proxy in ("nwot", "zen"):
                column = np.array(list(scores(name)[proxy][0].values()))[ALL]
                assert found.at[proxy, label] == pytest.approx(stats.spearmanr(column, values).statistic)
            params = counted("params", benchmark(name), CELLS[ALL])
            assert found.at["params", label] == pytest.approx(stats.spearmanr(params, values).statistic)
    assert found["digits, vanilla"].isna().to_dict() == {name: name == "fisher" for name in found.index}
    lacking = found.index[found[f"{OTHER}, vanilla"].isna()]
    assert list(lacking) == ["snip"], "three of 25 functions are more than a tenth"


def test_two_missing_functions_are_left_out_and_the_proxy_stays(folder: Path, published: Path, tmp_path: Path) -> None:
    some = scores(ONE)
    some["snip"][0] |= dict.fromkeys(CELLS[10:12])
    labels = label_sets(folder, {"published": published})
    found = standings(labels, publish_scores(tmp_path / "some", some))
    kept = [k for k in range(5, 30) if k not in (10, 11)]
    column = np.array(list(scores(ONE)["snip"][0].values()))[kept]
    expected = stats.spearmanr(column, accuracies(ONE, "vanilla").mean(axis=1)[kept]).statistic
    assert found.at["snip", "digits, vanilla"] == pytest.approx(expected)


def test_the_order_of_proxies_is_of_those_that_both_sets_have(folder: Path) -> None:
    labels = label_sets(folder)
    one, other = "digits, vanilla", f"{OTHER}, vanilla"
    standing = pd.DataFrame({one: [0.9, 0.1, 0.5, 0.7], other: [0.2, 0.1, math.nan, 0.3]}, index=list("abcd"))
    found = {(each.one, each.other): each.proxies for each in agreements(labels, standing)}
    assert found.pop((one, other)) == pytest.approx(0.5), "ranks 3 1 2 and 2 1 3"
    assert all(map(math.isnan, found.values()))
    two = agreements(labels, standing.iloc[:3])
    assert all(math.isnan(each.proxies) for each in two), "two proxies have no order to speak of"


# pages and the command


def test_pages_hold_what_was_found(folder: Path, published: Path, stored: Path, tmp_path: Path) -> None:
    labels = label_sets(folder, {"published": published})
    standing = standings(labels, stored)
    found = agreements(labels, standing)
    csv, page, _ = tables.table(tables.frame(found)).write(tmp_path / "label-sets")
    frame = pd.read_csv(csv)
    assert list(frame["upper_half"]) == pytest.approx([each.upper_half for each in found], abs=1e-4)
    line = f"| {found[0].one} | {found[0].other} | {found[0].spearman:.2f} [{found[0].low:.2f}, {found[0].high:.2f}] |"
    (row,) = [text for text in page.read_text().splitlines() if text.startswith(line)]
    assert row.endswith(f"| {found[0].kendall:.2f} | {found[0].upper_half:.2f} | {found[0].proxies:.2f} |")
    assert "over the same 25 functions" in page.read_text()
    csv, page, _ = tables.proxies_table(tables.proxies_frame(standing)).write(tmp_path / "label-sets-proxies")
    order = list(pd.read_csv(csv)["proxy"])
    assert sorted(order) == sorted(standing.index)
    means = [standing.loc[proxy].mean() for proxy in order]
    assert means == sorted(means, reverse=True)
    assert "nan" not in page.read_text()


def test_the_command_writes_the_same_bytes_again(
    command: Command, folder: Path, published: Path, stored: Path, tmp_path: Path
) -> None:
    words = ("analysis", "label-sets", "--tables", folder, "--scores", stored, "--output", "out")
    ended = command(*words)
    assert (ended.code, ended.err) == (0, "")
    out = tmp_path / "out"
    plain = {f"label-sets{kind}{ending}" for kind in ("", "-proxies") for ending in (".csv", ".md", ".tex")}
    plain.add("label-sets-proxies.bib")
    assert {path.name for path in out.iterdir()} == plain
    assert all(f"out/{name}" in ended.out for name in plain)
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert command(*words).code == 0
    assert {path: path.read_bytes() for path in out.iterdir()} == before

    ended = command(*words, "--published", published, "--name", "nb201")
    assert ended.code == 0
    assert {path.name for path in out.iterdir()} - plain == {f"label-sets-nb201{e}" for e in (".csv", ".md", ".tex")}
    assert {path: path.read_bytes() for path in before} == before, "the tables of our own sets stay as they were"
    assert "nb201" in (out / "label-sets-nb201.md").read_text()


@pytest.mark.parametrize(
    ("cells", "said"), [([], "share 0 functions"), ([20, 21], "share 2 functions"), ([1, 2, 3, 4], "share 0 functions")]
)
def test_fewer_than_three_shared_functions_are_one_line(
    command: Command, folder: Path, tmp_path: Path, cells: list[int], said: str
) -> None:
    (tmp_path / "few.csv").write_text("\n".join(["cell,accuracy", *(f"{CELLS[k]},{50 + k}" for k in cells), ""]))
    if not cells:
        (tmp_path / "few.csv").write_text("cell,accuracy\n0,51.0\n")
    ended = command("analysis", "label-sets", "--tables", folder, "--published", "few.csv")
    assert (ended.code, ended.out) == (1, "")
    assert said in ended.error
    assert ended.error.endswith("label more")
    assert not (tmp_path / "results").exists()


def test_a_single_set_agrees_with_nothing(command: Command, published: Path, tmp_path: Path) -> None:
    for words in ([], ["--published", published]):
        ended = command("analysis", "label-sets", "--tables", "nowhere", *words)
        assert (ended.code, ended.out) == (1, "")
        assert "nowhere" in ended.error
    assert not (tmp_path / "results").exists()
