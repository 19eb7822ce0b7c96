"""Figures show the numbers that were computed, the same bytes every time, and words that can be read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image
from scipy import stats

from analysis.figures import costs, effects, fifths, ranking, samples, scores, similarity
from analysis.figures.draw import KINDS, draw, draw_all
from analysis.figures.study import CannotDraw, Study, few, judged
from analysis.figures.style import save, styled
from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from bench.benchmarks import benchmark
from bench.identity import settings
from bench.plan import select
from bench.published import export
from bench.store import Row, ScoreStore
from common.errors import BadInput, BadUsage
from proxies import registry
from spaces.nb201.cell import OPERATIONS, cell_at, cells
from spaces.nb201.space import NB201

pytestmark = pytest.mark.slow

Command = Callable[..., Any]
CELLS = select("functions", NB201, 300)
RNG = np.random.default_rng(3)
TRUTH = pd.Series(RNG.normal(80, 5, len(CELLS)), index=CELLS)
SEEDS = pd.DataFrame({seed: TRUTH + RNG.normal(0, 2, len(CELLS)) for seed in range(3)})
LABELS = Labels("distilled accuracy, %", SEEDS, True, "made up", NB201)
EVERYWHERE = range(len(cells()))


@pytest.fixture(autouse=True, scope="module")
def _quick_intervals() -> Iterator[None]:
    """What intervals are is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.stats.bootstrap.RESAMPLES", 40)
        patch.setattr(samples, "DRAWS", 60)
        yield


def called(proxies: int) -> list[str]:
    return ["params", "diswot", *(f"made_up_{number}:variant=paper" for number in range(proxies - 2))]


def made_up(proxies: int) -> Study:
    """Proxies of all qualities, the last one constant, names as long as they get; two stand for the usual two."""
    rng = np.random.default_rng(7)
    names, columns = called(proxies), {}
    for number, name in enumerate(names):
        column = pd.Series(rng.normal(size=len(EVERYWHERE)), index=EVERYWHERE)
        column[CELLS] = TRUTH * (1 - 1.3 * number / proxies) + rng.normal(0, 3, len(CELLS))
        columns[name] = column
    columns[names[-1]] = columns[names[-1]] * 0
    columns[names[-2]] = np.exp(columns[names[-2]] / 2)
    return judged("digits", "distilled", LABELS, "functions", columns)


@pytest.fixture(scope="module")
def study() -> Study:
    return made_up(9)


