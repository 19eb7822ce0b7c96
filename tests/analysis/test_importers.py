"""Published accuracies arrive number by number, seed by seed, with where they came from; or not at all, in one line."""

from __future__ import annotations

import bz2
import hashlib
import json
import math
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nas_201_api
import nats_bench
import numpy as np
import pytest
import torch
from imported import Found, same, stored

from analysis.importers import FORMATS, import_table
from common.errors import BadInput
from distill.tables import read_table, recipe_path
from spaces.nb201.cell import cell_at, cells

pytestmark = pytest.mark.slow

Command = Callable[..., Any]


INDICES = (0, 7, 9930, 15624)
FEW = (0, 7)
"""For what does not depend on how many architectures a file names: it names the first eight."""
DATA_SETS = ("cifar10", "cifar100", "imagenet16-120")
TRAININGS = {"cifar10-valid": ("x-valid", "ori-test"), "cifar10": ("ori-test",)} | dict.fromkeys(
    ("cifar100", "ImageNet16-120"), ("ori-test", "x-valid", "x-test")
)
SEEDS = {
    (0, 200): (777, 888, 999),
    (7, 200): (777, 888),
    (9930, 200): (888, 999),
    (15624, 200): (777,),
}


def results_of(package: Any, index: int, epochs: int) -> dict[str, Any]:
    """The state of an official `ArchResults`, filled as its authors fill it; every accuracy is another one."""
    draw = random.Random(f"{index} {epochs}")
    results = package.ArchResults(index, str(cell_at(index)))
    for training, images in TRAININGS.items():
        for seed in SEEDS[index, 200] if epochs == 200 else (777,):
            if (index, training, seed) == (0, "cifar10-valid", 999):
                continue  # so that a seed has a test accuracy and no validation accuracy
            curve = {epoch: draw.uniform(5, 95) for epoch in range(epochs)}
            config = {"channel": 16, "num_cells": 5, "arch_str": str(cell_at(index)), "class_num": 10}
            # parameters and FLOPs are counted with numpy
            trial = package.ResultsCount(
                training, None, curve, curve, np.float64(1.5), np.float64(9.25), config, seed, epochs, None
            )
            trial.update_train_info(curve, curve, curve, dict.fromkeys(range(epochs), draw.uniform(1, 9)))
            for name in images:
                accuracies = {epoch: draw.uniform(5, 95) for epoch in range(epochs)}
                if index == 7 and name != "ori-test":
                    accuracies = {epochs - 1: accuracies[epochs - 1]}  # often only the last one is known
                trial.update_OLD_eval(name, accuracies, accuracies)
                trial.reset_pseudo_eval_times(name, 0.5)
            results.update(training, seed, trial)
    return results.state_dict()


def official(package: Any, indices: tuple[int, ...] = INDICES) -> dict[str, Any]:
    """The dict that the file of a benchmark holds, of these architectures; a caller may change it."""
    return pickle.loads(_official(package, indices))


@cache
def _official(package: Any, indices: tuple[int, ...]) -> bytes:
    schedules = ("less", "full") if package is nas_201_api else ("12", "200")
    infos = {
        index: {name: results_of(package, index, epochs) for name, epochs in zip(schedules, (12, 200), strict=True)}
        for index in indices
    }
    names = list(map(str, cells()[: max(indices) + 1]))
    return pickle.dumps({"meta_archs": names, "arch2infos": infos, "evaluated_indexes": list(indices)})


