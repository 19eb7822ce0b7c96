"""`python -m search subgraph`: what it writes, that it goes on where it was killed, how it refuses; table, figures."""

from __future__ import annotations

import csv
import gzip
import json
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from heavy import heavy_imports

import images.digits
from analysis.figures import subgraph
from analysis.figures.style import styled
from analysis.tables import subgraph as tables
from analysis.tables.subgraph import lines, read, verdict
from common.cli import run
from common.errors import BadInput
from common.files import gzip_bytes
from common.formats import write_json
from search.cli import app
from tests.conftest import Command, Fork

pytestmark = pytest.mark.slow

WORDS = ["--benchmark", "digits-rehearsal", "--teacher", "random:digits", "--channels", "4", "--depth", "2"]
WORDS += ["--warm", "2", "--growth", "1", "--steps", "60", "--seeds", "0-1", "--rivals", "2"]
EDGES = ["subgraph", "--budget", "0.8", *WORDS]


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("images.digits.SCENES", {"val": 40, "test": 60})


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "results/subgraphs").iterdir())}


def test_a_student_is_cut_trained_again_and_compared(command: Command, tmp_path: Path, few_scenes: None) -> None:
    ended = command("search", *EDGES)
    assert ended.code == 0, ended.err
    assert "digits-rehearsal, edges, at most 33,483 of 41,854 parameters, seeds 0-1" in ended.out
    folder = tmp_path / "results/subgraphs"
    found = rows(folder / "digits-rehearsal-edges-33483.csv")
    settings = json.loads((folder / "digits-rehearsal-edges-33483.json").read_text())
    for seed in ("0", "1"):
        own = [row for row in found if row["seed"] == seed]
        assert {row["kind"] for row in own} == {"l1", "random", "largest", "width", "depth", "both"}
        assert all(int(row["parameters"]) <= 33_483 for row in own)
        (student,) = (row for row in own if row["kind"] == "l1")
        assert {row["parameters"] for row in own if row["kind"] == "random"} == {student["parameters"]}
        assert all(0 <= float(row[mode]) <= 100 for row in own for mode in ("vanilla", "distilled"))
    gates = pd.read_csv(folder / "digits-rehearsal-edges-33483-gates.csv.gz")
    for seed, part in gates.groupby("seed"):
        last = part.iloc[-1][settings["elements"]]
        assert settings["kept"][str(seed)] == [name for name, gate in last.items() if gate > 0]
        assert (last == 0).any()
        assert settings["steps"][str(seed)] == len(part) == part["step"].max()
    with closing(sqlite3.connect(tmp_path / "results/store/subgraphs.sqlite")) as database:
        likelihoods = database.execute("SELECT log_likelihood FROM accuracy").fetchall()
    assert len(likelihoods) == trained(tmp_path / "results/store/subgraphs.sqlite") > 0
    assert all(value < 0 for (value,) in likelihoods)
    first = written(tmp_path)
    again = command("search", *EDGES)
    assert "trainings in" not in again.err
    assert "selections in" not in again.err
    assert written(tmp_path) == first


@pytest.mark.parametrize(
    ("gates", "teacher"), [("operations", "random:digits"), ("blocks", "random:digits-resnet20"),
                           ("channels", "random:digits-resnet20")],
)  # fmt: skip
def test_other_gates_cut_within_the_budget_too(
    command: Command, tmp_path: Path, few_scenes: None, gates: str, teacher: str
) -> None:
    words = [*EDGES, "--gates", gates, "--teacher", teacher, "--channels", "8", "--seeds", "3", "--no-vanilla"]
    words += ["--growth", "2"] if gates == "operations" else []  # until an edge has one of its four
    ended = command("search", *words)
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "results/subgraphs").glob("*.csv")
    budget = json.loads(path.with_suffix(".json").read_text())["budget"]
    found = rows(path)
    assert all(int(row["parameters"]) <= budget and row["vanilla"] == "" for row in found)
    assert {"l1", "random", "width", "depth", "both"} <= {row["kind"] for row in found}


def study() -> None:
    """A short study on few scenes: an accuracy means nothing here."""
    images.digits.SCENES = {"val": 40, "test": 60}
    sys.argv = ["search", *EDGES, "--depth", "1", "--seeds", "0", "--no-vanilla"]
    run(app)


def test_a_killed_study_goes_on_to_the_same_bytes(tmp_path: Path, fork: Fork) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    code, _, err = fork(study, folder=whole).end()
    assert code == 0, err
    store = killed / "results/store/subgraphs.sqlite"
    running = fork(study, folder=killed)
    until = time.monotonic() + 600
    while not (store.exists() and trained(store)):
        assert time.monotonic() < until
        assert running.process.is_alive(), "it ended before it was killed"
        time.sleep(0.01)
    running.process.kill()
    assert running.end()[0] == -signal.SIGKILL
    before = trained(store)
    assert not (killed / "results/subgraphs").exists()
    code, _, err = fork(study, folder=killed).end()
    assert code == 0, err
    assert "selections in" not in err, "what was selected was selected again"
    assert written(killed) == written(whole)
    assert 0 < before < trained(store) == trained(whole / "results/store/subgraphs.sqlite")