def priced(found: Study, folder: Path) -> Path:
    """A file of costs for all proxies of a study."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"proxy": list(found.scores), "seconds": 0.1, "forwards": rng.uniform(0, 4, len(found.scores))})
    total = pd.DataFrame({"proxy": ["all"], "seconds": 9.0, "forwards": 99.0})
    folder.mkdir(exist_ok=True)
    pd.concat([rows, total]).round(2).to_csv(folder / "digits.csv", index=False)
    return folder


def panel(figure: Figure, name: str) -> Any:
    """The axes whose title begins with a name."""
    return next(axes for axes in figure.axes if axes.get_title().startswith(name))


# --- the numbers drawn


def test_dots_are_scores_and_labels_and_the_title_says_how_they_agree(study: Study) -> None:
    with styled():
        figure = scores.draw(study)
    for name in study.chosen:
        result, axes = study.results[name], panel(figure, name + "\n")
        drawn = axes.collections[0].get_offsets()
        assert np.array_equal(np.asarray(drawn), result.pairs[["score", "label"]].to_numpy())
        c = result.correlation
        expected = f"Spearman {c.spearman:.2f} [{c.spearman_low:.2f}, {c.spearman_high:.2f}]"
        if not np.isnan(c.spearman):
            assert axes.get_title().splitlines()[1] == expected
    assert figure.get_supylabel() == "distilled accuracy, %"


def test_one_proxy_is_drawn_as_it_is_among_others_into_a_file_of_its_own(study: Study, tmp_path: Path) -> None:
    result = replace(study.results["diswot"], proxy="diswot:variant=paper@best", seeds=[0, 1, 2])
    given = ("digits", "tables/mine.v1.csv", "functions", "distilled accuracy, %", tmp_path)
    path = scores.draw_one(result, *given)
    assert path == tmp_path / "digits-diswot_variant=paper_best-mine.v1.png"
    assert list(tmp_path.iterdir()) == [path]
    first = path.read_bytes()
    assert scores.draw_one(result, *given).read_bytes() == first
    with Image.open(path) as image:
        assert image.format == "PNG"
    with styled():
        (axes,) = scores.draw_results([result], "", "distilled accuracy, %").axes
        beside = panel(scores.draw(study), "diswot")
    assert axes.get_xlabel() == "score, mean of 3 seeds"
    assert axes.get_title().partition("\n")[2] == beside.get_title().partition("\n")[2]
    dots, others = (np.asarray(each.collections[0].get_offsets()) for each in (axes, beside))
    assert np.array_equal(dots, others)


def test_many_cells_are_counted_in_hexagons_and_each_is_in_one() -> None:
    labels = Labels("accuracy, %", pd.DataFrame({0: np.arange(3000.0)}), False, "made up", NB201)
    rng = np.random.default_rng(0)
    columns = {
        "diswot": pd.Series(rng.normal(size=3000)),
        "params": pd.Series(np.exp(rng.normal(0, 4, 3000))),
        "snip": pd.Series(rng.standard_cauchy(3000)),
    }
    many = judged("digits", "x.csv", labels, "all", columns)
    with styled():
        figure = scores.draw(many)
    for name in ("diswot", "params"):
        assert panel(figure, name).collections[0].get_array().sum() == 3000
    hidden = 3000 - int(panel(figure, "snip").collections[0].get_array().sum())
    assert hidden > 0
    assert panel(figure, "snip").get_xlabel() == f"score ({hidden} beyond)"
    clims = {axes.collections[0].get_clim() for axes in figure.axes[:3]}
    assert len(clims) == 1


@pytest.mark.parametrize(
    ("x", "scale", "ends"),
    [
        (np.linspace(-1, 3, 400), "linear", (-1, 3)),
        (np.geomspace(1e6, 1e12, 400), "log", (1e6, 1e12)),
        (np.array([-3, 0, 1e-30, *np.geomspace(1, 1e4, 40_000)]), "log", (1.58e-3, 1e4)),
        (np.array([1e-9, *np.linspace(1, 2, 400)]), "linear", (1e-9, 2)),
        (np.array([*np.linspace(-1, 1, 1001), 1e9]), "linear", (-0.98, 0.981)),
        (np.full(5, 7.0), "linear", (6, 8)),
    ],
)
def test_an_axis_suits_its_scores(x: np.ndarray, scale: str, ends: tuple[float, float]) -> None:
    found, shown = scores.extent(x)
    assert found == scale
    assert shown == pytest.approx(ends, rel=0.05)


def test_the_map_holds_the_correlation_of_every_pair_on_the_cells_both_score(study: Study) -> None:
    columns = {name: column.iloc[:300].copy() for name, column in study.scores.items()}
    columns["diswot"].iloc[:40] = np.nan
    columns["diswot_copy"] = columns["diswot"] ** 3 + 1
    columns["diswot_reversed"] = -columns["diswot"]
    gappy = judged("digits", "distilled", LABELS, "functions", columns | {"params": study.scores["params"]})
    with styled():
        figure = similarity.draw(gappy)
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [text.get_text() for text in axes.get_xticklabels()]
    image = np.asarray(axes.images[0].get_array())
    for (i, a), (j, b) in itertools.product(enumerate(names), repeat=2):
        both = pd.DataFrame({"a": gappy.scores[a], "b": gappy.scores[b]}).dropna()
        if both.nunique().min() > 1:
            assert image[i, j] == pytest.approx(stats.spearmanr(both["a"], both["b"]).statistic)
    assert abs(names.index("diswot") - names.index("diswot_copy")) == 1
    assert abs(names.index("diswot") - names.index("diswot_reversed")) > 1
    numbers = {(int(x), int(y)): text.get_text() for text in axes.texts for x, y in [text.get_position()]}
    at = names.index("diswot"), names.index("diswot_reversed")
    assert numbers[at] == "-1"


def test_the_order_of_the_map_does_not_depend_on_that_of_the_proxies(study: Study) -> None:
    backwards = dict(reversed(study.scores.items()))
    found = [similarity.clustered(similarity.rank_correlations(each)) for each in (study.scores, backwards)]
    pd.testing.assert_frame_equal(*found)


def test_the_ranking_holds_correlations_intervals_the_line_to_beat_and_the_ceiling(study: Study) -> None:
    with styled():
        figure = ranking.draw(study)
    axes = figure.axes[0]
    found = [result.correlation for result in study.results.values()]
    known = [each for each in found if not np.isnan(each.spearman)]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(study.results)
    intervals, dots = axes.collections[:2]
    assert np.asarray(dots.get_offsets())[:, 0][: len(known)] == pytest.approx([each.spearman for each in known])
    assert [each.spearman for each in known] == sorted((each.spearman for each in known), reverse=True)
    ends = [path.vertices[:, 0] for path in intervals.get_paths()]
    assert np.array(ends)[: len(known)] == pytest.approx(
        np.array([[each.spearman_low, each.spearman_high] for each in known])
    )
    lines = {line.get_label(): line.get_xdata()[0] for line in axes.lines}
    assert lines == {
        "params, the line to beat": study.results["params"].correlation.spearman,
        "ceiling of the labels": study.ceiling,
    }


def test_labels_of_one_seed_have_no_ceiling(study: Study) -> None:
    one = Labels("accuracy, %", SEEDS[[0]], True, "made up", NB201)
    with styled():
        figure = ranking.draw(judged("digits", "distilled", one, "functions", study.scores))
    assert [line.get_label() for line in figure.axes[0].lines] == ["params, the line to beat"]


def test_fifths_are_correlated_each_for_itself(study: Study) -> None:
    with styled():
        figure = fifths.draw(study)
    for name in study.chosen:
        pairs = study.results[name].pairs.sort_values("label")
        if name == list(study.scores)[-1]:
            continue
        expected = [
            stats.spearmanr(part["score"], part["label"]).statistic
            for part in (pairs.iloc[60 * k : 60 * (k + 1)] for k in range(5))
        ]
        lines = {line.get_label(): line.get_ydata() for line in panel(figure, name + ",").lines}
        assert lines[fifths.OWN] == pytest.approx(expected)
        assert lines[fifths.ALL][0] == study.results[name].correlation.spearman
        assert ("params" in lines) == (name != "params")


def test_labels_that_tie_stand_in_one_fifth() -> None:
    found = fifths.parts(np.array([1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.0]))
    assert found.tolist() == [0, 0, 0, 1, 2, 2, 3, 3, 4, 4]


def additive(seed: int) -> tuple[np.ndarray, pd.Series]:
    """Effects [edge, operation] that sum to zero on each edge, and every cell's value made of them and 7."""
    parts = np.random.default_rng(seed).normal(size=(6, 5))
    parts -= parts.mean(axis=1, keepdims=True)
    return parts, pd.Series([7 + sum(parts[k, o] for k, o in enumerate(cell.operations)) for cell in cells()])


