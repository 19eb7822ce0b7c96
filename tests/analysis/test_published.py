"""What is published is read whole, and only proxies as they come are ranked."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from planted import publish_scores

from analysis.read.scores import is_default, judged_columns, published, published_rows
from bench.benchmarks import benchmark
from common.errors import BadInput
from spaces.nb201.sets import cell_set

CELLS = cell_set("functions")[:5]
COLUMN = {cell: float(cell) for cell in CELLS}
NAMES = ("nwot", "nwot:init=kaiming", "kd@best", "diswot:init=gaussian:variant=paper@13835")


@pytest.mark.slow
def test_variants_and_other_teachers_are_no_rows_of_a_leaderboard(tmp_path: Path) -> None:
    folder = publish_scores(tmp_path, {name: {0: COLUMN} for name in NAMES})
    assert list(published(folder, "digits")) == ["nwot"]
    assert [name for name in NAMES if is_default(name)] == ["nwot"]
    columns = judged_columns(published(folder, "digits"), benchmark("digits"), "functions")
    assert set(columns) == {"nwot", "params", "flops"}


def test_who_asks_for_a_variant_gets_it(tmp_path: Path) -> None:
    folder = publish_scores(tmp_path, {name: {0: COLUMN} for name in NAMES})
    found = published(folder, "digits", "kd@best".__eq__)
    assert list(found) == ["kd@best"]
    assert found["kd@best"][0].to_dict() == COLUMN


def test_rows_say_why_there_is_no_score(tmp_path: Path) -> None:
    folder = publish_scores(tmp_path, {"kd": {0: COLUMN | {CELLS[2]: None}}}, reason="nan")
    rows = published_rows(folder, "digits", is_default)["kd"].set_index("cell")
    assert list(rows.loc[CELLS[2], ["status", "reason"]]) == ["not_applicable", "nan"]
    assert list(rows.loc[CELLS[0], ["status", "reason"]]) == ["ok", ""]
    assert rows["score"].isna().sum() == 1


def test_a_cell_named_twice_is_bad_input(tmp_path: Path) -> None:
    folder = publish_scores(tmp_path, {"kd": {0: COLUMN}})
    path = folder / "digits" / "kd.csv.gz"
    data = gzip.compress(b"cell,seed,score,status,reason\n1,0,2.0,ok,\n1,0,2.0,ok,\n")
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"kd\.csv\.gz .*not the file that its manifest lists"):
        published(folder, "digits")
    entry = {"proxy": "kd", "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "digits" / "manifest.json").write_text(json.dumps({"kd.csv.gz": entry}))
    with pytest.raises(BadInput, match=r"kd\.csv\.gz .*two rows of one seed"):
        published(folder, "digits")
