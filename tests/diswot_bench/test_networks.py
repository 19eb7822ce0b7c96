"""Scores of networks of one's own: the numbers are the bench's own, and a table says why there is none."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import diswot_bench as db
import images
from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore
from common.reproducible import random_states
from probe.network import Probe
from proxies.base import Proxy, Reference
from spaces.draw import Draw
from spaces.nb201.cell import cell_at
from spaces.nb201.network import CellNetwork

DIGITS = benchmark("digits")
PROXIES = ("diswot", "nwot", "snip", "kd", "grad_norm", "fisher", "zen", "l2_norm")


def network(width: int, *further: nn.Module) -> nn.Module:
    torch.manual_seed(width)
    layers = [nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), *further]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, 12, 12, generator=generator), torch.arange(8) % 5


@pytest.mark.slow
def test_a_cells_network_scores_what_the_bench_stores(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "s.sqlite")
    execute(Request(DIGITS, PROXIES, (0,), cells="functions", limit=2), store)
    store.close()
    stored = db.scores("digits", PROXIES, store=tmp_path / "s.sqlite")
    batch = images.load("digits").batch(64, 0)
    for cell in stored.index.get_level_values("cell")[:2]:
        for proxy in PROXIES:
            init = db.proxies().loc[proxy, "init"]
            skeleton = DIGITS.skeleton
            built = CellNetwork(cell_at(cell), skeleton, Draw(0, init, momentum=0.0), "function")
            teacher = CellNetwork(
                DIGITS.teacher.architecture,
                DIGITS.teacher.skeleton_for(skeleton),
                Draw(0, init, role="teacher ", momentum=0.0),
                "function",
            )
            found = db.score(proxy, built, batch.images, batch.labels, teacher=teacher)
            assert found == pytest.approx(stored.loc[(cell, 0), proxy], rel=1e-5), (cell, proxy)


@pytest.mark.slow
def test_a_table_has_a_status_for_every_network_and_proxy(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    networks = {"a": network(4), "b": network(8), "smooth": network(8, nn.GELU())}
    table = db.score_all(["params", "nwot", "snip", "diswot", "kd"], networks, *batch, teacher=network(8))
    assert table.index.names == ["network", "proxy"]
    assert len(table) == 15
    assert table.loc[("a", "params"), "score"] == 3 * 9 * 4 + 4 + 8 + 5 * 4 + 5
    assert table.loc[("a", "diswot"), "status"] == "not_applicable"
    assert "channels before the classifier" in table.loc[("a", "diswot"), "reason"]
    assert table.loc[("smooth", "nwot"), "status"] == "not_applicable"
    for name, one in networks.items():
        assert table.loc[(name, "snip"), "score"] == pytest.approx(db.score("snip", one, *batch), rel=1e-6)
    assert (table["score"].notna() == (table["status"] == "ok")).all()


@pytest.mark.slow
def test_a_teacher_is_asked_for_and_populations_rank_what_is_handed_in(
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    with pytest.raises(db.NotApplicable, match="kd compares a student with a teacher: give one"):
        db.score("kd", network(4), *batch)
    table = db.score_all("az_nas", {"a": network(4), "b": network(8), "c": network(6)}, *batch)
    assert set(table["status"]) <= {"ok", "not_applicable"}
    assert list(table.index.get_level_values("proxy").unique()) == ["az_nas"]


@pytest.mark.slow
def test_arrays_do_as_well_and_the_network_is_as_before(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    one = network(4)
    before = {name: value.clone() for name, value in one.state_dict().items()}
    random = torch.random.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = db.score("zen", one, batch[0].numpy(), batch[1].tolist())
    assert found == db.score("zen", one, *batch)
    assert all(torch.equal(value, before[name]) for name, value in one.state_dict().items())
    assert all(value.grad is None for value in one.parameters())
    assert torch.equal(torch.random.get_rng_state(), random)


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = network(4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such layer")


@pytest.mark.slow
def test_what_does_not_fit_is_told_in_a_line(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    pixels, labels = batch
    with pytest.raises(db.BadInput, match=r"images are torch.uint8 \[8, 3, 12, 12\]: hand in floating point"):
        db.score("nwot", network(4), pixels.byte(), labels)
    with pytest.raises(db.BadInput, match=r"labels are torch.int64 \[7\]: hand in whole numbers \[8\]"):
        db.score("nwot", network(4), pixels, labels[:7])
    with pytest.raises(db.BadInput, match="images hold NaN"):
        db.score("nwot", network(4), pixels * np.nan, labels)
    with pytest.raises(db.BadInput, match="labels are 0 to 5"):
        db.score("snip", network(4), pixels, labels + (labels == 4))
    with pytest.raises(db.BadUsage, match="did you mean 'nwot'"):
        db.score("nwott", network(4), pixels, labels)
    for several in ("nwot,snip", "all"):
        with pytest.raises(db.BadUsage, match=f"'{several}' is several proxies: score_all scores by those"):
            db.score(several, network(4), pixels, labels)
    with pytest.raises(db.BadUsage, match="hand in networks by name"):
        db.score_all("nwot", {}, pixels, labels)
    with pytest.raises(db.BadUsage, match="3 is no proxy"):
        db.score_all([3], {"a": network(4)}, pixels, labels)  # type: ignore[list-item]
    with pytest.raises(db.BadUsage, match="None is no proxy"):
        db.score(None, network(4), pixels, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"second": torch.zeros(2)}, "second is a Tensor: give a pair"),
        ({"images": "birds"}, "images of type str make no tensor"),
        ({"images": torch.zeros(8, 3, 12, 12, device="meta")}, "images are on the meta device"),
        ({"images": torch.zeros(8, 3, 12, 12, dtype=torch.complex64)}, "images are torch.complex64"),
        ({"labels": ["a", "b"]}, "labels of type list make no tensor"),
    ],
    ids=["seed", "half", "second", "text", "meta", "complex", "words"],
)
def test_options_that_mean_nothing_are_told_in_a_line(
    options: dict[str, Any], said: str, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    given = {"images": batch[0], "labels": batch[1]} | options
    with pytest.raises(db.BadInput, match=said):
        db.score("nwot", network(4), **given)


@pytest.mark.slow
def test_labels_that_are_not_there_are_missed_by_who_reads_them(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert db.score("nwot", network(4), batch[0], None) == db.score("nwot", network(4), *batch)
    with pytest.raises(db.NotApplicable, match="labels"):
        db.score("snip", network(4), batch[0], None)


def test_one_network_is_ranked_among_nothing(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    row = db.score_all("vote", {"a": network(4)}, *batch, teacher=network(8)).loc["a", "vote"]
    assert row["status"] == "not_applicable"
    assert np.isnan(row["score"])
    assert "hand in more than one" in row["reason"] or "no score of its part" in row["reason"]


@pytest.mark.slow
def test_a_network_that_fails_fails_alone(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    table = db.score_all("params,snip", {"good": network(4), "broken": Broken()}, *batch)
    assert table.loc["good", "status"].tolist() == ["ok", "ok"]
    assert table.loc["broken", "status"].tolist() == ["ok", "error"], "counting parameters needs no pass"
    assert "no such layer" in table.loc[("broken", "snip"), "reason"]
    with pytest.raises(db.BadInput, match="Broken does not run on images"):
        db.score("snip", Broken(), *batch)


@dataclass(frozen=True)
class Drawer(Proxy):
    """Draws from the random numbers of the process, or returns what is no number."""

    name = "drawer"
    family = "test"
    needs = ("forward",)
    reference = Reference(title="A test", year=2024, arxiv="", bibtex="")

    number: bool = True

    def score(self, student: Probe, teacher: Probe) -> float:
        return student.loss.item() + torch.rand(()).item() + np.random.rand() + random.random() if self.number else True


@pytest.mark.slow
def test_a_proxy_that_draws_does_so_by_the_seed_and_leaves_the_random_states(
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    model, before = network(8), random_states()
    scores = [db.score(Drawer(), model, *batch, seed=seed) for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]
    assert random_states() == before


def test_what_is_no_number_is_told(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    row = db.score_all([Drawer(number=False), "params"], {"a": network(8)}, *batch).loc[("a", "drawer:number=False")]
    assert (row["status"], row["reason"]) == (
        "error",
        "TypeError: score() returned the bool True: return one number, a float",
    )