def test_main_effects_are_those_of_a_loop_over_all_cells() -> None:
    values = pd.Series(np.random.default_rng(0).normal(size=len(cells())) ** 3)
    found = effects.main_effects(values)
    assert found.exact
    for edge, operation in itertools.product(range(6), range(5)):
        chosen = [values[index] for index, cell in enumerate(cells()) if cell.operations[edge] == operation]
        assert len(chosen) == 3125
        assert found.values[edge, operation] == pytest.approx(np.mean(chosen) - values.mean())


def test_effects_are_orthogonal_on_all_cells() -> None:
    """What is added to one edge's operations shows there and nowhere else, and effects of an edge sum to zero."""
    parts, values = additive(1)
    found = effects.main_effects(values)
    assert found.values == pytest.approx(parts)
    extra = pd.Series([10.0 * (cell.operations[2] == 3) for cell in cells()])
    moved = effects.main_effects(values + extra).values - found.values
    assert moved[2] == pytest.approx([-2, -2, -2, 8, -2])
    assert np.delete(moved, 2, axis=0) == pytest.approx(0)
    assert found.values.sum(axis=1) == pytest.approx(0)


def test_effects_from_a_sample_are_least_squares() -> None:
    parts, values = additive(2)
    sample = values.iloc[np.random.default_rng(0).permutation(len(values))[:200]]
    found = effects.main_effects(sample)
    assert (found.exact, found.n) == (False, 200)
    assert found.values == pytest.approx(parts)
    low, high = effects.intervals(sample)
    assert low == pytest.approx(parts)
    assert high == pytest.approx(parts)
    noisy = sample + np.random.default_rng(1).normal(0, 1, 200)
    low, high = effects.intervals(noisy)
    estimate = effects.main_effects(noisy).values
    assert np.all(low < high)
    assert np.mean((low <= estimate) & (estimate <= high)) > 0.9
    assert np.mean((low <= parts) & (parts <= high)) > 0.8


