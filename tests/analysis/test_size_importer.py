"""NATS-Bench's size space arrives number by number, in its own order of architectures."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats_bench
import pytest
from imported import Found, same, stored

from analysis.importers import import_table
from common.errors import BadInput, BadUsage
from distill.tables import read_table
from spaces.nats_sizes.space import CELL, SIZES

Command = Callable[..., Any]

ARCHS = [":".join(map(str, widths)) for widths in itertools.product(range(8, 65, 8), repeat=5)]
"""The order of NATS-Bench's own scripts: the last place changes fastest."""
INDICES = (0, 751, 20_000, 32_767)
SCHEDULES = {1: "01", 12: "12", 90: "90"}
TRAININGS = {"cifar10-valid": ("x-valid", "ori-test"), "cifar10": ("ori-test",)} | dict.fromkeys(
    ("cifar100", "ImageNet16-120"), ("ori-test", "x-valid", "x-test")
)


def results_of(index: int, epochs: int) -> dict[str, Any]:
    """The state of an official `ArchResults`, filled as its authors fill it; every accuracy is another one."""
    draw = random.Random(f"{index} {epochs}")
    results = nats_bench.ArchResults(index, ARCHS[index])
    config = {
        "name": "infer.shape.tiny",
        "channels": ARCHS[index],
        "arch_str": ARCHS[index],
        "genotype": CELL,
        "class_num": 10,
    }
    for training, images in TRAININGS.items():
        for seed in (777, 888, 999) if epochs == 90 else (777,):
            curve = {epoch: draw.uniform(5, 95) for epoch in range(epochs)}
            trial = nats_bench.ResultsCount(training, None, curve, curve, 0.7, 27.0, config, seed, epochs, None)
            trial.update_train_info(curve, curve, curve, dict.fromkeys(range(epochs), draw.uniform(1, 9)))
            keys = [f"{name}@{epoch}" for name in images for epoch in range(epochs)]
            accuracies = {key: draw.uniform(5, 95) for key in keys}
            trial.update_eval(accuracies, dict.fromkeys(keys, 1.0), dict.fromkeys(keys, 0.5))
            for name in images:
                trial.reset_pseudo_eval_times(name, 0.5)
            results.update(training, seed, trial)
    return results.state_dict()


def official() -> dict[str, Any]:
    """The dict that the file holds, of four architectures."""
    infos = {index: {name: results_of(index, epochs) for epochs, name in SCHEDULES.items()} for index in INDICES}
    return {"meta_archs": ARCHS, "arch2infos": infos, "evaluated_indexes": set(INDICES)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, content = tmp_path_factory.mktemp("official"), official()
    whole, simple = folder / "NATS-sss-v1_0.pickle.pbz2", folder / "NATS-sss-v1_0-simple"
    nats_bench.pickle_save(content, str(whole), ext="")
    simple.mkdir()
    nats_bench.pickle_save({"meta_archs": ARCHS}, str(simple / "meta.pickle"))
    for index, infos in content["arch2infos"].items():
        nats_bench.pickle_save(infos, str(simple / f"{index:06d}.pickle"))
    return {"whole": whole, "simple": simple}


def through_the_api(path: Path, dataset: str, epochs: int) -> Found:
    """(val, test) of every network and seed, by the query that the benchmark's authors recommend."""
    api = nats_bench.create(str(path), "sss", fast_mode=False, verbose=False)
    val_of = "cifar10-valid" if dataset == "cifar10" else dataset

    def accuracy(index: int, training: str, seed: int, name: str) -> float:
        return float(api.get_more_info(index, training, hp=SCHEDULES[epochs], is_random=seed)[name])

    return {
        (index, seed): (
            accuracy(index, val_of, seed, "valid-accuracy"),
            accuracy(index, dataset, seed, "test-accuracy"),
        )
        for index in INDICES
        for seed in ((777, 888, 999) if epochs == 90 else (777,))
    }


@pytest.mark.slow
def test_the_order_is_that_of_the_published_list() -> None:
    assert [str(SIZES.at(index)) for index in range(len(SIZES))] == ARCHS


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "simple"])
@pytest.mark.parametrize(("dataset", "epochs"), [("cifar10", 90), ("cifar100", 90), ("cifar100", 12), ("cifar10", 1)])
def test_every_accuracy_of_every_seed_is_what_the_official_api_answers(
    kind: str, dataset: str, epochs: int, files: dict[str, Path], tmp_path: Path
) -> None:
    path, _ = import_table("nats-bench-size", files[kind], dataset, epochs=epochs, output=tmp_path, trust_pickle=True)
    same(stored(path), through_the_api(files["whole"], dataset, epochs))
    assert path.name == f"{dataset}-nats-bench-size-{epochs}.csv.gz"
    told = read_table(path)
    assert told.recipe["space"] == "nats_sizes"
    assert set(told.rows["epochs"]) == {epochs}


