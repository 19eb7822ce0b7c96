"""Rankings that learn: what is known of a cell, which labels are drawn, how they are judged, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, Command
from planted import publish_scores
from scipy import stats

from analysis.figures.learning import draw
from analysis.figures.style import styled
from analysis.read.labels import Labels
from analysis.studies.learned import files
from analysis.studies.learned.draws import CHOICES, chosen
from analysis.studies.learned.features import FEATURES, features
from analysis.studies.learned.rank import rank
from analysis.studies.learned.study import METRICS, RANKERS, Learned, pick, study
from analysis.tables.found.predictions import first_ahead, table
from bench.benchmarks import benchmark
from common.errors import BadInput, BadUsage
from spaces.nb201.cell import Cell
from spaces.nb201.graph import graph_features
from spaces.nb201.sets import cell_set
from spaces.nb201.space import NB201

pytestmark = pytest.mark.slow

DIGITS = benchmark("digits")
CELLS = cell_set("functions")[:60]
RNG = np.random.default_rng(5)
TRUTH = pd.Series(RNG.normal(70, 5, len(CELLS)), index=CELLS)
LABELS = Labels("distilled accuracy, %", TRUTH.to_frame(), True, "made up", NB201)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two proxies, the first much better; the second fails on one cell. `few` was not tried on all that is labelled."""
    noise = {cell: float(TRUTH[cell] + RNG.normal(0, 2)) for cell in CELLS}
    worse: dict[int, float | None] = {cell: float(TRUTH[cell] + RNG.normal(0, 20)) for cell in CELLS}
    worse[CELLS[3]] = None
    few = dict.fromkeys(CELLS[:5], 1.0)
    folder = tmp_path_factory.mktemp("scores")
    return publish_scores(folder, {"nwot": {0: noise}, "snip": {0: worse}, "kd": {0: few}})


@pytest.fixture(scope="module")
def found(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learned]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.studies.learned.study.SIZES", (4, 16, 128))
        patch.setattr("analysis.stats.bootstrap.RESAMPLES", 40)
        costs = tmp_path_factory.mktemp("costs")
        (costs / "digits.csv").write_text("proxy,seconds,forwards\nnwot,0.5,1\nall,2,4\n")
        yield study(DIGITS, LABELS, 10.0, published, costs, draws=4)


def test_paths_and_degrees_are_those_that_a_drawing_shows() -> None:
    """Input to output by one skip, or by a 3x3 into node 1 and a skip from there; a dead 1x1 into node 2."""
    cell = Cell.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|skip_connect~1|none~2|")
    found = graph_features(cell)
    assert len(found) == 15 * 6
    both = {
        name.removeprefix("skip_connect+nor_conv_3x3 "): value for name, value in found.items() if "pool" not in name
    }
    assert {name: both[name] for name in ("shortest", "longest", "out of input", "into output")} == {
        "shortest": 1, "longest": 2, "out of input": 2, "into output": 2,
    }  # fmt: skip
    assert (both["into inner"], both["out of inner"]) == (0.5, 0.5)
    assert (found["nor_conv_1x1 shortest"], found["nor_conv_1x1 longest"]) == (4, 0)
    assert found["nor_conv_1x1 into inner"] == 0.5


def test_what_was_not_tried_is_not_known_and_what_failed_is_last() -> None:
    columns = {"a": pd.Series({CELLS[0]: 3.0, CELLS[1]: np.nan, CELLS[2]: 1.0})}
    ranks = features("proxies", NB201, columns, CELLS[:4])
    np.testing.assert_allclose(ranks[:, 0], [1, 1 / 3, 2 / 3, np.nan])
    assert features("operations", NB201, {}, CELLS[:4]).shape == (4, 35)
    assert features("graph", NB201, {}, CELLS[:4]).shape == (4, 125)
    assert features("all", NB201, columns, CELLS[:4]).shape == (4, 126)


@pytest.mark.parametrize("how", CHOICES)
def test_labels_are_drawn_as_often_as_asked_each_once(how: str) -> None:
    points, along = RNG.normal(size=(50, 4)), RNG.normal(size=50)
    draws = [tuple(sorted(chosen(how, 8, draw, along, points))) for draw in range(5)]
    assert all(len(set(draw)) == 8 for draw in draws)
    assert len(set(draws)) > 1
    assert tuple(sorted(chosen(how, 8, 0, along, points))) == draws[0]
    if how in ("params", "proxy"):
        order = np.argsort(np.argsort(along))
        assert [sorted(order[list(draw)])[0] < 7 and sorted(order[list(draw)])[-1] > 42 for draw in draws] == [True] * 5