def test_a_sample_of_nearly_all_cells_has_nearly_the_exact_effects() -> None:
    values = pd.Series(np.random.default_rng(0).normal(size=len(cells())))
    exact, estimated = effects.main_effects(values), effects.main_effects(values.iloc[:-1])
    assert not estimated.exact
    assert estimated.values == pytest.approx(exact.values, abs=1e-2)


def test_too_few_cells_have_no_effects() -> None:
    with pytest.raises(CannotDraw, match="20 cells are too few"):
        effects.main_effects(additive(0)[1].iloc[:20])


def test_percentiles_do_not_depend_on_the_scale() -> None:
    values = pd.Series([3.0, -1e61, 3.0, 1e-9])
    assert effects.percentiles(values).tolist() == [75, 12.5, 75, 37.5]


def test_bars_and_markers_are_effects_and_estimates_are_called_so(study: Study) -> None:
    with styled():
        figure = effects.draw(study)
    truth = effects.main_effects(effects.percentiles(label_cells(LABELS, "all")))
    assert len(figure.axes) == 6
    for edge, axes in enumerate(figure.axes):
        assert [bar.get_height() for bar in axes.patches] == pytest.approx(truth.values[edge])
        for name, line in zip(study.chosen, axes.lines, strict=False):
            expected = effects.main_effects(effects.percentiles(study.everywhere[name])).values[edge]
            assert line.get_ydata() == pytest.approx(expected)
            assert line.get_label() == name
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[0] == f"distilled accuracy, estimated ({truth.n} cells)"
    assert len(OPERATIONS) == len(effects.SHORT)


def test_with_all_labels_effects_are_exact_and_nothing_is_hatched(study: Study) -> None:
    labels = Labels("accuracy, %", pd.DataFrame({0: additive(3)[1]}), False, "made up", NB201)
    with styled():
        figure = effects.draw(judged("digits", "x", labels, "all", study.everywhere))
    assert "exact" in figure.get_suptitle()
    assert not any(bar.get_hatch() for bar in figure.axes[0].patches)
    assert not figure.axes[0].collections


