"""Scores made of other proxies' columns: brute-force ranks and votes, and how the command line names them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

import proxies.population
from common.errors import BadUsage
from proxies import registry
from proxies.base import Population, Proxy
from proxies.population import Vote

small = st.integers(min_value=2, max_value=12)
columns = st.builds(lambda n, k: (n, k), small, st.integers(2, 5)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(-4, 4))
)


def frame(values: np.ndarray) -> pd.DataFrame:
    index = [7 * row + 3 for row in range(len(values))]
    return pd.DataFrame(values.astype(float), index=index, columns=[f"p{n}" for n in range(values.shape[1])])


def of_kind(name: str) -> Population:
    return registry.populations()[name]()


@pytest.mark.parametrize("name", registry.populations())
def test_parts_are_proxies_and_the_score_is_of_the_rows(name: str) -> None:
    population = of_kind(name)
    assert all(isinstance(part, Proxy) for part in registry.parts(population))
    assert len(set(population.parts)) == len(population.parts) >= 2
    values = np.random.default_rng(0).normal(size=(9, len(population.parts)))
    table = frame(values).set_axis(list(population.parts), axis=1)
    combined = population.combine(table)
    assert list(combined.index) == list(table.index)
    assert np.isfinite(combined).all()
    # a cell that is best in everything is best, whatever the rule
    table.loc[999] = table.max() + 1
    assert population.combine(table).idxmax() == 999


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.populations())
@given(values=columns, seed=st.integers(0, 99))
def test_the_order_of_cells_does_not_matter_and_monotone_maps_change_nothing(
    name: str, values: np.ndarray, seed: int
) -> None:
    table = frame(values)
    combined = of_kind(name).combine(table)
    mixed = table.sample(frac=1, random_state=seed)
    pd.testing.assert_series_equal(of_kind(name).combine(mixed).sort_index(), combined.sort_index())
    if name != "freerea":  # a sum of values, not of ranks
        pd.testing.assert_series_equal(of_kind(name).combine(np.exp(table)), combined)


@pytest.mark.slow
@given(values=columns)
def test_rank_sums_are_scipys(values: np.ndarray) -> None:
    ranks = np.stack([rankdata(column) for column in values.T])
    n = len(values)
    np.testing.assert_allclose(of_kind("te_nas").combine(frame(values)), ranks.sum(0) / n)
    np.testing.assert_allclose(of_kind("diswot_rank").combine(frame(values)), ranks.sum(0) / n)
    expected = [math.log(math.prod(float(rank) / n for rank in row)) for row in ranks.T]
    np.testing.assert_allclose(of_kind("az_nas").combine(frame(values)), expected, atol=1e-12)
    np.testing.assert_allclose(of_kind("vkdnw_aggregate").combine(frame(values)), expected, atol=1e-12)


@pytest.mark.slow
@given(values=columns)
def test_a_vote_counts_pairs_won_less_pairs_lost(values: np.ndarray) -> None:
    expected = np.zeros(len(values))
    for a, b in itertools.permutations(range(len(values)), 2):
        ballots = sum((x > y) - (x < y) for x, y in zip(values[a].tolist(), values[b].tolist(), strict=True))
        expected[a] += (ballots > 0) - (ballots < 0)
    np.testing.assert_allclose(of_kind("vote").combine(frame(values)), expected / len(values))


def test_a_vote_over_many_cells_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = frame(np.random.default_rng(1).normal(size=(50, 3)))
    whole = Vote().combine(values)
    monkeypatch.setattr(proxies.population, "_ROWS", 7)
    pd.testing.assert_series_equal(Vote().combine(values), whole)


def test_both_terms_of_diswot_rank_count() -> None:
    """The plain sum ranks as the semantic term does; the rank sum does not."""
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"s": rng.normal(size=40), "r": rng.normal(size=40) / 1000})
    plain = table.sum(axis=1)
    combined = of_kind("diswot_rank").combine(table)
    assert plain.corr(table.s, method="spearman") > 0.999
    assert combined.corr(table.s, method="spearman") == pytest.approx(
        combined.corr(table.r, method="spearman"), abs=0.1
    )
    assert 0.5 < combined.corr(table.s, method="spearman") < 0.9


def test_what_a_list_names_and_what_of_it_is_scored() -> None:
    chosen = registry.choose("az_nas,nwot,vote:of=nwot+snip")
    assert [one.label for one in chosen] == ["az_nas", "nwot", "vote:of=nwot+snip"]
    scored = [proxy.label for proxy in registry.create_all("az_nas,nwot,vote:of=nwot+snip")]
    assert scored == ["nwot", *of_kind("az_nas").parts, "snip"]
    assert [proxy.label for proxy in registry.create_all("diswot_rank:variant=paper")] == [
        "diswot_semantic:variant=paper",
        "diswot_relation:variant=paper",
    ]
    everything = {one.name for one in registry.choose("all")}
    assert everything == set(registry.known()) | set(registry.populations())


@pytest.mark.parametrize(
    ("text", "named"), [("vote:of=nwot", "two"), ("vote:of=nwot+snipp", "snip"), ("vote:off=nwot+snip", "of"),
                        ("diswot_rank:variant=papers", "paper"), ("az_na", "az_nas")]
)  # fmt: skip
def test_what_cannot_be_combined_is_bad_usage(text: str, named: str) -> None:
    with pytest.raises(BadUsage, match=named):
        registry.create_all(text)


def test_a_population_cannot_be_scored_alone() -> None:
    with pytest.raises(BadUsage, match="az_nas"):
        registry.create("az_nas")