def trained(store: Path) -> int:
    try:
        with closing(sqlite3.connect(store)) as database:
            return int(database.execute("SELECT count(*) FROM accuracy").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--budget", "x"], 2, "--budget 'x': expected parameters such as 20k or 0.5M, or a share"),
        (["--budget", "0"], 2, "--budget '0': expected parameters"),
        (["--budget", "1k"], 2, "no student of this graph has 1,000 parameters or fewer: the smallest has "),
        (["--budget", "5M"], 2, "--budget 5,000,000: the teacher's graph has 41,854 parameters"),
        (["--budget", "0.5", "--gates", "egdes"], 2, "unknown kind of gates 'egdes': did you mean 'edges'?"),
        (
            ["--budget", "0.5", "--gates", "blocks"],
            2,
            "--gates blocks: the teacher random:digits is of cells",
        ),
        (["--budget", "0.5", "--teacher", "digits-resnet20"], 2, "is a resnet20, use blocks or channels"),
        (["--budget", "0.5", "--teacher", "digits-wrn-16-2", "--gates", "blocks"], 2, "a Wide ResNet has no gates"),
        (
            ["--budget", "0.5", "--teacher", "digits-resnet20", "--gates", "channels", "--channels", "4"],
            2,
            "8 groups of channels a block need a multiple of 8",
        ),
        (["--budget", "0.5", "--teacher", "digitz"], 2, "did you mean 'digits"),
        (["--budget", "0.5", "--benchmark", "digit"], 2, "did you mean 'digits"),
        (["--budget", "0.5", "--seeds", "a"], 2, "--seeds 'a'"),
        (["--budget", "0.5", "--rivals", "0"], 2, "--rivals 0: must be at least 1"),
        (["--budget", "0.5", "--steps", "3"], 2, "after 3 steps the student still has 35,694 parameters"),
    ],
)
def test_wrong_words_end_with_one_line(command: Command, words: list[str], code: int, message: str) -> None:
    ended = command("search", "subgraph", *WORDS, *words)
    assert message in ended.error
    assert ended.code == code


def test_words_cost_no_heavy_import(tmp_path: Path, environment: dict[str, str]) -> None:
    helps = [["--help"], ["subgraph", "--help"], ["evolve", "--help"]]
    assert heavy_imports(0, "search", helps, tmp_path, environment) == "[]"
    wrong = [["subgraph", "--budget", "x"], ["subgraph", "--budget", "1k", "--gates", "x"], ["subgrap"]]
    assert heavy_imports(1, "search", wrong, tmp_path, environment) == "[]"


def made_up(folder: Path, lead: float) -> Path:
    """Two seeds of two studies: students that lead by `lead` points, one without a depth cut and vanilla accuracies."""
    for gates, elements in (
        ("edges", ["0->1 nor_conv_3x3", "0->3 nor_conv_3x3", "1->3 nor_conv_3x3"]),
        ("channels", ["stages.0.0", *(f"stages.0.0/{n}" for n in range(8)), *(f"stages.1.0/{n}" for n in range(8))]),
    ):
        table, history = [], []
        for seed in range(3):
            base = 80 + seed + 0.01 * seed**2
            found = base + lead + 0.02 * seed
            for kind, distilled in (("l1", found), ("random", base - 1), ("random", base + 1), ("width", 70)):
                vanilla = distilled - 2 if gates == "edges" else ""
                table.append([seed, kind, f"net {kind}", 900, 2_000_000, vanilla, distilled])
            for step in range(1, 41):
                values = [max(0.0, 1 - step * number / 60) for number in range(len(elements))]
                history.append([seed, step, step / 10, 1.0, *values])
        kept = [name for number, name in enumerate(elements) if 40 * number < 60]
        columns = ["seed", "kind", "network", "parameters", "multiply_adds", "vanilla", "distilled"]
        folder.mkdir(exist_ok=True)
        pd.DataFrame(table, columns=columns).to_csv(folder / f"digits-{gates}-1000.csv", index=False)
        frame = pd.DataFrame(history, columns=["seed", "step", "lambda", "loss", *elements])
        text = frame.to_csv(index=False).encode()
        (folder / f"digits-{gates}-1000-gates.csv.gz").write_bytes(gzip_bytes(text))
        settings = {"benchmark": "digits", "gates": gates, "budget": 1000, "teacher_parameters": 2000}
        settings |= {"elements": elements, "kept": {str(seed): kept for seed in range(3)}, "seeds": [0, 1, 2]}
        write_json(folder / f"digits-{gates}-1000.json", settings)
    return folder