def test_costs_are_the_files_and_the_front_is_that_of_a_loop(study: Study, tmp_path: Path) -> None:
    folder = priced(study, tmp_path / "costs")
    with styled():
        figure = costs.draw(study, folder)
    file = pd.read_csv(folder / "digits.csv").set_index("proxy")["forwards"]
    known = {name: r.correlation.spearman for name, r in study.results.items() if not np.isnan(r.correlation.spearman)}
    expected = {(max(file[name], costs.LEAST), spearman) for name, spearman in known.items()}
    drawn = np.asarray(figure.axes[0].collections[0].get_offsets())
    assert {tuple(each) for each in drawn} == expected
    front = {a for a in expected if not any(b != a and b[0] <= a[0] and b[1] >= a[1] for b in expected)}
    assert {tuple(each) for each in figure.axes[0].lines[0].get_xydata()} == front
    assert {text.get_text() for text in figure.axes[0].texts} - {""} == set(known)


def test_proxies_that_cost_and_are_worth_the_same_are_both_named(study: Study, tmp_path: Path) -> None:
    twins = {name: study.scores["params"] for name in ("params", "flops")} | {"diswot": study.scores["diswot"]}
    (tmp_path / "digits.csv").write_text("proxy,seconds,forwards\nparams,0,0\nflops,0,0\ndiswot,1,2\n")
    with styled():
        figure = costs.draw(judged("digits", "distilled", LABELS, "functions", twins), tmp_path)
    assert {text.get_text() for text in figure.axes[0].texts} >= set(twins)
    assert len(figure.axes[0].lines[0].get_xydata()) >= 2


def test_a_point_that_equals_another_does_not_beat_it() -> None:
    found = costs.front(np.array([1.0, 1.0, 2.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.4, 0.7, 0.7]))
    assert found.tolist() == [True, True, False, True, False]


def test_a_missing_file_of_costs_is_one_line_and_a_damaged_one_an_error(study: Study, tmp_path: Path) -> None:
    with pytest.raises(CannotDraw, match=r"no costs in .*: `python -m bench cost --benchmark digits` measures them"):
        costs.draw(study, tmp_path)
    (tmp_path / "digits.csv").write_text("nothing of the kind\n")
    with pytest.raises(BadInput, match="measure again"):
        costs.draw(study, tmp_path)
    (tmp_path / "digits.csv").write_text("proxy,seconds,forwards\nnobody,1,1\n")
    with pytest.raises(CannotDraw, match="no published proxy"):
        costs.draw(study, tmp_path)


def test_subsets_scatter_less_the_larger_they_are_and_end_at_the_whole(study: Study) -> None:
    pairs = study.results["params"].pairs
    found = samples.curve(pairs)
    assert list(found.index) == [10, 20, 50, 100, 200, 300]
    assert found.iloc[-1].tolist() == [pytest.approx(study.results["params"].correlation.spearman)] * 3
    assert (found["high"] - found["low"]).is_monotonic_decreasing
    assert ((found["low"] <= found["median"]) & (found["median"] <= found["high"])).all()
    pd.testing.assert_frame_equal(found, samples.curve(pairs))
    with styled():
        line = panel(samples.draw(study), "params").lines[0]
    assert line.get_xydata() == pytest.approx(found["median"].reset_index().to_numpy())


def test_a_subset_is_drawn_from_the_pairs() -> None:
    """Of two cells that disagree and many that tie, subsets see what SciPy sees."""
    pairs = pd.DataFrame({"score": np.arange(30.0), "label": np.arange(30.0) ** 2})
    assert samples.curve(pairs).to_numpy() == pytest.approx(1)
    assert samples.curve(pairs.assign(label=1.0)).isna().all().all()


def test_room_for_few_goes_to_the_best_without_copies(study: Study) -> None:
    columns = dict(study.scores)
    order = [name for name in study.results if name not in ("params", "diswot")]
    columns["copy"] = columns[order[0]] * 2
    columns["params_copy"] = np.exp(columns["params"] / 40)
    found = few(["params_copy", order[0], "copy", "params", *order[1:], "diswot"], columns)
    assert found == ["diswot", "params", *order[:4]]
    assert [name for name in study.results if name in study.chosen] == study.chosen


def test_who_is_drawn_can_be_chosen_and_an_unknown_one_is_said(study: Study) -> None:
    chosen = judged("digits", "distilled", LABELS, "functions", study.scores, chosen=["params"]).chosen
    assert chosen == ["params"]
    with pytest.raises(BadUsage, match="did you mean 'params'"):
        judged("digits", "distilled", LABELS, "functions", study.scores, chosen=["parms"])


