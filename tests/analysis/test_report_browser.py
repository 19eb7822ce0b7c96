"""The report in a real browser: sorted, filtered, hovered and typed in, at both widths and in both themes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_results import UNSCORED, small_results

from analysis.report import write
from spaces.nb201.cell import OPERATIONS, cell_at

pytest.importorskip("plotly", reason="plotly, of the extra `report`, is not installed")
pytest.importorskip("selenium", reason="selenium, of the extra `dev`, is not installed")
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BROWSER and DRIVER), reason="no chromium with chromedriver: apt-get install chromium chromium-driver"
    ),
]

RESULTS = Path(__file__).parents[2] / "results"
FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "disable-dev-shm-usage",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
)


class Page:
    """An open report."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path, width: int = 1280, scheme: str = "light", script: bool = True) -> Page:
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        self.driver.get(path.as_uri())
        if script:
            WebDriverWait(self.driver, 600).until(
                lambda _: self.run('return "ready" in document.documentElement.dataset')
            )
        return self

    def unfold(self) -> None:
        self.run('for (const each of document.querySelectorAll("details")) each.open = true')

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def column(self, key: str, kind: str = "distilled") -> list[str]:
        """What the rows of a leaderboard that are seen say in a column."""
        script = """
            const board = document.querySelector(`#digits .board[data-against="${arguments[1]}"]`);
            const head = board.querySelector(`[data-key="${arguments[0]}"]`);
            const seen = [...board.querySelectorAll("tbody tr")].filter((row) => row.offsetParent);
            return seen.map((row) => row.cells[head.cellIndex].innerText.trim())"""
        found: list[str] = self.run(script, key, kind)
        return found

    def heading(self, key: str) -> WebElement:
        return self.one(f'#digits .board[data-against="distilled"] [data-key="{key}"] button')

    def sorted_by(self, key: str) -> str | None:
        return self.one(f'#digits .board[data-against="distilled"] [data-key="{key}"]').get_attribute("aria-sort")

    def choose(self, name: str, value: str) -> None:
        self.run("arguments[0].click()", self.one(f'[name="{name}"][value="{value}"]'))

    def facts(self) -> dict[str, str]:
        texts: list[list[str]] = self.run(
            'return [...document.querySelectorAll("#digits .facts dt")]'
            ".map((dt) => [dt.textContent, dt.nextSibling.textContent])"
        )
        return {term: text for term, text in texts}

    def drawn(self) -> tuple[int, list[str]]:
        """The cell of the graph, and the operations written on its edges."""
        graph = self.one("#digits .drawing svg")
        return int(graph.get_attribute("data-cell") or -1), [
            (edge.get_attribute("class") or "").removeprefix("edge ")
            for edge in self.all("#digits .drawing [data-edge]")
        ]

    def dot(self, cell: int) -> tuple[float, float]:
        """Where a cell's dot lies in the window."""
        script = """
            const plot = document.querySelector("#digits .plot");
            const { x, y, customdata } = plot.data[0];
            const at = customdata.indexOf(arguments[0]);
            const { left, top } = plot.getBoundingClientRect();
            const { _offset: right } = plot._fullLayout.xaxis;
            const { _offset: down } = plot._fullLayout.yaxis;
            return [left + right + plot._fullLayout.xaxis.d2p(x[at]), top + down + plot._fullLayout.yaxis.d2p(y[at])]"""
        left, top = self.run(script, cell)
        return left, top

    def ring(self) -> tuple[float, float]:
        """The middle of what marks the chosen dot, in the window."""
        script = "return document.querySelector('#digits .shapelayer path').getBoundingClientRect().toJSON()"
        box = self.run(script)
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def scrolls_sideways(self) -> bool:
        script = "const page = document.documentElement; return page.scrollWidth > page.clientWidth"
        return bool(self.run(script))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in (*FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    started.set_script_timeout(600)
    started.set_page_load_timeout(600)
    yield started
    started.quit()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_results(tmp_path_factory.mktemp("results"))
    write(folder, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("committed") / "report.html"
    write(RESULTS, path)
    return path


@pytest.fixture
def page(driver: webdriver.Chrome) -> Iterator[Page]:
    """A browser that must have had nothing to complain of, and have asked for no address but the page's."""
    for log in ("browser", "performance"):
        driver.get_log(log)
    yield Page(driver)
    complaints = [entry for entry in driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
    assert not complaints
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert asked
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]


def numbers(column: list[str]) -> list[float]:
    return [float(said.rstrip("*")) for said in column if said != "–"]


def test_a_click_sorts_by_number_and_another_turns_round(page: Page, small: Path) -> None:
    page.open(small)
    assert page.sorted_by("spearman") == "descending"
    page.heading("regret10").click()
    column = page.column("regret10")
    assert numbers(column) == sorted(numbers(column), reverse=True)
    assert len(set(column)) > 2
    assert (page.sorted_by("regret10"), page.sorted_by("spearman")) == ("descending", "none")
    page.heading("regret10").click()
    column = page.column("regret10")
    assert numbers(column) == sorted(numbers(column))
    assert page.sorted_by("regret10") == "ascending"


def test_what_is_missing_comes_last_in_both_directions(page: Page, small: Path) -> None:
    page.open(small)
    for _ in range(2):
        page.heading("given_params").click()
        column = page.column("given_params")
        assert column[-3:] == ["–"] * 3, "params, flops and a constant score have none"
        assert "–" not in column[:-3]


def test_names_are_sorted_as_text_by_keyboard(page: Page, small: Path) -> None:
    page.open(small)
    button = page.heading("proxy")
    button.send_keys(Keys.ENTER)
    assert page.column("proxy") == ["flops", "nwot", "params", "plain", "snip"]
    button.send_keys(Keys.SPACE)
    assert page.column("proxy") == ["snip", "plain", "params", "nwot", "flops"]
    assert page.sorted_by("proxy") == "descending"


def test_other_tables_are_sorted_by_number_too(page: Page, small: Path) -> None:
    page.open(small)
    page.unfold()
    for name, key, sorted_down in (
        ("study-digits", "number", ["10", "–"]),
        ("other", "count", ["10", "9", "–"]),
    ):
        table = page.one(f'[aria-labelledby="table-{name}"] table')
        table.find_element(By.CSS_SELECTOR, f'th[data-key="{key}"] button').click()
        assert [cell.text for cell in table.find_elements(By.CSS_SELECTOR, "tbody td:last-child")] == sorted_down


def test_filters_by_name_and_by_family(page: Page, small: Path) -> None:
    page.open(small)
    name, family, shown = (page.one(f"#digits {each}") for each in (".by-name", ".by-family", ".shown"))
    assert shown.text == "5 of 5 proxies"
    name.send_keys("P")
    assert sorted(page.column("proxy")) == ["flops", "params", "plain", "snip"]
    family.send_keys("counts")
    assert sorted(page.column("proxy")) == ["flops", "params"]
    assert shown.text == "2 of 5 proxies"
    page.choose("digits-against", "gain")
    assert sorted(page.column("proxy", "gain")) == ["flops", "params"]
    name.send_keys("arams")
    assert page.column("proxy", "gain") == ["params"]
    name.send_keys("q")
    assert page.column("proxy", "gain") == []
    assert shown.text == "0 of 5 proxies"


def test_a_label_changes_leaderboard_and_scatter(page: Page, small: Path) -> None:
    page.open(small)
    page.choose("digits-against", "gain")
    assert [board.is_displayed() for board in page.all("#digits .board")] == [False, False, True]
    title = page.run('return document.querySelector("#digits .plot").layout.yaxis.title.text')
    assert title == "gain of distillation, points"
    assert "against gain" in page.one("#digits .found").text


def test_a_row_chooses_the_proxy_by_click_and_by_enter(page: Page, small: Path) -> None:
    page.open(small)
    select = page.one("#digits select.proxy")
    assert select.get_attribute("value") == page.column("proxy")[0] == "nwot"
    page.one('#digits .board[data-against="distilled"] [data-proxy="snip"] td:last-child').click()
    assert select.get_attribute("value") == "snip"
    assert page.run('return document.querySelector("#digits .plot").layout.xaxis.type') == "log"
    page.one('#digits .board[data-against="distilled"] [data-proxy="params"] .pick').send_keys(Keys.ENTER)
    assert select.get_attribute("value") == "params"
    pressed = page.all('#digits .board[data-against="distilled"] [aria-pressed="true"]')
    assert [button.text for button in pressed] == ["params"]
    select.send_keys("nwot")
    assert page.one("#digits .found").text.startswith("nwot against distilled: Spearman 0.")
    assert page.one('#digits .board[data-against="distilled"] .picked .pick').text == "nwot"


@pytest.mark.parametrize(("proxy", "axes"), [("nwot", "values"), ("nwot", "ranks"), ("snip", "values")])
def test_hovering_draws_the_cell(page: Page, small: Path, proxy: str, axes: str) -> None:
    page.open(small)
    page.choose("digits-axes", axes)
    Select(page.one("#digits select.proxy")).select_by_visible_text(proxy)
    data = page.run('return JSON.parse(document.getElementById("data").textContent).digits')
    plot = page.one("#digits .plot")
    page.run("arguments[0].scrollIntoView({ block: 'center' })", plot)
    known = [cell for cell in data["cells"] if not (cell == UNSCORED and proxy == "nwot")]
    by_score = sorted(known, key=lambda cell: data["proxies"][proxy]["scores"][data["cells"].index(cell)])
    for cell in (by_score[1], by_score[-2]):  # the highest was chosen before
        left, top = page.dot(cell)
        mouse = ActionChains(page.driver)
        mouse.w3c_actions.pointer_action.move_to_location(round(left), round(top))
        mouse.perform()
        drawn, operations = page.drawn()
        assert drawn == cell
        assert operations == [OPERATIONS[operation] for operation in cell_at(cell).operations]
        said = page.facts()
        at = data["cells"].index(cell)
        assert said["cell"] == str(cell_at(cell))
        score, place = said["score"].split(" ", 1)
        assert float(score) == data["proxies"][proxy]["scores"][at]
        assert place == f"rank {len(known) - by_score.index(cell)} of {len(known)} from the top"
        label = data["labels"]["gain"]
        seeds = ", ".join(f"{label['seeds'][seed][at]:.2f}" for seed in ("0", "1"))
        assert said["gain"].endswith(f"seeds {seeds}")
        assert page.one("#digits .index").get_attribute("value") == str(cell)
        assert page.one("#digits .plot .hoverlayer").text == f"cell {cell}"
        assert page.ring() == pytest.approx((left, top), abs=1.5)


def test_a_cell_is_found_by_keyboard(page: Page, small: Path) -> None:
    page.open(small)
    data = page.run('return JSON.parse(document.getElementById("data").textContent).digits')
    index, message = page.one("#digits .index"), page.one("#digits .message")
    index.clear()
    index.send_keys(str(data["cells"][5]), Keys.ENTER)
    assert page.drawn()[0] == data["cells"][5]
    index.clear()
    index.send_keys("15624", Keys.ENTER)
    assert message.text == "Cell 15624 is none of the 30 labelled ones."
    assert page.drawn()[0] == data["cells"][5]
    index.clear()
    index.send_keys(str(UNSCORED), Keys.ENTER)
    assert page.facts()["score"] == "none"
    assert message.text == ""


def test_stepping_visits_cells_in_the_order_of_their_scores(page: Page, small: Path) -> None:
    page.open(small)
    data = page.run('return JSON.parse(document.getElementById("data").textContent).digits')
    scores = dict(zip(data["cells"], data["proxies"]["nwot"]["scores"], strict=True))
    lower, higher = page.all("#digits .step")
    visited = [page.drawn()[0]]
    for _ in range(28):
        lower.send_keys(Keys.ENTER)
        visited.append(page.drawn()[0])
    assert [scores[cell] for cell in visited] == sorted(
        (score for score in scores.values() if score is not None), reverse=True
    )
    lower.send_keys(Keys.ENTER)
    assert page.one("#digits .message").text == "No score is lower."
    higher.send_keys(Keys.ENTER)
    assert page.drawn()[0] == visited[-2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_until_the_button_is_pressed(page: Page, small: Path, scheme: str) -> None:
    page.open(small, scheme=scheme)

    def colours() -> tuple[str, str, str]:
        script = """return [
            getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.body).color,
            document.querySelector("#digits .plot").layout.font.color]"""
        ground, ink, plot = page.run(script)
        return ground, ink, plot

    def is_dark(ground: str) -> bool:
        return sum(map(int, re.findall(r"\d+", ground)[:3])) < 3 * 128

    before = colours()
    assert is_dark(before[0]) == (scheme == "dark")
    assert is_dark(before[0]) != is_dark(before[1])
    page.one("#theme").click()
    after = colours()
    assert is_dark(after[0]) != (scheme == "dark")
    assert before[2] != after[2], "the plot's colours follow"
    page.one("#theme").click()
    assert colours() == before
    page.one("#theme").click()
    page.driver.refresh()
    assert colours() == before, "the choice is not kept"


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_the_page_never_scrolls_sideways(page: Page, committed: Path, width: int) -> None:
    page.open(committed, width)
    assert not page.scrolls_sideways()
    page.unfold()
    assert not page.scrolls_sideways()
    table = page.one("#digits .board .scroll")
    assert page.run("return arguments[0].scrollWidth > arguments[0].clientWidth", table) or width > 360
    page.run("arguments[0].scrollLeft = 200", table)
    first, frame = (
        page.run("return arguments[0].getBoundingClientRect().left", each)
        for each in (page.one("#digits tbody th"), table)
    )
    assert first == pytest.approx(frame, abs=2), "the first column stays"
    boards, scatter = (page.one(f"#digits {each}").rect for each in (".boards", ".scatter"))
    wide = boards["x"] >= scatter["x"] + scatter["width"]
    assert wide == (width == 1920), "beside each other where there is room"


def test_what_matters_is_in_sight_without_scrolling_sideways(page: Page, committed: Path) -> None:
    page.open(committed)
    frame = page.one("#digits .board .scroll").rect
    for key in ("proxy", "spearman", "interval", "over_params"):
        cells = page.all(f'#digits .board[data-against="distilled"] [data-key="{key}"]')
        assert all(cell.rect["x"] + cell.rect["width"] <= frame["x"] + frame["width"] + 1 for cell in cells), key
    starred = [said for said in page.column("over_params") if said.endswith("*")]
    assert starred
    drawn = page.one("#digits .board tbody .interval svg").rect
    assert drawn["width"] >= 280, "intervals can be compared"
    heights = page.run('return [...document.querySelectorAll("main > section")].map((each) => each.offsetHeight)')
    assert max(heights) < 12_000


@pytest.mark.parametrize("width", [360, 1280])
def test_the_contents_are_a_strip_that_shows_that_it_scrolls_or_stand_at_the_side(
    page: Page, committed: Path, width: int
) -> None:
    page.open(committed, width)
    more, strip = page.one(".top .more"), page.one(".top nav > ul")
    if width == 360:
        assert more.is_displayed()
        page.run("arguments[0].scrollLeft = arguments[0].scrollWidth", strip)
        WebDriverWait(page.driver, 600).until(lambda _: not more.is_displayed())
        return
    assert not more.is_displayed()
    side, main = page.one(".top").rect, page.one("#main").rect
    assert side["x"] + side["width"] <= main["x"] + 1
    page.run("window.scrollTo(0, 5000)")
    assert page.run("return arguments[0].getBoundingClientRect().top", page.one(".top")) == 0, "it stays"
    assert page.one('.top a[href="#digits-boards"]').is_displayed()


def test_a_number_leads_to_what_made_it_by_one_click(page: Page, small: Path) -> None:
    page.open(small)
    made = page.one("#made-digits-nwot")
    assert not made.is_displayed()
    page.run("arguments[0].click()", page.one('#digits .board [data-proxy="nwot"] .how'))
    WebDriverWait(page.driver, 600).until(lambda _: made.is_displayed())
    assert "python -m bench run nwot --benchmark digits --cells functions --limit 30 --seeds 0-1" in made.text
    assert page.one("#digits select.proxy").get_attribute("value") == "nwot"
    board = page.one('#digits .board[data-against="distilled"]')
    board.find_element(By.CSS_SELECTOR, ".made > summary").click()
    assert "python -m analysis tables --benchmark digits" in board.find_element(By.CSS_SELECTOR, ".made dl").text
    page.run("arguments[0].click()", board.find_element(By.CSS_SELECTOR, '.made a[href="#digits-recipes"]'))
    recipes = page.one('[aria-labelledby="digits-recipes"]')
    WebDriverWait(page.driver, 600).until(lambda _: recipes.is_displayed())


def test_the_committed_results_are_all_there(page: Page, committed: Path) -> None:
    page.open(committed)
    data = page.run('return JSON.parse(document.getElementById("data").textContent)')
    assert set(page.column("proxy")) <= set(data["digits"]["proxies"])
    assert len(page.column("proxy")) > 40
    for proxy in ("diswot", "synflow", "vote"):
        Select(page.one("#digits select.proxy")).select_by_visible_text(proxy)
        dots = page.run('return document.querySelector("#digits .plot").data[0].x.length')
        assert f"{proxy} against distilled: Spearman" in page.one("#digits .found").text
        assert f"{dots} cells" in page.one("#digits .found").text
        assert dots > 400


def test_the_keyboard_reaches_everything_in_order(page: Page, small: Path) -> None:
    page.open(small)
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached, last = [], page.one("#digits details:has(#digits-scores) > summary")
    for _ in range(160):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        reached.append(page.driver.switch_to.active_element)
        assert page.run("return getComputedStyle(arguments[0]).outlineStyle", reached[-1]) != "none" or (
            reached[-1].get_attribute("type") == "radio"
        )
        if reached[-1] == last:
            break
    assert reached[0].get_attribute("class") == "skip"
    for wanted in (
        "#theme",
        ".by-name",
        ".by-family",
        ".board .scroll",
        "thead button",
        ".pick",
        "select.proxy",
        ".index",
        ".step",
        ".how",
        "figure .made > summary",
        ".board .made > summary",
        ".fold > summary",
    ):
        assert any(element in reached for element in page.all(wanted)), wanted


def test_without_scripts_every_table_can_be_read(page: Page, small: Path) -> None:
    page.open(small, script=False)
    assert [board.is_displayed() for board in page.all("#digits .board")] == [True] * 3
    assert not page.one("#digits .scatter").is_displayed()
    assert page.one("noscript p").is_displayed()
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
