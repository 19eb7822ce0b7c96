"""A proxy's description against the class and the committed tables, and the list's filter."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from bench.measure.describe import described, lines
from proxies import registry
from tests.conftest import ROOT, Command

pytestmark = pytest.mark.slow

ALL = [*registry.known(), *registry.populations()]


def published(path: str, name: str) -> dict[str, str]:
    with (ROOT / "results" / path).open(newline="") as file:
        return next(row for row in csv.DictReader(file) if row["proxy"] == name)


def test_formula_paper_cost_and_ranking_are_those_of_the_tree(command: Command) -> None:
    ended = command("bench", "describe", "nwot")
    (found,) = json.loads(command("bench", "describe", "nwot", "--json").out)
    assert (ended.code, ended.err) == (0, "")
    row, cost = published("tables/leaderboard-digits-distilled.csv", "nwot"), published("costs/digits.csv", "nwot")
    assert found["ranking"]["digits-distilled"] == {
        "n": int(row["n"]),
        **{name: float(row[name]) for name in ("spearman", "spearman_low", "spearman_high", "kendall")},
    }
    assert found["costs"]["digits"] == {name: float(cost[name]) for name in ("seconds", "forwards")}
    assert f"Spearman {float(row['spearman']):.2f} (" in ended.out
    assert f", n = {row['n']} (digits-distilled)" in ended.out
    assert f"{float(cost['forwards']):.1f} forward passes" in ended.out
    assert "log |det K|" in ended.out
    assert "log |det K|" in found["formula"]
    assert "https://arxiv.org/abs/2006.04647" in ended.out
    assert found["reference"]["bibtex"].startswith("@inproceedings{mellor2021neural,")
    assert (found["needs"], found["sees"], found["fields"]) == (["relu_kernel"], "relus", {"init": "default"})


@pytest.mark.parametrize("name", ALL)
def test_every_proxy_has_a_description_that_is_json(name: str) -> None:
    (one,) = registry.choose(name)
    found = described(one)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    text = "\n".join(lines(found))
    assert found["reference"]["title"] in text
    assert found["formula"] in text


def test_what_is_not_published_or_is_constant_is_said(tmp_path: Path) -> None:
    (one,) = registry.choose("diswot:variant=paper")
    assert "published  nothing" in list(lines(described(one)))
    board = dict.fromkeys(("spearman", "spearman_low", "spearman_high", "kendall"), math.nan)
    pd.DataFrame([{"proxy": "plain", "n": 30, **board}]).to_csv(tmp_path / "leaderboard-digits-gain.csv", index=False)
    (plain,) = registry.choose("plain")
    found = described(plain, tmp_path / "none", tmp_path)
    assert found["ranking"] == {
        "digits-gain": {"n": 30, **dict.fromkeys(("spearman", "spearman_low", "spearman_high", "kendall"))}
    }
    assert "published  no correlation, the scores are constant, n = 30 (digits-gain)" in list(lines(found))


def test_one_proxy_at_a_time(command: Command) -> None:
    assert command("bench", "describe", "nwot,snip").error == "describe 'nwot,snip': one proxy at a time"
    assert "did you mean 'nwot'" in command("bench", "describe", "nwit").error


def test_the_list_filters_by_name(command: Command) -> None:
    found = json.loads(command("bench", "list", "diswot", "--json").out)
    assert [entry["name"] for entry in found] == sorted(name for name in ALL if "diswot" in name)
    assert len(json.loads(command("bench", "list", "nwot", "--json").out)) == 1
    ended = command("bench", "list", "nwit")
    assert (ended.code, ended.error) == (2, "unknown proxy 'nwit': did you mean 'nwot' or 'ntk'?")