# --- how it looks


def drawn_words(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Bbox]]:
    """Every text that is really drawn, with the box around it in pixels."""
    found: list[tuple[str, Bbox]] = []
    original = Text.draw

    def record(self: Text, renderer: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            found.append((self.get_text(), Text.get_window_extent(self, renderer)))
        original(self, renderer)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", record)
        figure.canvas.draw()
    return found


Drawn = dict[str, tuple[Figure, list[tuple[str, Bbox]]]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Drawn]:
    """`drawn(50)`: of so many proxies the figure of each kind, and its words, drawn once."""

    @cache
    def figures(proxies: int) -> Drawn:
        found = made_up(proxies)
        folder, made = priced(found, tmp_path_factory.mktemp("costs") / "costs"), {}
        for kind, make in (KINDS | {"cost": lambda each: costs.draw(each, folder)}).items():
            with styled():
                figure = make(found)
                made[kind] = figure, drawn_words(figure, pytest.MonkeyPatch())
        return made

    return figures


@pytest.mark.parametrize("proxies", [3, 50])
def test_words_are_inside_and_apart_and_large_enough(proxies: int, drawn: Callable[[int], Drawn]) -> None:
    for kind, (figure, words) in drawn(proxies).items():
        with styled():
            assert {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()} <= {6, 7, 8}
        assert len(words) > 5
        width, height = figure.bbox.width, figure.bbox.height
        for word, box in words:
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert inside, (kind, word, box, (width, height))
        for (a, one), (b, other) in itertools.combinations(words, 2):
            assert not one.overlaps(other) or not _share_area(one, other), (kind, a, b)


def _share_area(one: Bbox, other: Bbox) -> bool:
    """More than the edge: a pixel of 200 an inch."""
    both = Bbox.intersection(one, other)
    return both is not None and min(both.width, both.height) > 1


def test_fifty_names_are_all_there(drawn: Callable[[int], Drawn]) -> None:
    ranked, alike = ([word for word, _ in drawn(50)[kind][1]] for kind in ("ranking", "similarity"))
    for name in called(50):
        assert ranked.count(name) == 1
        assert alike.count(name) == 2


def test_drawing_again_changes_no_byte_whatever_the_user_prefers(tmp_path: Path) -> None:
    few = made_up(3)
    folder = priced(few, tmp_path / "costs")
    first = draw(few, folder, tmp_path / "first")
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "savefig.facecolor": "red"}):
        again = draw(few, folder, tmp_path / "again")
    assert [path.name for path in first] == [path.name for path in again]
    assert len(first) == 2 * (len(KINDS) + 1)
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
        if one.suffix == ".svg":
            assert b"<dc:date>" not in one.read_bytes()
        else:
            with Image.open(one) as picture:
                assert picture.width in (700, 1400) or "similarity" in one.name
    assert {path.name for path in first} >= {"digits-distilled-ranking.svg", "digits-distilled-cost.png"}


def test_shades_are_told_apart_without_colour(study: Study, tmp_path: Path) -> None:
    """The map's lightness rises with the correlation."""
    lightness = [
        np.dot(mpl.colormaps["cividis"](value)[:3], (0.2126, 0.7152, 0.0722)) for value in np.linspace(0, 1, 20)
    ]
    assert np.all(np.diff(lightness) > 0)
    with styled():
        assert similarity.draw(study).axes[0].images[0].get_cmap().name == "cividis"
        marks = [line.get_marker() for line in effects.draw(study).axes[0].lines[: len(study.chosen)]]
    assert len(set(marks)) == len(study.chosen)


# --- from what is published


