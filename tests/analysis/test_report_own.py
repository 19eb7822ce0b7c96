"""The report shows what the user has scored beside what is published, marked, and leaves what git keeps alone."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Command
from small_results import CELLS, scores, small_results

from analysis.read.stored import own_scores
from analysis.report import page
from analysis.report.contents import Contents, contents
from analysis.report.own import MARK
from analysis.studies.correlate import judge
from bench.benchmarks import benchmark
from bench.identity import fingerprint, settings
from bench.store import Row, ScoreStore
from common import results as places
from proxies.registry import create

pytestmark = pytest.mark.slow

MINE = "synflow"
"""A proxy that the small results do not publish."""


def fill(path: Path, name: str, cells: list[int] = CELLS, seeds: tuple[int, ...] = (0, 1)) -> None:
    """A store that has the scores of the small results' nwot under another name."""
    proxy, setting = create(name), benchmark("digits")
    record = settings(proxy, setting, "ab" * 32)
    store = ScoreStore(path)
    number = store.setting(fingerprint(record), "digits", name, record)
    made = {"commit": "c0ffee", "torch": "9.9"}
    run = store.start_run("2026-01-01", made, [(number, seed, "functions", len(cells)) for seed in seeds])
    for seed in seeds:
        known = scores()["nwot"][seed]
        store.add(
            run, [Row(number, seed, cell, known[cell], "ok", "") for cell in cells if not math.isnan(known[cell])]
        )
    store.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_results(tmp_path_factory.mktemp("results"))
    fill(folder / "store/scores.sqlite", MINE)
    return folder


@pytest.fixture(scope="module")
def found(results: Path) -> Contents:
    return contents(results, results / "store/scores.sqlite")


def test_the_users_scores_are_a_line_of_every_leaderboard_at_their_place(found: Contents) -> None:
    for board in found.sections[0].boards:
        assert [line.proxy for line in board.lines if line.own] == [MINE]
        spearman = [line.values["spearman"].number for line in board.lines]
        known = [value for value in spearman if value is not None]
        assert known == sorted(known, reverse=True)
        by_name = {line.proxy: line for line in board.lines}
        for key in ("spearman", "kendall", "given_params", "over_params", "n"):
            ours, theirs = by_name[MINE].values[key], by_name["nwot"].values[key]
            assert ours.number == pytest.approx(theirs.number, abs=5.1e-5), "the same scores under another name"
        assert by_name[MINE].interval is not None
        assert board.caption.endswith("stars corrected for these alone.")
        assert f"Yours: {MINE}, from " in board.caption


def test_they_are_in_the_scatter_and_marked_there(found: Contents) -> None:
    points = found.sections[0].points
    assert points is not None
    assert points["proxies"][MINE] == points["proxies"]["nwot"] | {"own": True}
    assert [name for name, one in points["proxies"].items() if one.get("own")] == [MINE]
    text = page.render(found, "globalThis.Plotly = {};")
    assert f'<option value="{MINE}">{MINE} ({MARK})</option>' in text
    assert text.count(f'<span class="mark">{MARK}</span>') == 3 + 1, "in each leaderboard, and where it says how"


def test_they_are_in_figures_that_are_drawn_beside_the_store(found: Contents, results: Path) -> None:
    drawn = results / "store/report"
    assert {path.name for path in drawn.glob("*.svg")} >= {
        f"digits-distilled-{kind}.svg" for kind in ("ranking", "scores")
    }
    shown = {figure.name for figure in found.sections[0].figures}
    assert {path.stem for path in drawn.glob("*.svg")} == shown, "the published one of a name gives way"