def test_more_labels_are_the_same_and_further_ones() -> None:
    points = RNG.normal(size=(50, 4))
    assert list(chosen("random", 16, 2, None, points))[:4] == list(chosen("random", 4, 2, None, points))


def test_each_cluster_gives_its_member_nearest_to_the_centre() -> None:
    points = np.array([[0.0], [1], [2], [100], [101], [102.0]])
    assert sorted(chosen("k-means", 2, 0, None, points)) == [1, 4]


def test_the_feature_that_ranks_the_known_best_is_picked() -> None:
    known = np.array([[1.0, 5, 3], [2, 4, 1], [3, 9, 2]])
    others = np.array([[7.0, 1, 0], [8, 0, 0]])
    np.testing.assert_array_equal(pick(known, np.array([0.1, 0.2, 0.3]), others).mean, others[:, 0])


def test_rows_are_proxies_best_first_then_every_ranking_at_every_size_that_leaves_enough(found: Learned) -> None:
    rows = found.rows
    proxies = rows[rows["k"] == 0]
    assert next(iter(proxies["ranking"])) == found.made["best"] == "nwot"
    assert set(proxies["ranking"]) == {"nwot", "snip", "params", "flops"}
    assert set(rows.loc[rows["k"] > 0, "k"]) == {4, 16}
    assert (rows["k"] == 4).sum() == len(RANKERS)
    assert (found.made["labelled"], found.made["functions"], found.made["draws"]) == (60, 5044, 4)


def test_a_proxys_numbers_are_those_of_all_labelled_functions(found: Learned, published: Path) -> None:
    row = found.rows.set_index("ranking").loc["nwot"]
    scores = pd.read_csv(published / "digits/nwot.csv.gz").set_index("cell")["score"]
    assert row["spearman"] == pytest.approx(stats.spearmanr(scores[list(CELLS)], TRUTH).statistic)
    assert row["spearman_low"] < row["spearman"] < row["spearman_high"]
    assert (row["over_best"], row["score_seconds"], row["label_seconds"]) == (0, 0.5 * 5044, 0)


def test_a_learner_is_judged_on_functions_that_it_was_not_told(found: Learned) -> None:
    """With proxies it nears the better one; operations say nothing of labels that are noise."""
    rows = found.rows[(found.rows["k"] == 16) & (found.rows["ranking"] == "gp") & (found.rows["choice"] == "random")]
    by = rows.set_index("features")
    assert by.loc["proxies", "spearman"] > 0.7
    assert abs(by.loc["operations", "spearman"]) < 0.4
    assert (by["spearman_low"] < by["spearman"]).all()
    assert by.loc["proxies", "score_seconds"] == 2 * 5044
    assert by.loc["operations", "score_seconds"] == 0
    assert (by["label_seconds"] == 160).all()


