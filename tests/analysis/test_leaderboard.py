"""The rows of a leaderboard are computed from published scores and accuracies, and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.read.columns import combined
from analysis.read.labels import Labels
from analysis.read.scores import published
from analysis.stats import ranking
from analysis.stats.comparison import compare, holm
from analysis.studies.leaderboard import Line, lines
from analysis.tables import leaderboard as tables
from bench.benchmarks import benchmark
from bench.plan import select
from bench.published import export
from bench.store import Row, ScoreStore
from common.errors import BadInput
from proxies import registry
from proxies.base import Proxy
from proxies.population import DisWOTRank
from spaces.nb201.cell import cell_at
from spaces.nb201.skeleton import count_multiply_adds, count_parameters
from spaces.nb201.space import NB201

pytestmark = pytest.mark.slow

DIGITS = benchmark("digits")
CELLS = select("functions", NB201, 40)
RNG = np.random.default_rng(5)
ACCURACY = pd.Series(RNG.normal(80, 5, len(CELLS)), index=CELLS)
LABELS = Labels("accuracy", ACCURACY.to_frame(0), True, "made up", NB201)


def publish(folder: Path, scores: Mapping[str, Mapping[int, Mapping[int, float | None]]]) -> Path:
    """Scores by proxy, seed and cell, as an exported folder."""
    store = ScoreStore(folder / "scores.sqlite")
    proxies: list[Proxy] = [registry.create(text) for text in scores]
    for proxy in proxies:
        for seed, column in scores[proxy.label].items():
            setting = store.setting(f"{proxy.label}{seed}", "digits", proxy.label, _record(proxy))
            run = store.start_run("2026-01-01", {}, [(setting, seed, "all", len(column))])
            rows = [
                Row(setting, seed, cell, value, "nonfinite" if value is None else "ok", "")
                for cell, value in column.items()
            ]
            store.add(run, rows)
    export(store, "digits", proxies, folder)
    store.close()
    return folder


def _record(proxy: Proxy) -> dict[str, object]:
    from bench.identity import settings

    return settings(proxy, DIGITS, "hash")


def noisy(spread: float, seed: int) -> dict[int, float | None]:
    values = ACCURACY + np.random.default_rng(seed).normal(0, spread, len(CELLS))
    return {int(cell): float(value) for cell, value in values.items()}


def by_name(found: list[Line]) -> dict[str, Line]:
    return {line.proxy: line for line in found}


def test_a_line_is_the_correlation_of_the_mean_over_seeds(tmp_path: Path) -> None:
    seeds = {seed: noisy(4, seed) for seed in range(3)}
    found = by_name(lines(publish(tmp_path, {"nwot": seeds}), DIGITS, LABELS, "functions"))
    mean = pd.DataFrame(seeds).mean(axis=1).reindex(CELLS)
    line = found["nwot"]
    assert line.spearman == pytest.approx(stats.spearmanr(mean, ACCURACY).statistic)
    assert line.kendall == pytest.approx(stats.kendalltau(mean, ACCURACY).statistic)
    assert line.pearson == pytest.approx(stats.pearsonr(mean, ACCURACY).statistic)
    assert line.spearman_low < line.spearman < line.spearman_high
    assert (line.n, line.coverage, line.scored, line.failed, line.seeds) == (40, 1.0, 40, 0, 3)


def test_a_cell_without_a_score_in_one_seed_is_counted_and_not_judged(tmp_path: Path) -> None:
    gap = noisy(4, 1) | {CELLS[3]: None, CELLS[7]: None}
    found = by_name(lines(publish(tmp_path, {"nwot": {0: noisy(4, 0), 1: gap}}), DIGITS, LABELS, "functions"))
    line = found["nwot"]
    assert (line.n, line.scored, line.failed) == (38, 38, 2)
    mean = pd.DataFrame({0: noisy(4, 0), 1: noisy(4, 1)}).mean(axis=1)
    mean[[CELLS[3], CELLS[7]]] = mean.min() - 1
    assert line.spearman_worst == pytest.approx(stats.spearmanr(mean.reindex(CELLS), ACCURACY).statistic)
    assert line.spearman_worst != line.spearman
    assert line.coverage == pytest.approx(0.95)


def test_a_cell_that_one_seed_has_not_tried_is_no_failure(tmp_path: Path) -> None:
    some = {cell: value for cell, value in noisy(4, 1).items() if cell in CELLS[:25]}
    table = published(publish(tmp_path, {"nwot": {0: noisy(4, 0), 1: some}}), "digits")["nwot"]
    assert sorted(table.index) == sorted(CELLS[:25])
    line = by_name(lines(tmp_path, DIGITS, LABELS, "functions"))["nwot"]
    assert (line.n, line.scored, line.failed) == (25, 25, 0)


def test_the_best_stands_first_and_counting_parameters_is_always_there(tmp_path: Path) -> None:
    folder = publish(
        tmp_path, {"nwot": {0: noisy(0.1, 0)}, "snip": {0: {c: -v for c, v in noisy(0.1, 0).items() if v}}}
    )
    found = lines(folder, DIGITS, LABELS, "functions")
    assert found[0].proxy == "nwot"
    assert found[-1].proxy == "snip"
    counts = [count_parameters(cell_at(cell), DIGITS.skeleton) for cell in CELLS]
    assert by_name(found)["params"].spearman == pytest.approx(stats.spearmanr(counts, ACCURACY).statistic)
    assert by_name(found)["params"].seeds == 0
    assert [line.spearman for line in found] == sorted((line.spearman for line in found), reverse=True)


def test_a_population_is_there_when_all_its_parts_are(tmp_path: Path) -> None:
    one = {"diswot_semantic": {0: noisy(3, 0)}}
    assert "diswot_rank" not in by_name(lines(publish(tmp_path / "one", one), DIGITS, LABELS, "functions"))
    both = one | {"diswot_relation": {0: noisy(9, 1)}}
    found = by_name(lines(publish(tmp_path / "both", both), DIGITS, LABELS, "functions"))
    ranks = [pd.Series(both[part][0]).reindex(CELLS).astype(float).rank() for part in both]
    assert found["diswot_rank"].spearman == pytest.approx(stats.spearmanr(sum(ranks), ACCURACY).statistic)
    assert found["diswot_rank"].family == "population"


def test_a_population_ranks_the_cells_asked_about_and_no_others() -> None:
    parts = {"diswot_semantic": pd.Series({1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}),
             "diswot_relation": pd.Series({1: 1.0, 2: 5.0, 3: 0.0, 4: np.nan})}  # fmt: skip
    found = combined(DisWOTRank(), parts, [3, 1, 2, 4, 99])
    assert found.dropna().to_dict() == {1: (1 + 2) / 3, 2: (2 + 3) / 3, 3: (3 + 1) / 3}
    assert list(found.index[found.isna()]) == [4]  # a part failed there; on 99 none was tried


def test_the_file_is_the_same_whenever_it_is_written(tmp_path: Path) -> None:
    folder = publish(tmp_path, {"nwot": {0: noisy(4, 0)}})
    found = (lines(folder, DIGITS, LABELS, "functions") for _ in range(2))
    first, second = (
        tables.table(tables.frame(each), "A caption.").write(tmp_path / name / "board")
        for name, each in zip("ab", found, strict=True)
    )
    assert [path.name for path in first] == ["board.csv", "board.md", "board.tex"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert pd.read_csv(first[0])["proxy"].iloc[0] == "nwot"
    top = lines(folder, DIGITS, LABELS, "functions")[0]
    assert f"| nwot | {top.spearman:.2f} | {top.spearman_low:.2f} to {top.spearman_high:.2f} |" in first[1].read_text()
    assert f"nwot & {top.spearman:.2f} & " in first[2].read_text()


def test_a_damaged_file_is_bad_input(tmp_path: Path) -> None:
    folder = publish(tmp_path, {"nwot": {0: noisy(4, 0)}})
    (folder / "digits" / "nwot.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(BadInput, match=r"nwot\.csv\.gz"):
        published(folder, "digits")


def test_every_statistic_of_a_line_is_of_its_own_labelled_cells(tmp_path: Path) -> None:
    gap = noisy(4, 0) | {CELLS[3]: None}
    found = by_name(lines(publish(tmp_path, {"nwot": {0: gap}}), DIGITS, LABELS, "functions"))["nwot"]
    cells = [cell for cell in CELLS if cell != CELLS[3]]
    scores, accuracies = np.array([gap[cell] for cell in cells]), ACCURACY[cells].to_numpy()
    sizes = np.array([count_parameters(cell_at(cell), DIGITS.skeleton) for cell in cells], dtype=float)
    assert found.weighted_kendall == pytest.approx(ranking.weighted_kendall(scores, accuracies))
    assert found.top10 == ranking.top_correlation(scores, accuracies, 0.1).spearman
    assert found.precision10 == ranking.precision_at(scores, accuracies, 0.1)
    assert found.regret10 == ranking.regret_at(scores, accuracies, 10)
    assert found.ndcg100 == pytest.approx(ranking.ndcg_at(scores, accuracies, 100))
    assert found.given_params == pytest.approx(ranking.partial_spearman(scores, accuracies, sizes))
    assert math.isnan(found.given_vanilla)
    with_sizes = stats.spearmanr(sizes, accuracies).statistic
    assert found.over_params == pytest.approx(found.spearman - with_sizes)
    assert found.over_params_low < found.over_params < found.over_params_high


def test_beside_vanilla_a_line_says_what_seeds_add(tmp_path: Path) -> None:
    by_seed = pd.DataFrame({seed: noisy(2, 20 + seed) for seed in range(3)})
    labels = Labels("distilled", by_seed, True, "made up", NB201)
    folder = publish(tmp_path, {"nwot": {seed: noisy(4, seed) for seed in range(3)}, "snip": {0: noisy(4, 9)}})
    found = by_name(lines(folder, DIGITS, labels, "functions", vanilla=LABELS))
    rho = by_seed.corr(method="spearman").to_numpy()[np.triu_indices(3, 1)].mean()
    reliability = 3 * rho / (1 + 2 * rho)
    for line in (found["nwot"], found["snip"], found["params"]):
        assert line.corrected == pytest.approx(line.spearman / np.sqrt(reliability))
    nwot = found["nwot"]
    assert nwot.seeds_low < nwot.spearman_low < nwot.spearman < nwot.corrected
    assert nwot.seeds_low < nwot.seeds_high
    assert math.isnan(found["snip"].seeds_low)
    assert math.isnan(by_name(lines(folder, DIGITS, labels, "functions"))["nwot"].corrected)


def test_a_line_has_its_cost_where_one_was_measured(tmp_path: Path) -> None:
    folder = publish(tmp_path, {"nwot": {0: noisy(4, 0)}, "snip": {0: noisy(4, 1)}})
    found = lines(folder, DIGITS, LABELS, "functions", costs={"nwot": 1.375})
    costs = {line.proxy: line.forwards for line in found}
    assert costs["nwot"] == 1.375
    assert math.isnan(costs["snip"])
    text = tables.table(tables.frame(found), "A caption.").typeset().markdown()
    rows = {row.split(" | ")[0]: row for row in text.splitlines()}
    assert rows["| nwot"].endswith(" | 1 | 1.38 |")
    assert rows["| snip"].endswith(" | 1 | – |")


def test_given_vanilla_a_copy_of_vanilla_says_nothing_and_what_distillation_adds_everything(tmp_path: Path) -> None:
    gain = pd.Series(np.random.default_rng(9).normal(0, 2, len(CELLS)), index=CELLS)
    vanilla = Labels("vanilla", (ACCURACY - gain).to_frame(0), True, "made up", NB201)
    scores = {"nwot": {0: {int(c): float(v) for c, v in (ACCURACY - gain).items()}}, "snip": {0: dict(gain.items())}}
    found = by_name(lines(publish(tmp_path, scores), DIGITS, LABELS, "functions", vanilla))
    assert math.isnan(found["nwot"].given_vanilla)
    assert found["snip"].given_vanilla > 0.7
    assert found["snip"].spearman < 0.6


def test_p_values_are_corrected_over_the_whole_board_and_params_is_not_tested_against_itself(tmp_path: Path) -> None:
    scores = {name: {0: noisy(spread, seed)} for seed, (name, spread) in enumerate([("nwot", 1.0), ("snip", 20.0)])}
    found = by_name(lines(publish(tmp_path, scores), DIGITS, LABELS, "functions"))
    assert math.isnan(found["params"].over_params)
    frame = pd.DataFrame(
        {name: pd.Series(scores[name][0]) if name in scores else _counted(name) for name in found}
    ).reindex(CELLS)
    groups = np.array(CELLS)  # each its own representative
    rivals = [name for name in found if name != "params"]
    single = {
        name: compare(frame[[name, "params"]], ACCURACY, groups, [(name, "params")])[0].p_value for name in rivals
    }
    expected = holm(np.array([single[name] for name in rivals]))
    assert [found[name].over_params_p for name in rivals] == pytest.approx(list(expected))


def _counted(name: str) -> pd.Series:
    count = {"params": count_parameters, "flops": count_multiply_adds}[name]
    return pd.Series({cell: float(count(cell_at(cell), DIGITS.skeleton)) for cell in CELLS})