def publish(folder: Path, names: tuple[str, ...] = ("nwot", "snip", "diswot_semantic", "diswot_relation")) -> Path:
    """Scores of all 15,625 cells, as `bench export` leaves them."""
    store = ScoreStore(folder / "scores.sqlite")
    setting = benchmark("digits")
    for number, name in enumerate(names):
        proxy = registry.create(name)
        values = np.random.default_rng(number).normal(size=len(EVERYWHERE))
        record = settings(proxy, setting, "hash")
        entry = store.setting(name, "digits", name, record)
        run = store.start_run("2026-01-01", {}, [(entry, 0, "all", len(values))])
        store.add(run, [Row(entry, 0, cell, float(value), "ok", "") for cell, value in enumerate(values)])
    export(store, "digits", [registry.create(name) for name in names], folder / "scores")
    store.close()
    return folder / "scores"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("published"))


def test_populations_and_baselines_are_drawn_beside_the_published(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Study] = []
    monkeypatch.setattr(
        "analysis.figures.draw.KINDS", {"ranking": lambda each: (seen.append(each), ranking.draw(each))[1]}
    )
    paths = draw_all(benchmark("digits"), "distilled", LABELS, "functions", published, tmp_path, tmp_path)
    assert [path.name for path in paths] == ["digits-distilled-ranking.svg", "digits-distilled-ranking.png"]
    assert set(seen[0].results) == {
        "nwot",
        "snip",
        "diswot_semantic",
        "diswot_relation",
        "diswot_rank",
        "params",
        "flops",
    }
    assert len(seen[0].everywhere["diswot_rank"]) == len(cells())
    assert len(seen[0].scores["diswot_rank"]) == len(select("functions", NB201))
    assert capsys.readouterr().err == (
        f"no figure digits-distilled-cost: no costs in {tmp_path}: "
        "`python -m bench cost --benchmark digits` measures them\n"
    )


def test_the_command_draws_against_a_file(command: Command, published: Path, tmp_path: Path) -> None:
    TRUTH.rename_axis("cell").rename("accuracy").to_csv(tmp_path / "my labels.csv")
    ended = command(
        "analysis", "figures", "--benchmark", "digits", "--against", "my labels.csv", "--scores", published,
        "--output", "out", "--proxies", "nwot, params",
    )  # fmt: skip
    assert ended.code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(f"digits-my_labels-{kind}.{end}" for kind in KINDS for end in ("svg", "png"))
    assert ended.out.splitlines()[0] == "wrote out/digits-my_labels-ranking.svg"
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        ([], 1, "no published scores with an accuracy table in results/scores"),
        (["--benchmark", "digit"], 2, "did you mean 'digits'?"),
        (["--benchmark", "digits", "--against", "nothing.csv"], 2, "nor a file"),
        (["--benchmark", "cifar10", "--against", "labels.csv"], 1, "manifest.json"),
        (["--benchmark", "cifar10"], 1, "cifar10-distilled"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    command: Command, tmp_path: Path, words: list[str], code: int, expected: str
) -> None:
    TRUTH.rename_axis("cell").rename("accuracy").to_csv(tmp_path / "labels.csv")
    ended = command("analysis", "figures", *words)
    assert ended.code == code
    assert expected in ended.error


def test_a_figure_that_cannot_be_drawn_does_not_stop_the_others(tmp_path: Path) -> None:
    cell = [index for index in CELLS[:8] if cell_at(index).is_valid()]
    labels = Labels("accuracy, %", TRUTH[cell].to_frame(0), True, "made up", NB201)
    paths = draw(judged("digits", "x", labels, "functions", {"params": TRUTH}), tmp_path, tmp_path)
    assert {path.name for path in paths} >= {"digits-x-ranking.png", "digits-x-scores.svg"}
    assert not any(kind in path.name for path in paths for kind in ("effects", "samples", "similarity"))


def test_saving_makes_the_folder(tmp_path: Path) -> None:
    with styled():
        paths = save(Figure(figsize=(1, 1)), tmp_path / "a" / "b.c")
    assert [path.name for path in paths] == ["b.c.svg", "b.c.png"]
    assert all(path.is_file() for path in paths)
