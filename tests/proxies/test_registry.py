"""Proxies are found by name in the tree, in packages and in files; what is typed wrongly gets an answer that helps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import common.modules
import proxies
from common.errors import BadInput, BadUsage
from proxies import registry
from proxies.base import Proxy
from proxies.diswot import DisWOT
from proxies.kd import KD
from spaces.draw import INITS

ROOT = Path(__file__).resolve().parents[2]
BUILT_IN = {
    "at",
    "cc",
    "diswot",
    "diswot_relation",
    "diswot_semantic",
    "dkd",
    "epe_nas",
    "fisher",
    "fitnet",
    "flops",
    "grad_norm",
    "gradsign",
    "grasp",
    "ickd",
    "jacov",
    "kd",
    "kdsvd",
    "l2_norm",
    "layers",
    "nst",
    "nwot",
    "params",
    "pkt",
    "plain",
    "rkd",
    "snip",
    "sp",
    "synflow",
}

MINE = '''
from dataclasses import dataclass
from proxies.base import Proxy, Reference

@dataclass(frozen=True)
class Mine(Proxy):
    """One."""
    name = "testers_own"
    family = "test"
    needs = ()
    reference = Reference("A title", 2024, "", "")
    times: int = 1
    scale: float = 0.5
    signed: bool = True
    mode: str = "plain"

    def score(self, student, teacher):
        return float(self.times)
'''


@pytest.fixture
def testers_own(tmp_path: Path) -> Path:
    return write(tmp_path, MINE)


def write(folder: Path, text: str, name: str = "testers_own.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# by name


def test_every_proxy_of_the_tree_is_known_in_the_order_of_names() -> None:
    known = registry.known()
    assert set(known) >= BUILT_IN
    assert list(known) == sorted(known)
    assert all(cls.name == name and issubclass(cls, Proxy) for name, cls in known.items())
    assert not any(name.startswith("_") for name in known)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("diswot", DisWOT()),
        (" kd ", KD()),
        ("diswot:variant=paper", DisWOT(variant="paper")),
        ("diswot:variant=paper:init=kaiming", DisWOT(variant="paper", init="kaiming")),
        ("diswot:init=kaiming:variant=paper", DisWOT(variant="paper", init="kaiming")),
        ("kd:temperature=2", KD(temperature=2.0)),
        ("kd:temperature=1e-2", KD(temperature=0.01)),
    ],
)
def test_create_reads_names_and_settings(text: str, expected: Proxy) -> None:
    made = registry.create(text)
    assert made == expected
    assert {type(getattr(made, field.name)) for field in fields(made)} <= {str, float}


def test_settings_take_the_type_of_the_fields_default(testers_own: Path) -> None:
    made: Any = registry.create("testers_own:times=3:scale=2:signed=false:mode=x", (testers_own,))
    assert (made.times, made.scale, made.signed, made.mode) == (3, 2.0, False, "x")
    assert (type(made.times), type(made.scale), type(made.signed)) == (int, float, bool)
    assert registry.create("testers_own:signed=TRUE", (testers_own,)) == registry.create("testers_own", (testers_own,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("diswott", "unknown proxy 'diswott': did you mean 'diswot'"),
        ("synflw", "did you mean 'synflow'"),
        ("zzzzzz", "known: .*diswot.*synflow"),
        ("", "unknown proxy ''"),
        ("kd:temprature=2", "unknown field of kd 'temprature': did you mean 'temperature'"),
        ("kd:temperature=warm", "temperature takes float, not 'warm'"),
        ("kd:temperature=", "temperature takes float, not ''"),
        ("kd:temperature", "settings are written name:field=value"),
        ("kd:", "settings are written name:field=value"),
        ("diswot:variant=redme", "did you mean 'readme'"),
        ("diswot:variant=", "unknown variant of diswot ''"),
        ("testers_own:times=1.5", "times takes int, not '1.5'"),
        ("testers_own:signed=yes", "signed takes true or false, not 'yes'"),
    ],
)
def test_what_cannot_be_read_is_bad_usage_that_helps(text: str, message: str, testers_own: Path) -> None:
    with pytest.raises(BadUsage, match=message):
        registry.create(text, (testers_own,))


@pytest.mark.parametrize(
    "text", ["kd:temperature=0", "kd:temperature=-1", "kd:temperature=nan", "nwot:init=kaimin", "kd:temperature=inf"]
)
def test_a_value_no_network_could_be_scored_with_is_bad_usage(text: str) -> None:
    with pytest.raises(BadUsage):
        registry.create(text)


def test_create_all_makes_every_proxy_or_those_listed_once_each() -> None:
    assert [proxy.label for proxy in registry.create_all("all")] == list(registry.known())
    listed = registry.create_all("nwot, diswot,kd:temperature=4,,kd,diswot:variant=readme,diswot:variant=paper")
    assert [proxy.label for proxy in listed] == ["nwot", "diswot", "kd", "diswot:variant=paper"]


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_a_list_that_names_nobody_is_bad_usage(text: str) -> None:
    with pytest.raises(BadUsage, match="no proxy named"):
        registry.create_all(text)


# labels

CHOICES: dict[str, st.SearchStrategy[Any]] = {
    "init": st.sampled_from(INITS),
    "variant": st.sampled_from(("paper", "released")),
    "temperature": st.floats(min_value=0.001, max_value=1e9),
}
BY_TYPE: dict[type, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(1, 10**9),
    float: st.floats(min_value=0.001, max_value=1e9),
}


def choices(name: str, default: Any) -> st.SearchStrategy[Any]:
    return CHOICES.get(name, BY_TYPE.get(type(default), st.just(default)))


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data())
def test_a_label_names_the_proxy_that_it_was_made_from(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(list(registry.known().values())))
    values = {field.name: data.draw(choices(field.name, field.default)) for field in fields(cls)}
    proxy = cls(**values)
    assert registry.create(proxy.label) == proxy
    assert registry.create(proxy.label).label == proxy.label


@pytest.mark.slow
@settings(max_examples=100)
@given(st.data())
def test_unequal_proxies_have_unequal_labels(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(list(registry.known().values())))
    a, b = (
        cls(**{field.name: data.draw(choices(field.name, field.default)) for field in fields(cls)}) for _ in range(2)
    )
    assert (a == b) == (a.label == b.label)


def test_a_label_of_integers_truth_values_and_words_reads_back(testers_own: Path) -> None:
    made = registry.create("testers_own:times=7:scale=0.1:signed=false:mode=other", (testers_own,))
    assert made.label == "testers_own:times=7:scale=0.1:signed=False:mode=other"
    assert registry.create(made.label, (testers_own,)) == made


def test_the_label_names_only_what_is_not_at_its_default() -> None:
    assert registry.create("diswot:variant=readme:init=default").label == "diswot"
    assert registry.create("kd:temperature=4").label == "kd"
    assert registry.create("diswot:variant=paper").label == "diswot:variant=paper"


# files of the user's


def test_a_file_adds_its_proxies_and_gives_the_same_class_every_time(testers_own: Path) -> None:
    assert "testers_own" not in registry.known()
    known = registry.known((testers_own,))
    assert set(known) == {*registry.known(), "testers_own"}
    assert list(known) == sorted(known)
    assert registry.known((testers_own,))["testers_own"] is known["testers_own"]
    assert registry.create("testers_own:times=4", (testers_own,)).score(*[None] * 2) == 4.0  # type: ignore[arg-type]
    assert "testers_own" not in registry.known()


def test_an_unknown_name_is_suggested_from_the_users_file_too(testers_own: Path) -> None:
    with pytest.raises(BadUsage, match="did you mean 'testers_own'"):
        registry.create("testers_onw", (testers_own,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1", "SyntaxError"),
        ("import no_such_module_anywhere", "ModuleNotFoundError.*no_such_module_anywhere"),
        ("1 / 0", "ZeroDivisionError"),
        (MINE.replace("@dataclass(frozen=True)\n", ""), r"Mine needs the decorator @dataclass\(frozen=True\)"),
        (MINE.replace("@dataclass(frozen=True)", "@dataclass"), "TypeError"),
        (MINE.replace('"testers_own"', '"nwot"'), "a proxy named 'nwot' already"),
        (MINE.replace("    name = ", "    title = "), "Mine: it has no class attribute 'name'"),
        (MINE.replace("    needs = ", "    wants = "), "Mine: it has no class attribute 'needs'"),
        (MINE.replace("def score(", "def scores("), "Mine: it has a name and no method 'score'"),
    ],
)
def test_a_file_that_cannot_serve_is_bad_input_that_names_it(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text, "theirs.py")
    with pytest.raises(BadInput, match=message) as error:
        registry.known((path,))
    assert "theirs.py" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_the_tree_that_is_no_python_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "x = 1\ny = = 2\n", "unfinished.py")
    monkeypatch.setattr(proxies, "__path__", [*proxies.__path__, str(tmp_path)])
    registry._in_tree.cache_clear()
    with pytest.raises(BadInput, match=r"unfinished\.py, line 2: SyntaxError"):
        registry.known()
    monkeypatch.undo()
    assert "nwot" in registry.known()


def test_a_file_that_failed_is_read_again_when_corrected(tmp_path: Path) -> None:
    path = write(tmp_path, "x = = 1")
    with pytest.raises(BadInput):
        registry.known((path,))
    path.write_text(MINE)
    assert "testers_own" in registry.known((path,))


def test_a_missing_file_and_one_that_is_not_python_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.py: no such file"):
        registry.known((tmp_path / "none.py",))
    with pytest.raises(BadInput, match="no such file"):
        registry.known((tmp_path,))
    with pytest.raises(BadInput, match="not a Python file"):
        registry.known((write(tmp_path, MINE, "testers_own.txt"),))


def test_two_files_cannot_share_a_name(tmp_path: Path, testers_own: Path) -> None:
    with pytest.raises(BadInput, match="a proxy named 'testers_own' already"):
        registry.known((testers_own, write(tmp_path, MINE, "again.py")))


def test_files_of_equal_names_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    files = write(tmp_path / "a", MINE), write(tmp_path / "b", MINE.replace('"testers_own"', '"ours"'))
    assert {"testers_own", "ours"} <= set(registry.known(files))


# installed packages


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Register texts as modules of installed packages: `installed(module_name=text)`, one entry point each."""
    modules: list[str] = []

    def install(attribute: str = "", **texts: str) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        entries = []
        for name, text in texts.items():
            write(tmp_path, text, f"{name}.py")
            modules.append(name)
            entries.append(EntryPoint(name, f"{name}{attribute}", registry.ENTRY_POINTS))
        asked: dict[str, list[EntryPoint]] = {"diswot_bench.proxies": entries}
        monkeypatch.setattr("common.modules.entry_points", lambda group: asked.get(group, []))
        common.modules.installed.cache_clear()

    yield install
    common.modules.installed.cache_clear()
    for name in modules:
        sys.modules.pop(name, None)