@pytest.mark.parametrize(
    ("lead", "said"),
    [(3, "beats the mean random"), (-3, "is worse than the mean random")],
)
def test_the_table_says_whether_the_student_wins(tmp_path: Path, lead: float, said: str) -> None:
    cuts = read("digits", made_up(tmp_path, lead))
    assert [cut.settings["gates"] for cut in cuts] == ["channels", "edges"]
    frame = lines(cuts[1]).set_index("kind")
    difference = pd.Series([lead, lead + 0.02, lead + 0.04])
    half = 4.302653 * difference.std() / 3**0.5  # Student's t of two degrees of freedom
    assert frame.loc["random", "over"] == pytest.approx(difference.mean())
    assert frame.loc["random", "over_low"] == pytest.approx(difference.mean() - half)
    assert frame.loc["l1", "distilled"] == pytest.approx(80 + 1 + 0.05 / 3 + lead + 0.02)
    assert frame.loc["l1", "vanilla"] == pytest.approx(frame.loc["l1", "distilled"] - 2)
    assert said in verdict(lines(cuts[1]))
    paths = tables.table(tables.frame(cuts), cuts, "digits").write(tmp_path / "made")
    assert sorted(path.suffix for path in paths) == [".csv", ".md", ".tex"]
    page = (tmp_path / "made.md").read_text()
    assert "| edges, 1,000 | the teacher, shallower | none | – |" in page
    assert page.count("random subgraph of equal size") == 2
    first = [path.read_bytes() for path in paths]
    again = tables.table(tables.frame(cuts), cuts, "digits").write(tmp_path / "made")
    assert [path.read_bytes() for path in again] == first


def test_subgraphs_of_another_size_are_not_said_to_be_of_equal_size(tmp_path: Path) -> None:
    cut = read("digits", made_up(tmp_path, 3))[1]
    cut.rows.loc[cut.rows["kind"] == "random", "parameters"] = 1000  # of 900
    said = verdict(lines(cut))
    assert "no other subgraph has the size of the L1 student, 900 parameters; those nearest have 1,000" in said
    assert "equal size" not in said


def test_seeds_that_do_not_tell_are_said_not_to(tmp_path: Path) -> None:
    (cut,) = (cut for cut in read("digits", made_up(tmp_path, -0.02)) if cut.settings["gates"] == "edges")
    assert "does not beat the mean random subgraph" in verdict(lines(cut))


def test_files_of_another_form_are_refused_in_one_line(tmp_path: Path) -> None:
    made_up(tmp_path, 0)
    assert read("cifar10", tmp_path) == []
    (tmp_path / "digits-edges-1000.csv").write_text("seed,kind\n0,l1\n")
    with pytest.raises(BadInput, match=r"cannot read .*digits-edges-1000.csv \(no column 'network'\)"):
        read("digits", tmp_path)


def test_the_gates_drawn_are_those_written_up_to_the_step_that_closes_them(tmp_path: Path) -> None:
    (cut,) = (cut for cut in read("digits", made_up(tmp_path, 1)) if cut.settings["gates"] == "edges")
    with styled():
        figure = subgraph.gates(cut)
        drawn = subgraph.graph(cut)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["seed 0", "seed 1", "seed 2"]
    lines_of = [(line.get_xdata(), line.get_ydata()) for line in panels[0].lines]
    steps = np.arange(1, 41)
    expected = [(steps, 1 + 0 * steps), (steps, 1 - steps / 60), (steps[:30], 1 - steps[:30] / 30), ([30], [0])]
    for (x, y), (of_x, of_y) in zip(lines_of, expected, strict=True):
        assert np.allclose(x, of_x)
        assert np.allclose(y, of_y)
    penalties = [axes.lines[0].get_ydata() for axes in figure.axes if axes.get_ylabel() == "lambda"]
    assert len(penalties) == 3
    assert np.allclose(penalties, steps / 10)
    named = [axes for axes in drawn.axes if axes.get_title()]
    assert named[1].get_title() == "seed 1: 900 parameters, 82.03 %"
    arrows = [text.arrow_patch.get_linestyle() for text in named[1].texts if getattr(text, "arrow_patch", None)]
    assert arrows == ["solid", "solid", "--"]


def test_figures_show_gates_and_graph_and_the_same_bytes_again(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "in", 1)
    paths = subgraph.draw_all("digits", folder, tmp_path / "out")
    names = [f"digits-subgraph-{gates}-1000-{kind}" for gates in ("channels", "edges") for kind in ("gates", "graph")]
    assert sorted(path.name for path in paths) == sorted(f"{name}.{e}" for name in names for e in ("png", "svg"))
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in subgraph.draw_all("digits", folder, tmp_path / "out")] == first
    with gzip.open(folder / "digits-edges-1000-gates.csv.gz", "wt") as file:
        file.write("step,seed\n1,0\n")
    with pytest.raises(BadInput, match=r"cannot read .*digits-edges-1000-gates"):
        subgraph.draw_all("digits", folder, tmp_path / "out")
