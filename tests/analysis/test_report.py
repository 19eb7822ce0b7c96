"""The report says what is stored, in one file that needs nothing else, and the same inputs give the same bytes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, Command
from small_results import CELLS, HOSTILE, SETS, UNSCORED, accuracies, scores, small_results

from analysis.read.columns import label_cells
from analysis.read.labels import load_labels
from analysis.report import page
from analysis.report.contents import contents
from analysis.report.made import UNKNOWN, History, Runs, made_by_runs, of_table
from analysis.report.words import COLUMNS, COUNTS, TABLES, heading, in_words
from analysis.studies.leaderboard import Line
from analysis.tables.cell_sets import table as sets_table
from bench.benchmarks import benchmark
from bench.plan import select_of
from spaces.nb201.cell import Cell, cell_at

pytestmark = pytest.mark.slow

pytest.importorskip("plotly", reason="plotly, of the extra `report`, is not installed")

VOID = {"meta", "link", "input", "img", "br"}
BUNDLE = "globalThis.Plotly = {};"
"""In place of Plotly's, which is large and not ours."""


@dataclass
class Element:
    """A node of the page: its text is all that stands in it."""

    tag: str
    attributes: dict[str, str | None]
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(each if isinstance(each, str) else each.text for each in self.inside)

    def all(self, tag: str, **wanted: str) -> Iterator[Element]:
        for each in self.inside:
            if isinstance(each, Element):
                if each.tag == tag and all(each.attributes.get(key) == value for key, value in wanted.items()):
                    yield each
                yield from each.all(tag, **wanted)

    def one(self, tag: str, **wanted: str) -> Element:
        (found,) = self.all(tag, **wanted)
        return found