def test_without_a_store_or_with_what_is_published_alone_nothing_is_added(results: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(results, tmp_path / "copy")
    shutil.rmtree(copy / "store")
    plain = page.render(contents(copy), "")
    assert page.render(contents(copy, copy / "store/scores.sqlite"), "") == plain
    fill(copy / "store/scores.sqlite", "snip")
    assert page.render(contents(copy, copy / "store/scores.sqlite"), "") == plain
    assert not (copy / "store/report").exists()


def test_too_few_scores_to_be_judged_are_left_out_of_what_is_judged(results: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(results, tmp_path / "copy")
    (copy / "store/scores.sqlite").unlink()
    fill(copy / "store/scores.sqlite", MINE, CELLS[:2])
    section = contents(copy, copy / "store/scores.sqlite").sections[0]
    assert not [line for board in section.boards for line in board.lines if line.own]
    assert section.points is not None
    assert section.points["proxies"][MINE]["own"]


def test_scores_of_a_proxy_that_is_gone_cost_a_line(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = shutil.copy(results / "store/scores.sqlite", tmp_path / "scores.sqlite")
    setting = benchmark("digits")
    (name,) = own_scores(store, setting, ())
    assert name == MINE
    opened = ScoreStore(store)
    record = settings(create("snip"), setting, "ab" * 32) | {"proxy": "gone"}
    number = opened.setting(fingerprint(record), "digits", "gone", record)
    run = opened.start_run("2026-01-02", {}, [(number, 0, "all", 1)])
    opened.add(run, [Row(number, 0, CELLS[0], 1.0, "ok", "")])
    opened.close()
    assert list(own_scores(store, setting, ())) == [MINE]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"note: the scores of gone in {store} are left out: unknown proxy 'gone'")


def test_what_made_them_is_known(results: Path) -> None:
    found = own_scores(results / "store/scores.sqlite", benchmark("digits"), ())[MINE]
    assert found.runs == [{"commit": "c0ffee", "torch": "9.9"}]
    assert [one.seed for one in found.settings] == [0, 1]
    judged = judge(MINE, [0, 1], found.table.mean(axis=1), scores()["nwot"].mean(axis=1), benchmark("digits").space)
    assert judged.correlation.spearman == pytest.approx(1)


def test_the_command_reads_the_store_of_the_folder_or_another(command: Command, results: Path, tmp_path: Path) -> None:
    ended = command("analysis", "report", "--results", results, "--output", tmp_path / "a.html")
    assert ended.code == 0
    data = json.loads(re.findall(r'id="data">(.*?)</script>', (tmp_path / "a.html").read_text(), re.DOTALL)[0])
    assert data["digits"]["proxies"][MINE]["own"]
    missing = command("analysis", "report", "--results", results, "--store", tmp_path / "none.sqlite")
    assert missing.code == 1
    assert "none.sqlite: no such file" in missing.error


def test_git_ignores_all_that_is_made_of_the_users_scores_and_labels() -> None:
    made = [
        places.RESULTS / "report.html",
        *(one / "a" for one in (places.SCATTERS, places.OWN_TABLES, places.OWN_REPORT)),
    ]
    listed = subprocess.run(
        ["git", "check-ignore", *map(str, made)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 128:
        pytest.skip("no git repository")
    assert listed.stdout.split() == [str(one) for one in made]


@pytest.mark.parametrize(("kind", "folder"), [("figures", places.SCATTERS), ("tables", places.OWN_TABLES)])
def test_what_is_drawn_against_a_file_goes_to_the_store(
    command: Command, results: Path, tmp_path: Path, few_resamples: None, kind: str, folder: Path
) -> None:
    shutil.copytree(results, tmp_path / "results")
    before = sorted(path for path in (tmp_path / "results").rglob("*") if "store" not in path.parts)
    (tmp_path / "mine.csv").write_text("cell,accuracy\n" + "\n".join(f"{cell},{cell % 97}" for cell in CELLS))
    ended = command("analysis", kind, "--benchmark", "digits", "--against", "mine.csv", "--cells", "labelled")
    assert ended.code == 0, ended.err
    assert len(list((tmp_path / folder).iterdir())) >= 4
    assert all(
        f" {folder}/" in f" {path}"
        for line in ended.out.splitlines()
        for path in line.removeprefix("wrote ").split(", ")
    )
    assert sorted(path for path in (tmp_path / "results").rglob("*") if "store" not in path.parts) == before