def test_an_entry_point_that_names_a_module_adds_its_proxies(installed: Any) -> None:
    installed(their_package=MINE)
    assert set(registry.known()) >= {*BUILT_IN, "testers_own"}
    assert registry.create("testers_own:times=2").label == "testers_own:times=2"


def test_an_entry_point_that_names_a_class_adds_it(installed: Any) -> None:
    installed(":Mine", their_class=MINE)
    assert "testers_own" in registry.known()


def test_a_package_cannot_take_a_name_of_the_trees(installed: Any) -> None:
    installed(their_rival=MINE.replace('"testers_own"', '"snip"'))
    with pytest.raises(BadInput, match=r"their_rival\.py: there is a proxy named 'snip' already"):
        registry.known()


def test_a_users_file_cannot_take_a_name_of_a_package(installed: Any, testers_own: Path) -> None:
    installed(their_package_too=MINE)
    with pytest.raises(BadInput, match="a proxy named 'testers_own' already"):
        registry.known((testers_own,))


def test_a_package_that_cannot_be_imported_is_bad_input_that_names_it(installed: Any) -> None:
    installed(their_broken_package="import no_such_module_anywhere")
    with pytest.raises(BadInput, match="their_broken_package"):
        registry.known()


# cost


@pytest.mark.slow
def test_listing_proxies_imports_neither_torch_nor_scipy() -> None:
    program = (
        "import sys\n"
        "from proxies import registry\n"
        "made = registry.create_all('all')\n"
        "assert all(proxy.label and proxy.reference.title for proxy in made) and len(made) >= 10\n"
        "print(*sorted({'torch', 'scipy', 'matplotlib', 'sklearn'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert output.stdout.split() == []