class Tree(HTMLParser):
    """Fails on an element that is closed before what it holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, dict(attrs))
        self.open[-1].inside.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def text(results: Path) -> str:
    return page.render(contents(results), BUNDLE)


@pytest.fixture(scope="module")
def tree(text: str) -> Element:
    return Tree(text).root


@pytest.fixture(scope="module")
def data(tree: Element) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tree.one("script", id="data").text)
    return found


def rows(table: Element) -> list[list[str]]:
    return [
        [each.text.strip() for each in row.inside if isinstance(each, Element)] for row in table.one("tbody").all("tr")
    ]


def test_a_leaderboard_says_what_its_file_says(tree: Element, results: Path) -> None:
    section = tree.one("section", id="digits")
    for kind in ("distilled", "vanilla", "gain"):
        stored = pd.read_csv(results / f"tables/leaderboard-digits-{kind}.csv")
        board = next(each for each in section.all("div", **{"data-against": kind}))
        keys = [str(head.attributes["data-key"]) for head in board.one("thead").all("th")]
        shown = pd.DataFrame(rows(board.one("table")), columns=keys)
        assert list(shown["proxy"]) == list(stored["proxy"])
        for key in set(keys) - {"proxy", "family", "interval"}:
            numbers = [float(said.rstrip("*").replace("–", "nan")) for said in shown[key]]
            assert numbers == pytest.approx(
                stored[key].to_numpy(float), abs=0.5 if key in COUNTS else 0.00501, nan_ok=True
            )
        for said, low, high in zip(shown["interval"], stored["spearman_low"], stored["spearman_high"], strict=True):
            assert said == ("–" if np.isnan(low) else f"{low:.2f} to {high:.2f}")
        assert list(shown["over_params"].str.endswith("*")) == list(stored["over_params_p"] < 0.05)
        assert f"digits, {kind} (600 steps): {len(stored)} proxies on the labelled cells of 'functions'." in board.text


def test_a_caption_names_the_cells_that_were_judged_and_no_others(results: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(results, tmp_path / "copy")
    path = copy / "tables/leaderboard-digits-distilled.csv"
    stored = pd.read_csv(path)
    labels = load_labels("distilled", "digits", copy / "accuracies")
    sizes = {which: len(label_cells(labels, which)) for which in ("functions", "unique", "all")}
    assert len({*sizes.values(), 7}) == 4
    for which, n in {**sizes, "another set": 7}.items():
        stored.assign(n=n).to_csv(path, index=False)
        captions = [board.caption for section in contents(copy).sections for board in section.boards]
        assert len(captions) == 3
        assert all(f"on the labelled cells of '{which}'." in caption for caption in captions)


def test_what_is_missing_has_nothing_to_be_sorted_by(tree: Element) -> None:
    board = next(tree.all("div", **{"data-against": "distilled"}))
    (constant,) = board.one("tbody").all("tr", **{"data-proxy": "plain"})
    missing = [cell for cell in constant.all("td") if cell.text.strip() == "–"]
    assert len(missing) >= 3
    assert all(cell.attributes["data-sort"] == "" for cell in missing)


def test_the_scatter_has_every_score_and_label(data: dict[str, Any]) -> None:
    found = data["digits"]
    assert found["cells"] == sorted(CELLS)
    for cell, operations in zip(found["cells"], found["operations"], strict=True):
        assert Cell(tuple(map(int, operations))) == cell_at(cell)
    for name, by_seed in scores().items():
        means = [None if by_seed.loc[cell].isna().any() else by_seed.loc[cell].mean() for cell in found["cells"]]
        shown = found["proxies"][name]["scores"]
        assert [value is None for value in shown] == [value is None for value in means]
        known = [(a, b) for a, b in zip(shown, means, strict=True) if b is not None]
        assert [a for a, _ in known] == pytest.approx([b for _, b in known], rel=1e-4)
    assert found["proxies"]["nwot"]["scores"][found["cells"].index(UNSCORED)] is None
    assert {"params", "flops"} < set(found["proxies"])
    modes = accuracies()
    for kind, by_seed in {**modes, "gain": modes["distilled"] - modes["vanilla"]}.items():
        by_seed = by_seed.loc[found["cells"]]
        assert found["labels"][kind]["mean"] == pytest.approx(list(by_seed.mean(axis=1)), abs=6e-4)
        for seed in by_seed:
            assert found["labels"][kind]["seeds"][str(seed)] == pytest.approx(list(by_seed[seed]), abs=6e-3)


def test_scores_over_decades_have_a_logarithmic_axis(data: dict[str, Any]) -> None:
    assert {name: found["scale"] for name, found in data["digits"]["proxies"].items()} == {
        "flops": "linear", "nwot": "linear", "params": "linear", "plain": "linear", "snip": "log",
    }  # fmt: skip


def test_a_benchmark_without_labels_is_listed_as_such(tree: Element, data: dict[str, Any]) -> None:
    section = tree.one("section", id="cifar10")
    assert "No accuracy tables of this benchmark are stored" in section.text
    assert "No leaderboard of cifar10 is stored" in section.text
    assert not list(section.all("select"))
    assert list(data) == ["digits"]
    assert "No accuracy tables" not in tree.one("section", id="digits").text


def test_recipes_scores_figures_and_inputs_are_shown(tree: Element, results: Path) -> None:
    section = tree.one("section", id="digits")
    (recipes,) = (table for table in section.all("table") if table.one("thead").text.strip().startswith("setting"))
    assert rows(recipes) == [
        ["data_hash", "ab" * 6, "ab" * 6],
        ["mode", "vanilla", "distilled"],
        ["skeleton.channels", "8", "8"],
        ["steps", "600", "600"],
    ]
    (published,) = (table for table in section.all("table") if "fingerprint" in table.one("thead").text)
    assert rows(published)[0] == [
        "nwot",
        "python -m bench run nwot --benchmark digits --cells functions --limit 30 --seeds 0-1",
        UNKNOWN,
        UNKNOWN,
        "labels",
        "60",
        "1",
        "7",
        "2",
        "default",
        "function",
        f"{'0' * 12} {'1' * 12}",
        hashlib.sha256((results / "scores/digits/nwot.csv.gz").read_bytes()).hexdigest()[:12],
    ]
    assert "one abacus" in section.text
    assert "device abacus; torch 9.9" in section.text
    (figure,) = section.all("img")
    assert str(figure.attributes["alt"]).startswith("Spearman of every proxy with its 95 % interval, best on top")
    assert str(figure.attributes["alt"]).endswith(" (distilled)")
    assert str(figure.attributes["src"]).startswith("data:image/svg+xml;base64,")
    files = {row[0] for row in rows(tree.one("section", id="provenance").one("table"))}
    kinds = [f"tables/leaderboard-digits-{kind}.csv" for kind in ("distilled", "vanilla", "gain")]
    assert {*kinds, "accuracies/digits-vanilla.csv.gz", "scores/cifar10/manifest.json"} < files
    assert all((results / name).is_file() for name in files)


def test_other_tables_stand_where_they_belong(tree: Element) -> None:
    (study,) = tree.one("section", id="digits").all("h3", id="table-study-digits")
    assert study.text == "study"
    assert tree.one("section", id="digits").one("h3", id="table-sets-digits").text == TABLES["sets"].heading
    (shown,) = (table for table in tree.one("section", id="digits").all("table") if "number" in table.one("thead").text)
    assert rows(shown) == [[HOSTILE, "10"], ["b", "–"]]
    assert [cell.attributes.get("data-sort") for cell in shown.one("tbody").all("td")][1::2] == ["10.0", ""]
    other = tree.one("section", id="tables")
    assert other.one("h3").text == "other"
    assert rows(other.one("table")) == [["x, y", "10"], ["z", "–"], ["w", "9"]]


def test_a_table_with_a_definition_is_shown_as_it_is_written(tree: Element, results: Path, tmp_path: Path) -> None:
    (heading,) = tree.one("section", id="digits").all("h3", id="table-sets-digits")
    assert heading.text == "The same proxies on other sets of cells"
    shown = tree.one("div", **{"aria-labelledby": "table-sets-digits"}).one("table")
    assert [cell.text for cell in shown.one("thead").all("th")] == ["proxy", "all", "functions"]
    assert rows(shown) == [
        ["nwot", "0.91 [0.81, 1.01]", "0.80 [0.70, 0.90]"],
        ["plain", "–", "–"],
        ["snip", "0.95 [0.85, 1.05]", "0.70 [0.60, 0.80]"],
    ]
    sorts = [cell.attributes.get("data-sort") for cell in shown.one("tbody").all("td")]
    assert sorts == [None, "0.91", "0.8", None, "", "", None, "0.95", "0.7"]
    written = sets_table(pd.DataFrame(SETS), "digits, distilled").write(tmp_path / "sets-digits")[1].read_text()
    caption = written.split("\n\n")[0]
    assert caption.endswith("Cells: 12,345 all, 30 functions.")
    assert caption in tree.one("section", id="digits").text


def test_what_a_file_says_is_text_and_no_markup(tree: Element, text: str) -> None:
    section = tree.one("section", id="digits")
    assert section.text.count(HOSTILE) == 1
    assert "onerror" not in {name for element in tree.all("img") for name in element.attributes}
    assert HOSTILE not in text


def test_json_in_a_script_element_cannot_end_it() -> None:
    value = {"</script>": ["<!--", "a & b", None, 1.5]}
    made = page.script_json(value)
    assert "<" not in made
    assert json.loads(made) == value


def test_the_page_asks_the_network_for_nothing(tree: Element) -> None:
    assert not list(tree.all("iframe")) + list(tree.all("object")) + list(tree.all("base")) + list(tree.all("form"))
    elements = [element for tag in ("a", "link", "img", "script", "source", "use") for element in tree.all(tag)]
    for element in elements:
        for name in ("src", "href", "srcset"):
            address = element.attributes.get(name)
            local = address is None or address.startswith("data:") or (element.tag == "a" and address.startswith("#"))
            assert local, (element.tag, address)
    assert not re.search(r"url\(|@import|https?:", tree.one("style").text)
    policy = tree.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_links_and_names_lead_somewhere(tree: Element) -> None:
    every = [element for tag in ("section", "h2", "h3", "main", "script", "button") for element in tree.all(tag)]
    every += [element for tag in ("tr", "div") for element in tree.all(tag)]
    ids = [element.attributes["id"] for element in every if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for link in tree.all("a"):
        assert str(link.attributes["href"]).removeprefix("#") in ids
    for tag in ("div", "section"):
        for element in tree.all(tag):
            if "aria-labelledby" in element.attributes:
                assert element.attributes["aria-labelledby"] in ids


def test_every_control_has_a_label(tree: Element) -> None:
    labelled = [each for label in tree.all("label") for tag in ("input", "select") for each in label.all(tag)]
    assert len(labelled) == len(list(tree.all("input"))) + len(list(tree.all("select")))
    assert all(button.text.strip() for button in tree.all("button"))


def test_every_column_is_of_the_leaderboard() -> None:
    assert set(COLUMNS) - {"interval"} <= {each.name for each in fields(Line)}


def test_the_same_inputs_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(results, tmp_path / "copy")
    page.write(results, tmp_path / "a.html")
    page.write(copy, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert not list(copy.glob("*.html"))


def test_plotly_is_in_the_page_once_and_whole(results: Path, tmp_path: Path) -> None:
    from plotly.offline import get_plotlyjs

    page.write(results, tmp_path / "report.html")
    packed = Tree((tmp_path / "report.html").read_text(encoding="utf-8")).root.one("script", id="plotly").text
    assert gzip.decompress(base64.b64decode(packed, validate=True)).decode() == get_plotlyjs()


def test_the_committed_tables_are_shown_as_their_pages_have_them() -> None:
    """But for the last digit of a number: the page reads four decimals, and what was written knew them all."""
    folder = ROOT / "results/tables"
    found = contents(ROOT / "results")
    shown = [plain for section in found.sections for plain in section.others] + found.tables
    assert len(shown) == len(list(folder.glob("*.csv"))) - len(list(folder.glob("leaderboard-*.csv")))
    for plain in shown:
        if (folder / f"{plain.name}.md").is_file():
            caption, _, heading, rule, *lines = (folder / f"{plain.name}.md").read_text().splitlines()
            _alike([plain.table.caption], [caption])
            assert [column.head for column in plain.table.columns] == cells_of(heading)
            assert [column.key is not None for column in plain.table.columns] == [
                cell.endswith(":") for cell in cells_of(rule)
            ]
            assert len(plain.rows) == len(lines)
            for row, line in zip(plain.rows, lines, strict=True):
                _alike([value.text for value in row], cells_of(line))
    captions = {board.against: board.caption for section in found.sections for board in section.boards}
    for kind, caption in captions.items():
        assert caption == (folder / f"leaderboard-digits-{kind}.md").read_text().splitlines()[0]


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line[1:-1].split("|")]


def _alike(ours: list[str], theirs: list[str]) -> None:
    number = r"\d+(?:\.\d+)?"
    for one, other in zip(ours, theirs, strict=True):
        assert re.sub(number, "#", one) == re.sub(number, "#", other)
        for a, b in zip(re.findall(number, one), re.findall(number, other), strict=True):
            unit = 10.0 ** -len(a.partition(".")[2])
            assert float(a) == pytest.approx(float(b), abs=1.01 * unit), (one, other)


def test_the_committed_page_is_small_and_begins_with_what_was_found(tmp_path: Path) -> None:
    page.write(ROOT / "results", tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 6_000_000
    tree = Tree((tmp_path / "report.html").read_text(encoding="utf-8")).root
    (found,) = tree.all("p", **{"class": "result"})
    board = pd.read_csv(ROOT / "results/tables/leaderboard-cifar10-16px-distilled.csv").set_index("proxy")
    for name in (board.index[0], "params", "diswot"):
        one = board.loc[name]
        low, high = (f"{one[f'spearman_{end}']:.2f}" for end in ("low", "high"))
        assert f"{one['spearman']:.2f} ({low} to {high})" in found.text
    gain = pd.read_csv(ROOT / "results/tables/reliability-cifar10-16px.csv").set_index("labels").loc["gain", "mean"]
    assert f"{gain:.2f} points" in found.text
    headings = [each.text for each in tree.all("h3")]
    assert not [text for text in headings if re.search(r"-from|^kinds|^pairs|_", text)], headings
    for section in tree.all("section", **{"class": "benchmark"}):
        order = [each.tag for each in walked(section) if each.tag in ("img", "table")]
        assert (
            order.index("img") < order.index("table")
            if "img" in order
            else section.attributes["id"] == "resnet-cifar100"
        )


def walked(element: Element) -> Iterator[Element]:
    """All elements inside, in the order of the page."""
    for each in element.inside:
        if isinstance(each, Element):
            yield each
            yield from walked(each)


def test_every_table_figure_and_proxy_says_what_made_it(tree: Element) -> None:
    for wrapped in ("figure", "div"):
        for element in tree.all(wrapped):
            if wrapped == "figure" or element.attributes.get("class") == "board":
                (made,) = element.all("details", **{"class": "made"})
                said = [term.text for term in made.all("dt")]
                assert said[:3] == ["command", "commit", "versions"]
    section = tree.one("section", id="digits")
    ids = {row.attributes.get("id") for row in section.all("tr")}
    scored = {"nwot", "snip", "plain"}
    for board in section.all("div", **{"class": "board"}):
        links = {str(link.attributes["href"]) for link in board.all("a", **{"class": "how"})}
        assert links == {"#digits-scores", *(f"#made-digits-{name}" for name in scored)}
        assert {f"made-digits-{name}" for name in scored} <= ids


def test_the_commit_is_the_one_in_which_a_file_became_what_it_is(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "results").mkdir()
    git("init", "-q")
    (tmp_path / "constraints.txt").write_text("torch==9.9\nother==1\nnumpy==8\n")
    commits = []
    for text in ("a", "b"):
        for name in ("one file.csv", "both.csv")[text == "b" :]:
            (tmp_path / "results" / name).write_text(text)
        git("add", ".")
        git("commit", "-qm", text)
        commits.append(git("rev-parse", "HEAD").strip())
    history = History(tmp_path / "results")
    made = [history.made(tmp_path / "results" / name, "do", "x") for name in ("one file.csv", "both.csv", "none.csv")]
    assert [one.commit for one in made] == [*commits, UNKNOWN]
    assert [one.versions for one in made] == ["torch 9.9, numpy 8"] * 2 + [UNKNOWN]
    (tmp_path / "results/both.csv").write_text("edited")
    assert History(tmp_path / "results").made(tmp_path / "results/both.csv", "do").commit == UNKNOWN


def test_the_command_of_scores_names_their_teacher_their_cells_and_their_seeds() -> None:
    digits = benchmark("digits")

    def run(proxy: str, *chosen: tuple[int, Sequence[int]]) -> str:
        return Runs(digits).of(proxy, dict(chosen))

    whole, functions = range(15_625), select_of("functions", digits)
    begin = "python -m bench run nwot --benchmark digits"
    assert run("nwot", (0, whole), (2, whole), (1, whole)) == f"{begin} --seeds 0-2"
    assert run("nwot", (0, whole), (2, whole)) == f"{begin} --seeds 0,2"
    assert run("nwot", (0, select_of("labelled", digits))) == f"{begin} --cells labelled --seeds 0"
    assert run("nwot", (0, functions)) == f"{begin} --cells functions --seeds 0"
    assert run("nwot", (0, functions[:9])) == f"{begin} --cells functions --limit 9 --seeds 0"
    assert run("nwot", (0, select_of("all", digits, 9))) == f"{begin} --limit 9 --seeds 0"
    assert run("nwot", (0, [3]), (1, whole)) == f"{begin} --cells FILE --seeds 0 && {begin} --seeds 1"
    assert run("kd@best", (3, whole)) == "python -m bench run kd --benchmark digits --teacher best --seeds 3"


def test_commands_and_headings_are_made_of_names() -> None:
    assert of_table("leaderboard-digits-gain", "digits") == "python -m analysis tables --benchmark digits"
    assert of_table("label-sets-proxies", "") == of_table("label-sets", "") == "python -m analysis label-sets"
    assert heading("kinds-digits", "digits") == TABLES["kinds"].heading
    assert heading("distillation-digits-10527-from-digits", "digits") == (
        "One student, trained with each loss: cell 10527 of digits, taught by the teacher of digits"
    )
    assert in_words("1649-from-digits-softmax-100") == "cell 1649, taught by the teacher of digits"
    assert in_words("subgraph-channels-41271") == "gates on channels, at most 41,271 parameters"
    made = made_by_runs([{"commit": "a", "torch": "1"}, {"commit": "a", "torch": "2"}], "do", "")
    assert (made.commit, made.versions) == ("a", "torch 1; torch 2")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(theme: str) -> None:
    style = (page.HERE / "style.css").read_text()
    block = style.split(':root[data-theme="dark"] {')[1] if theme == "dark" else style.split(":root {")[1]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block.split("}")[0]))

    def luminance(name: str) -> float:
        parts = [int(colours[name][at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ink in ("ink", "quiet", "accent", "mark"):
        for ground in ("paper", "raised", "faint", "accent-soft"):
            light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("tables/leaderboard-digits-distilled.csv", "proxy,family\nnwot,activation\n", "run `make tables`"),
        ("tables/leaderboard-digits-distilled.csv", "", "run `make tables`"),
        ("tables/other.csv", "a,b\n1\n", "(2 columns, and a row of 1): restore it"),
        ("tables/other.csv", "a,b\n1,2\n1,2,3\n", "(2 columns, and a row of 3): restore it"),
        ("tables/other.csv", "", "(it is empty): restore it"),
        ("tables/sets-digits.csv", "proxy,set\nnwot,all\n", "(no 'spearman'): restore it, or run `make tables`"),
        ("scores/digits/manifest.json", "{", "restore it, or export again"),
        ("scores/digits/manifest.json", '{"nwot.csv.gz": {"proxy": "nwot"}}', "restore it, or export again"),
        ("scores/digits/nwot.csv.gz", "nothing", "restore it, or export again"),
        ("costs/digits.json", "[", "restore it"),
        ("accuracies/digits-vanilla.json", "{}", "restore it"),
    ],
)
def test_a_damaged_file_costs_one_line_that_names_it(
    command: Command, results: Path, tmp_path: Path, file: str, content: str, says: str
) -> None:
    copy = shutil.copytree(results, tmp_path / "copy")
    (copy / file).write_text(content)
    ended = command("analysis", "report", "--results", copy)
    assert ended.code == 1
    assert str(copy / file).removesuffix(".json").removesuffix(".csv.gz") in ended.error
    assert says in ended.error
    assert not (copy / "report.html").exists()


def test_no_folder_no_scores_and_no_plotly_are_said(
    command: Command, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no such folder" in command("analysis", "report", "--results", tmp_path / "none").error
    assert "no published scores" in command("analysis", "report", "--results", tmp_path).error
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert "`make report` installs it" in command("analysis", "report", "--results", results).error


def test_the_command_writes_the_page_and_says_where(command: Command, results: Path, tmp_path: Path) -> None:
    ended = command("analysis", "report", "--results", results, "--output", tmp_path / "new/report.html")
    assert ended.code == 0
    assert ended.out.startswith(f"wrote {tmp_path / 'new/report.html'}")
    assert (tmp_path / "new/report.html").read_bytes().startswith(b"<!doctype html>")


ODD = ["<script>alert(1)</script>", '" onmouseover="x', "</td><td>", "{{ 7 * 7 }}", "=1+1", "&amp;", "]]>", "<!--"]


@pytest.mark.parametrize("said", ODD)
def test_whatever_a_table_says_is_text_in_heads_too(results: Path, tmp_path: Path, said: str) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    pd.DataFrame({"proxy": [said], said: ["-1"]}).to_csv(folder / "tables" / "other-digits.csv", index=False)
    made = Tree(page.render(contents(folder), BUNDLE)).root
    table = next(one for one in made.all("table") if said in [each.text for each in one.all("td")])
    assert [each.text for each in table.all("th")] == ["proxy", said]
    assert [each.text for each in table.all("td")] == [said, "-1"]