@pytest.mark.slow
def test_the_longest_training_is_the_default_and_another_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    path, _ = import_table("nats-bench-size", files["simple"], "cifar100", output=tmp_path, trust_pickle=True)
    assert path.name == "cifar100-nats-bench-size-90.csv.gz"
    with pytest.raises(BadUsage, match="--epochs 200: nats-bench-size has trainings of 1, 12 and 90 epochs"):
        import_table("nats-bench-size", files["simple"], "cifar100", epochs=200)


@pytest.mark.slow
def test_it_is_not_unpickled_unless_trusted_nor_read_as_the_topology_space(
    files: dict[str, Path], tmp_path: Path
) -> None:
    for path in files.values():
        with pytest.raises(BadInput, match="add --trust-pickle"):
            import_table("nats-bench-size", path, "cifar100", output=tmp_path)
        with pytest.raises(BadInput, match="is of the space nats_sizes: `python -m analysis import nats-bench-size`"):
            import_table("nats-bench", path, "cifar100", output=tmp_path, trust_pickle=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_imported_accuracies_judge_scores_of_the_space(
    files: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    ended = command(
        *("analysis", "import", "nats-bench-size", files["simple"], "--dataset", "cifar100", "--trust-pickle"),
        *("--name", "nats-sizes-cifar100-vanilla"),
    )
    assert ended.code == 0, ended.err
    assert "4 architectures; seeds (and rows): 777 (4), 888 (4), 999 (4)" in ended.out
    words = ("analysis", "correlate", "params", "--against")
    ended = command(*words, "vanilla", "--benchmark", "nats-sizes-cifar100", "--json")
    assert ended.code == 0, ended.err
    assert '"n": 4' in ended.out
    ended = command(*words, "results/accuracies/nats-sizes-cifar100-vanilla.csv.gz", "--benchmark", "cifar100")
    assert "labels networks of the space 'nats_sizes', and scores are of the space 'nb201'" in ended.error


def told(format: str, path: Path) -> str:
    """The line with which the import of a path ends."""
    with pytest.raises(BadInput) as caught:
        import_table(format, path, "cifar10", output=path.parent / "out", trust_pickle=True)
    return str(caught.value)


def test_of_other_files_it_is_said_which_one_is_wanted(files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("NATS-sss-v1_0-50262-simple.tar", "NATS-tss-v1_0-3ffb9-simple.tgz"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    simple = files["simple"]
    assert told("nats-bench-size", tmp_path / "NATS-sss-v1_0-50262-simple.tar") == (
        f"{tmp_path}/NATS-sss-v1_0-50262-simple.tar is an archive: unpack it with `tar xf`, and name the folder "
        "NATS-sss-v1_0-50262-simple in it"
    )
    assert "name the folder NATS-tss-v1_0-3ffb9-simple in it" in told(
        "nats-bench", tmp_path / "NATS-tss-v1_0-3ffb9-simple.tgz"
    )
    for part in ("000751.pickle.pbz2", "meta.pickle.pbz2"):
        assert told("nats-bench-size", simple / part).endswith(f"one part of a benchmark: name its folder, {simple}")
    assert "name " + str(files["whole"]) in told("nats-bench-size", simple.parent)
    assert told("nats-bench-size", tmp_path / "empty").endswith(f"name {tmp_path}/empty/NATS-sss-v1_0-50262-simple")
    around = tmp_path / "around"
    around.mkdir()
    (around / "NATS-sss-mine").symlink_to(simple)
    assert told("nats-bench-size", around).endswith(f"name {around}/NATS-sss-mine")


@pytest.mark.parametrize("named", [True, False], ids=["by its name", "by its content"])
@pytest.mark.parametrize("kind", ["whole", "simple"])
def test_the_size_space_is_not_read_as_the_topology_space(
    kind: str, named: bool, files: dict[str, Path], tmp_path: Path
) -> None:
    path = files[kind] if named else tmp_path / "mine"
    if not named:
        path.symlink_to(files[kind])
    assert told("nats-bench", path) == (
        f"{path} is of the space nats_sizes: `python -m analysis import nats-bench-size` reads it"
    )