def test_two_processes_find_what_one_finds(published: Path, found: Learned, forked_pool: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.studies.learned.study.SIZES", (4,))
        both = study(DIGITS, LABELS, 10.0, published, published, draws=4, workers=2).rows
    ours, theirs = (each[each["k"] == 4].reset_index(drop=True) for each in (found.rows, both))
    columns = ["ranking", "features", "choice", *METRICS]  # other processes draw as many resamples as always
    pd.testing.assert_frame_equal(ours[columns], theirs[columns])


def test_too_few_labels_are_refused(published: Path, tmp_path: Path) -> None:
    few = Labels("distilled accuracy, %", TRUTH[:20].to_frame(), True, "made up", NB201)
    with pytest.raises(BadInput, match="20 labelled functions that are scored: too few to learn from"):
        study(DIGITS, few, 10.0, published, tmp_path)


def test_files_come_back_as_they_were_written(found: Learned, tmp_path: Path) -> None:
    files.write(found, tmp_path)
    back = files.read("digits", tmp_path)
    assert back is not None
    pd.testing.assert_frame_equal(back.rows, found.rows, rtol=1e-5)
    assert back.made == json.loads(json.dumps(found.made))
    assert files.read("cifar10", tmp_path) is None
    (tmp_path / "digits.csv").write_text("k\n1\n")
    with pytest.raises(BadInput, match=r"digits\.csv .*analysis predict"):
        files.read("digits", tmp_path)


def test_ahead_is_ahead_at_every_larger_size_too() -> None:
    rows = pd.DataFrame({"k": [4, 8, 16, 32], "over_best_low": [0.1, -0.1, 0.1, 0.2]})
    assert first_ahead(rows, "best") == "16"
    assert first_ahead(rows.assign(over_best_low=-1.0), "best") == ""


def test_the_table_has_a_row_a_ranking_and_a_column_a_size(found: Learned) -> None:
    text = table(found.rows, found.made).typeset().markdown()
    assert "| ranking | features | labels by | k = 4 | k = 16 | beats nwot from | beats params from |" in text
    assert text.count("\n| gp | ") == len([ranker for ranker in RANKERS if ranker.learner == "gp"])
    assert "| nwot |" in text
    assert "| params |" in text


def test_the_figure_has_a_panel_a_metric_and_rings_what_passes_the_best(found: Learned) -> None:
    rows = found.rows.copy()
    ahead = (rows["k"] == 16) & (rows["ranking"] == "gp") & (rows["features"] == "all")
    rows["over_best"] = np.where(ahead, 0.01, -0.1)
    with styled():
        figure = draw(Learned(rows, found.made))
    assert [axes.get_title() for axes in figure.axes] == [
        "Spearman's correlation", "regret@1, points", "regret@10, points",
    ]  # fmt: skip
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert [name for name in lines if "ahead" in str(name)] == ["all, ahead at k = 16"]
    shown = rows[(rows["ranking"] == "gp") & (rows["features"] == "graph") & (rows["k"] > 0)]
    np.testing.assert_allclose(lines["graph"].get_ydata(), shown["spearman"])
    np.testing.assert_allclose(lines["graph"].get_xdata(), shown["label_seconds"])


def test_a_ranking_holds_every_function_and_expects_nothing_of_what_is_labelled(published: Path) -> None:
    found = rank(DIGITS, LABELS, published, k=12, of="graph")
    assert (len(found.rows), found.labels, found.unknown) == (5044, 12, 0)
    assert found.rows["mean"].is_monotonic_decreasing
    told = found.rows[found.rows["label"].notna()]
    assert len(told) == 12
    assert (told["improvement"] == 0).all()
    assert (found.rows.loc[found.rows["label"].isna(), "improvement"] > 0).any()
    np.testing.assert_allclose(told["label"], TRUTH[told["cell"]])


def test_functions_without_a_score_are_left_out_or_need_none(published: Path) -> None:
    assert rank(DIGITS, LABELS, published, k=12).features == "graph"
    elsewhere = TRUTH.set_axis(cell_set("functions")[100:160])
    few = Labels("distilled accuracy, %", elsewhere.to_frame(), True, "made up", NB201)
    with pytest.raises(BadUsage, match="0 functions of digits have both a label and all features"):
        rank(DIGITS, few, published, k=5, of="proxies")


def test_a_ranking_from_the_command_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(ROOT / "results")
    words = ("--labels", "16", "--features", "graph", "--scores", "nowhere", "--output", "made")
    ended = command("analysis", "predict", *words)
    assert ended.code == 0, ended.err
    assert "5,044 functions ranked by gp on graph, from 16 labels" in ended.out
    assert "to distil next" in ended.out
    rows = pd.read_csv(tmp_path / "made/digits-16-labels.csv")
    assert (len(rows), rows["label"].notna().sum()) == (5044, 16)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "2"], "3 are the least"),
        (["--labels", "8", "--learner", "gpp"], "did you mean 'gp'"),
        (["--labels", "8", "--features", "grpah"], "did you mean 'graph'"),
        (["--labels", "8", "--seed", "-1"], "--seed -1: must not be negative"),
        (["--draws", "7"], "no divisor of 1,000"),
        (["--workers", "0"], "--workers 0: must be at least 1"),
        (["--benchmark", "digit"], "did you mean 'digits'"),
    ],
)
def test_wrong_words_end_with_one_line(command: Command, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "results").symlink_to(ROOT / "results")
    ended = command("analysis", "predict", *words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.error


def test_features_have_names_that_the_help_says() -> None:
    assert FEATURES == ("operations", "graph", "proxies", "all")