def write_pth(path: Path, content: object, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def write_pbz2(path: Path, content: object) -> Path:
    nats_bench.pickle_save(content, str(path), ext="")
    return path


def write_simple(folder: Path, content: dict[str, Any]) -> Path:
    """The folder that `fast_mode` reads: `meta`, and a file an architecture."""
    folder.mkdir()
    write_pbz2(folder / "meta.pickle.pbz2", {"meta_archs": content["meta_archs"]})
    for index, infos in content["arch2infos"].items():
        write_pbz2(folder / f"{index:06d}.pickle.pbz2", infos)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("official")
    of_201, of_nats = official(nas_201_api), official(nats_bench)
    return {
        "pth": write_pth(folder / "NAS-Bench-201-v1_1.pth", of_201),
        "legacy": write_pth(folder / "NAS-Bench-201-v1_0.pth", of_201, legacy=True),
        "pbz2": write_pbz2(folder / "NATS-tss-v1_0.pickle.pbz2", of_nats),
        "simple": write_simple(folder / "NATS-tss-v1_0-simple", of_nats),
    }


@cache
def api_of(kind: str, path: Path) -> Any:
    if kind in ("pth", "legacy"):
        return nas_201_api.NASBench201API(torch.load(path, weights_only=False), verbose=False)
    return nats_bench.create(str(path), "tss", fast_mode=kind == "simple", verbose=False)


FORMAT = {"pth": "nas-bench-201", "legacy": "nas-bench-201", "pbz2": "nats-bench", "simple": "nats-bench"}


def through_the_api(api: Any, dataset: str, epochs: int) -> Found:
    """(val, test) of every cell and seed, by the query that the benchmarks' authors recommend."""
    val_of, test_of = {
        "cifar10": ("cifar10-valid", "cifar10"),
        "cifar100": ("cifar100", "cifar100"),
        "imagenet16-120": ("ImageNet16-120", "ImageNet16-120"),
    }[dataset]
    found = {}
    for index in INDICES:
        for seed in SEEDS[index, 200] if epochs == 200 else (777,):
            pair = []
            for training, name in ((val_of, "valid-accuracy"), (test_of, "test-accuracy")):
                try:
                    pair.append(api.get_more_info(index, training, hp=str(epochs), is_random=seed)[name])
                except ValueError:
                    pair.append(math.nan)
            found[index, seed] = (pair[0], pair[1])
    return found


# benchmark files


@pytest.mark.parametrize("epochs", [12, 200])
@pytest.mark.parametrize("dataset", DATA_SETS)
@pytest.mark.parametrize("kind", ["pth", "pbz2", "simple"])
def test_every_accuracy_of_every_seed_is_what_the_official_api_answers(
    kind: str, dataset: str, epochs: int, files: dict[str, Path], tmp_path: Path
) -> None:
    path, _ = import_table(
        FORMAT[kind], files[kind], dataset, epochs=epochs, output=tmp_path, trust_pickle=kind != "pth"
    )
    api = api_of(kind, files[kind])
    expected = through_the_api(api, dataset, epochs)
    same(stored(path), expected)
    assert len({value for pair in expected.values() for value in pair}) > 4
    assert path.name == f"{dataset}-{FORMAT[kind]}-{epochs}.csv.gz"
    rows = read_table(path).rows
    assert set(rows["epochs"]) == {epochs}
    trained = dataset.replace("imagenet", "ImageNet")
    for row in rows.itertuples():
        trial = api.query_by_index(row.cell, trained, hp=str(epochs))[row.seed]
        assert row.seconds == pytest.approx(trial.get_times()["T-train@total"], abs=0.0051)


def test_a_seed_without_a_validation_accuracy_keeps_its_test_accuracy(files: dict[str, Path], tmp_path: Path) -> None:
    path, _ = import_table("nas-bench-201", files["pth"], "cifar10", output=tmp_path)
    val, test = stored(path)[0, 999]
    assert math.isnan(val)
    assert test > 0


def test_the_files_of_the_first_version_are_read_as_plain_data_too(files: dict[str, Path], tmp_path: Path) -> None:
    path, _ = import_table("nas-bench-201", files["legacy"], "cifar100", output=tmp_path)
    same(stored(path), through_the_api(api_of("legacy", files["legacy"]), "cifar100", 200))


def test_numbers_that_an_older_numpy_pickled_are_plain_data(files: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "old.pth"
    content = files["legacy"].read_bytes()
    assert b"numpy._core.multiarray\nscalar" in content
    file.write_bytes(content.replace(b"numpy._core.multiarray\nscalar", b"numpy.core.multiarray\nscalar"))
    path, _ = import_table("nas-bench-201", file, "cifar100", output=tmp_path)
    same(stored(path), through_the_api(api_of("pth", files["pth"]), "cifar100", 200))


@pytest.mark.parametrize("kind", ["pth", "pbz2", "simple"])
def test_the_recipe_says_where_a_table_came_from(kind: str, files: dict[str, Path], tmp_path: Path) -> None:
    path, _ = import_table(FORMAT[kind], files[kind], "cifar10", output=tmp_path, name="mine", trust_pickle=True)
    assert path == tmp_path / "mine.csv.gz"
    told = json.loads(recipe_path(path).read_text())
    digest = told["recipe"].pop("sha256")
    assert told["recipe"] == {
        "format": FORMAT[kind],
        "file": files[kind].name,
        "dataset": "cifar10",
        "epochs": 200,
        "space": "nb201",
    }
    if kind == "simple":
        parts = sorted(files[kind].iterdir())
        lines = "".join(f"{part.name} {hashlib.sha256(part.read_bytes()).hexdigest()}\n" for part in parts)
        assert digest == hashlib.sha256(lines.encode()).hexdigest()
    else:
        assert digest == hashlib.sha256(files[kind].read_bytes()).hexdigest()
    assert told["cells"] == 4
    assert told["seeds"] == [777, 888, 999]
    package = FORMAT[kind].replace("nats-", "nats_")
    assert told["read_with"] == f"{package} {version(package)}"
    assert "x-valid of the training cifar10-valid" in told["columns"]["val"]
    assert "ori-test of the training cifar10," in told["columns"]["test"]


def test_importing_again_gives_equal_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    written = [import_table("nas-bench-201", files["pth"], "cifar100", output=tmp_path / way)[0] for way in "ab"]
    assert written[0].read_bytes() == written[1].read_bytes()
    assert recipe_path(written[0]).read_bytes() == recipe_path(written[1]).read_bytes()


def test_the_packages_print_nothing(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    for kind in ("pth", "pbz2", "simple"):
        ended = command(
            "analysis", "import", FORMAT[kind], files[kind], "--dataset", "cifar100", "--trust-pickle", "--name", kind
        )
        assert ended.code == 0
        table = f"results/accuracies/{kind}.csv.gz"
        assert ended.out == f"{table}: 4 architectures; seeds (and rows): 777 (3), 888 (3), 999 (2)\n"
        assert len(ended.err.splitlines()) == 1  # the progress
        assert (tmp_path / table).exists()


# pickles


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def armed(kind: str, folder: Path) -> Path:
    """A file that is sound but for a bomb in a place that no import looks at."""
    content = official(nats_bench if kind in ("pbz2", "simple") else nas_201_api, FEW) | {"more": Bomb(folder / "ran")}
    if kind in ("pth", "legacy"):
        return write_pth(folder / "armed.pth", content, legacy=kind == "legacy")
    if kind == "pbz2":
        return write_pbz2(folder / "armed.pickle.pbz2", content)
    simple = write_simple(folder / "simple", content)
    write_pbz2(simple / "meta.pickle.pbz2", {"meta_archs": content["meta_archs"], "more": Bomb(folder / "ran")})
    return simple


@pytest.mark.parametrize("kind", ["pth", "legacy", "pbz2", "simple"])
def test_what_a_pickle_asks_for_is_not_run_unless_it_is_trusted(kind: str, tmp_path: Path, command: Command) -> None:
    file = armed(kind, tmp_path)
    words = ("analysis", "import", FORMAT[kind], file, "--dataset", "cifar100")
    ended = command(*words)
    assert ended.code == 1
    assert str(file) in ended.error
    assert "add --trust-pickle if you trust where it came from" in ended.error
    if kind in ("pth", "legacy"):
        assert "open" in ended.error  # what it asks for
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "results").exists()
    assert command(*words, "--trust-pickle").code == 0
    assert (tmp_path / "ran").exists()  # so the bomb was a live one


def test_a_path_in_place_of_results_is_not_loaded(tmp_path: Path) -> None:
    content = official(nas_201_api, FEW)
    content["arch2infos"][0]["full"] = str(write_pth(tmp_path / "other.pth", Bomb(tmp_path / "ran")))
    with pytest.raises(BadInput, match=r"cannot read .*'full' of 0 is a str"):
        import_table("nas-bench-201", write_pth(tmp_path / "f.pth", content), "cifar100", output=tmp_path / "o")
    assert not (tmp_path / "ran").exists()


# what is refused

NOT_A_PERCENTAGE = (math.inf, math.nan, -0.5, 100.5, "x", None, True)


def test_index_and_string_must_agree_everywhere(tmp_path: Path) -> None:
    def refused(format: str, file: Path, message: str) -> None:
        with pytest.raises(BadInput, match=message):
            import_table(format, file, "cifar100", output=tmp_path / "out", trust_pickle=True)
        assert not (tmp_path / "out").exists()

    for package, format, write in (
        (nas_201_api, "nas-bench-201", write_pth),
        (nats_bench, "nats-bench", write_pbz2),
    ):
        key = "full" if package is nas_201_api else "200"
        content = official(package, FEW)
        content["meta_archs"][6], content["meta_archs"][7] = content["meta_archs"][7], content["meta_archs"][6]
        refused(format, write(tmp_path / "a", content), r"calls cell 7 '\|.*another space")
        content = official(package, FEW)
        content["arch2infos"][7][key]["arch_str"] = str(cell_at(8))
        refused(format, write(tmp_path / "b", content), r"calls cell 7 '\|")
        content = official(package)
        content["arch2infos"][15625] = content["arch2infos"][7]
        content["meta_archs"].append("more")
        refused(format, write(tmp_path / "c", content), "has an index 15625: .* 0 to 15624")
    content = official(nats_bench) | {"meta_archs": [f"8:8:8:8:{k}" for k in range(20_000)]}
    refused("nats-bench", write_pbz2(tmp_path / "d", content), "calls cell 0 '8:8:8:8:0'")
    refused("nats-bench", write_simple(tmp_path / "simple", content), "calls cell 0 '8:8:8:8:0'")


def test_a_schedule_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    content = official(nas_201_api, FEW)
    content["arch2infos"][7]["less"], content["arch2infos"][7]["full"] = (
        content["arch2infos"][7]["full"],
        content["arch2infos"][7]["less"],
    )
    file = write_pth(tmp_path / "f.pth", content)
    with pytest.raises(BadInput, match=r"cell 7, seed 777 has 12 epochs on .*, not 200"):
        import_table("nas-bench-201", file, "cifar100", output=tmp_path)


@pytest.mark.parametrize("value", NOT_A_PERCENTAGE)
def test_an_accuracy_of_a_benchmark_file_is_a_percentage(value: object, tmp_path: Path) -> None:
    content = official(nas_201_api, FEW)
    content["arch2infos"][7]["full"]["all_results"]["cifar100", 888]["eval_acc1es"]["x-test@199"] = value
    with pytest.raises(BadInput, match=r"cell 7, seed 888, x-test of cifar100: .* is not an accuracy in percent"):
        import_table("nas-bench-201", write_pth(tmp_path / "f.pth", content), "cifar100", output=tmp_path)


def test_a_data_set_without_trainings_is_refused(tmp_path: Path) -> None:
    content = official(nas_201_api, FEW)
    for infos in content["arch2infos"].values():
        del infos["full"]["dataset_seed"]["cifar100"]
    with pytest.raises(BadInput, match="no test accuracy on cifar100 after 200 epochs: choose another"):
        import_table("nas-bench-201", write_pth(tmp_path / "f.pth", content), "cifar100", output=tmp_path)


def damaged(data: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "truncated": data[: len(data) // 2],
        "foreign": b"Not a benchmark.\n",
        "another archive": b"PK\x03\x04" + data[4:40],
        "another pickle": pickle.dumps([1, 2]),
        "another dict": pickle.dumps({"a": 1}),
        "compressed dict": bz2.compress(pickle.dumps({"meta_archs": [], "arch2infos": []})),
        "binary": bytes(range(256)),
    }


@pytest.mark.parametrize("trust", [(), ("--trust-pickle",)])
@pytest.mark.parametrize("kind", list(damaged(b"")))
@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_file_ends_in_one_line_and_writes_nothing(
    format: str,
    kind: str,
    trust: tuple[str, ...],
    files: dict[str, Path],
    tmp_path: Path,
    command: Command,
    recwarn: pytest.WarningsRecorder,
) -> None:
    sound = files["pbz2" if format == "nats-bench" else "pth"].read_bytes()
    (tmp_path / "given").write_bytes(damaged(sound)[kind])
    ended = command("analysis", "import", format, "given", "--dataset", "cifar100", "--name", "mine", *trust)
    assert ended.code == 1
    assert "given" in ended.error
    assert len(ended.error) < 500
    assert "NoneType" not in ended.error
    assert ended.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["given"]
    assert not recwarn.list


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_of_one_format_is_not_another(
    format: str, files: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    texts = {"diswot-json": '{"3": 71.5}', "resnet-depths": "713 71.5\n", "csv": "index,accuracy\n3,71.5\n"}
    given = {name: tmp_path / name for name in texts}
    for name, text in texts.items():
        given[name].write_text(text)
    given |= {"nas-bench-201": files["pth"], "nats-bench": files["pbz2"]}
    for other in given:
        ended = command(
            "analysis", "import", format, given[other], "--dataset", "cifar100", "--trust-pickle", "--name", other
        )
        assert ended.code == (0 if other == format else 1), ended
        assert (tmp_path / f"results/accuracies/{other}.csv.gz").exists() == (other == format)


def test_a_damaged_part_of_a_folder_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    folder = write_simple(tmp_path / "simple", official(nats_bench, FEW))
    part = folder / "000007.pickle.pbz2"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(BadInput, match=r"cannot read .*simple as nats-bench"):
        import_table("nats-bench", folder, "cifar100", output=tmp_path / "out", trust_pickle=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match=r"official\d* has no meta.pickle.pbz2, .*: name .*NATS-tss-v1_0.pickle.pbz2"):
        import_table("nats-bench", files["pth"].parent, "cifar100", output=tmp_path / "out", trust_pickle=True)


@pytest.mark.parametrize("beside", [".csv.gz", ".json"])
def test_a_table_that_is_there_is_not_overwritten(beside: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "file.csv").write_text("index,accuracy\n3,71.5\n")
    there = tmp_path / f"mine{beside}"
    there.write_text("precious")
    ended = command("analysis", "import", "csv", "file.csv", "--dataset", "cifar100", "--name", "mine", "--output", ".")
    assert ended.code == 1
    assert ended.error == f"mine{beside} is there already and is not overwritten: choose another --name, or remove it"
    assert there.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.csv", f"mine{beside}"]


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["nas-bench-20", "f", "--dataset", "cifar100"], 2, "unknown format 'nas-bench-20': did you mean 'nas-bench-2"),
        (["csv", "f", "--dataset", "cifar"], 2, "unknown data set 'cifar': did you mean 'cifar10"),
        (["csv", "f", "--dataset", "digits"], 2, "unknown data set 'digits': known: cifar10, cifar100, imagenet16-120"),
        (["csv", "f", "--dataset", "cifar10", "--epochs", "0"], 2, "--epochs 0: must be at least 1"),
        (["nats-bench", "f", "--dataset", "cifar10", "--epochs", "90"], 2, "nats-bench has trainings of 12 and 200"),
        (["csv", "f", "--dataset", "cifar10", "--name", "../x"], 2, "--name '../x': expected letters, digits"),
        (["csv", "f", "--dataset", "cifar10", "--name", ""], 2, "--name '': expected letters, digits"),
        (["csv", "f", "--dataset", "cifar10"], 1, "no file f: name the published file"),
        (["csv", ".", "--dataset", "cifar10", "--name", "x"], 1, "no file .: name the published file"),
        (["nats-bench", "f", "--dataset", "cifar10"], 1, "no file f: name the published file or folder"),
    ],
)
def test_a_wrong_word_is_explained(
    words: list[str], code: int, expected: str, tmp_path: Path, command: Command
) -> None:
    ended = command("analysis", "import", *words)
    assert ended.code == code
    assert expected in ended.error
    assert not list(tmp_path.iterdir())


def test_the_data_set_is_asked_for(command: Command) -> None:
    ended = command("analysis", "import", "csv", "f")
    assert ended.code == 2
    assert "--dataset" in ended.err


def test_words_cost_no_heavy_import(tmp_path: Path, environment: dict[str, str]) -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom analysis.cli import app\n"
        "assert CliRunner().invoke(app, ['import', '--help']).exit_code == 0\n"
        "assert CliRunner().invoke(app, ['import', 'cvs', 'f', '--dataset', 'cifar10']).exit_code == 1\n"
        "assert 'analysis.importers' in sys.modules\n"
        "print([name for name in ('torch', 'pandas', 'numpy', 'nas_201_api', 'nats_bench') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not set(eval(done.stdout)) & {"torch", "pandas", "nas_201_api", "nats_bench"}


# judging by what was imported


@pytest.mark.parametrize("benchmark", ["digits", "cifar100"])
def test_scores_are_judged_by_an_imported_table_and_its_seeds_set_the_ceiling(
    benchmark: str, files: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    imported = command("analysis", "import", "nats-bench", files["simple"], "--dataset", "cifar100", "--trust-pickle")
    table = imported.out.split(":")[0]
    words = ("--benchmark", benchmark)
    ended = command("analysis", "correlate", "params", *words, "--against", table)
    assert ended.code == 0, ended.err
    title = f"{benchmark} against {table} ({files['simple'].name}, cifar100, 200 epochs); cell set 'all', 4 labelled"
    assert title in ended.out
    assert "ceiling: unknown" in ended.out  # a single cell has all three seeds
    entries = json.loads(command("analysis", "correlate", "params", *words, "--against", table, "--json").out)
    assert [entry["n"] for entry in entries] == [4, 4]


def test_seeds_of_an_imported_table_are_columns(tmp_path: Path, command: Command) -> None:
    rows = [f"{cell},{seed},{50 + cell + seed / 1000}" for cell in range(9) for seed in (777, 888)]
    (tmp_path / "f.csv").write_text("index,seed,accuracy\n" + "\n".join(rows))
    for file in ("f.csv", "results/accuracies/cifar10-f.csv.gz"):
        ended = command("analysis", "correlate", "params", "--against", file)
        assert "labels of two seeds agree with Spearman 1.000, Kendall 1.000 (9 cells)" in ended.out
        command("analysis", "import", "csv", "f.csv", "--dataset", "cifar10")
