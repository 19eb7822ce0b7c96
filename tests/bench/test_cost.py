"""Costs are of the passes a run would make, all proxies named, and written so that they can be read again."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import bench.measure.cost
from bench.benchmarks import benchmark
from bench.measure.cost import Cost, Costs, measure, write
from bench.plan import Pass
from bench.worker import Outcome, Worker
from proxies import registry
from spaces.nb201.equivalence import representatives

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage is collected before each measurement, which makes times comparable: nothing that is asserted here."""
    monkeypatch.setattr("bench.measure.cost.gc.collect", lambda: 0)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Pass]:
    """The passes that were scored."""
    seen: list[Pass] = []
    score = Worker.score

    def watched(self: Worker, task: Pass) -> list[Outcome]:
        seen.append(task)
        outcomes = score(self, task)
        assert all(outcome.status == "ok" for outcome in outcomes), outcomes
        return outcomes

    monkeypatch.setattr(Worker, "score", watched)
    return seen


def test_every_proxy_is_scored_alone_and_all_together(passes: list[Pass]) -> None:
    proxies = [registry.create(text) for text in ("nwot", "diswot", "zico", "grad_norm_all")]
    found = measure(benchmark("digits"), proxies, 2)
    assert [cost.proxy for cost in found.each] == ["nwot", "diswot", "zico", "grad_norm_all"]
    assert all(cost.seconds > 0 and cost.forwards > 0 for cost in (*found.each, found.together))
    assert found.share > 0
    cell = {task.cell for task in passes}
    assert cell <= set(representatives("function")) | set(representatives("executed")) | set(representatives("relus"))
    alone = [task.proxies for task in passes if len(task.proxies) == 1]
    assert {numbers[0] for numbers in alone} == {0, 1, 2, 3}
    assert any({1, 2} <= set(task.proxies) for task in passes)  # one pass for what shares an initialisation


def test_the_share_is_together_over_the_sum_of_single_runs() -> None:
    costs = Costs([Cost("a", 1.0, 10.0), Cost("b", 3.0, 30.0)], Cost("all", 2.0, 20.0))
    assert costs.share == costs.share_of_passes == 0.5
    costs = Costs([*costs.each, Cost("both", 4.0, 40.0)], costs.together, ("both",))
    assert (costs.share, costs.share_of_passes) == (0.25, 0.5)


def test_a_population_costs_what_its_parts_cost_together_and_brings_them_along(passes: list[Pass]) -> None:
    found = measure(benchmark("digits"), registry.choose("kd,diswot_rank"), 1)
    assert [cost.proxy for cost in found.each] == ["kd", "diswot_rank"]
    assert found.populations == ("diswot_rank",)
    assert [len(task.proxies) for task in passes] == [1, 2, 3] * 2, "kd, the two terms, all three; warm-up and sample"


def test_written_costs_are_a_table_with_what_measured_it(tmp_path: Path) -> None:
    costs = Costs([Cost("a", 0.123456789, 1.239)], Cost("all", 2.0, 20.0))
    path = write(costs, "digits", {"device": "cpu"}, tmp_path)
    assert pd.read_csv(path).to_dict("list") == {
        "proxy": ["a", "all"], "seconds": [0.12346, 2.0], "forwards": [1.24, 20.0],
    }  # fmt: skip
    assert json.loads(path.with_suffix(".json").read_text()) == {"device": "cpu"}
    assert Path("results/costs") == bench.measure.cost.FOLDER
