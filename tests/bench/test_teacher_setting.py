"""The teacher as a setting: what the names stand for, whose scores are whose, and how often a teacher is run."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from heavy import heavy_imports
from torch import nn

import bench.runner
import bench.worker
from bench.benchmarks import (
    NAMED_CELLS,
    RESNETS,
    TEACHERS,
    Benchmark,
    CellTeacher,
    ResNetTeacher,
    TrainedTeacher,
    benchmark,
    names,
    teacher_name,
    with_teacher,
)
from bench.checks.verify import verify
from bench.identity import fingerprint, name_of, settings
from bench.plan import Pass
from bench.published import export, read_manifest
from bench.runner import Request, Summary, execute
from bench.store import ScoreStore
from bench.teachers import BlindTeacher
from bench.worker import Setup, Worker
from common.errors import BadInput, BadUsage
from distill.teachers import load_teacher, weights_hash
from proxies.registry import create
from spaces.nb201.cell import cell_at
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.space import NB201
from spaces.resnet.network import ResNet, count_parameters, resnet_shape

ROOT = Path(__file__).parents[2]
DIGITS, CIFAR = benchmark("digits"), benchmark("cifar100")
PUBLISHED = ROOT / "results" / "scores" / "digits"
READERS = ("diswot", "diswot_relation", "kd")


def ask(teacher: str, proxies: tuple[str, ...] = ("diswot",), **more: Any) -> Request:
    setting = with_teacher(DIGITS, teacher)
    made = tuple(map(create, proxies))
    return Request(**{"benchmark": setting, "proxies": made, "seeds": (0,), "cells": "functions", "limit": 4} | more)


def score(store: ScoreStore, teacher: str, proxies: tuple[str, ...] = ("diswot",), **more: Any) -> Summary:
    return execute(ask(teacher, proxies, **more), store)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "scores.sqlite"
    opened = ScoreStore(path)
    for teacher in ("default", "resnet20", "best"):
        score(opened, teacher, ("diswot", "nwot"))
    opened.close()
    return path


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Iterator[ScoreStore]:
    """Four cells under three teachers, those of the benchmark's own asked for first."""
    opened = ScoreStore(Path(shutil.copy(made, tmp_path)))
    yield opened
    opened.close()


def worker(teacher: str, *proxies: str) -> Worker:
    return Setup(with_teacher(DIGITS, teacher), tuple(map(create, proxies or ("diswot",))), (), None, "cpu")()


# -- names


def test_a_cell_replaces_the_cell_and_keeps_the_skeleton() -> None:
    for name, index in (("best", 9930), ("median", 7315), ("3021", 3021), (str(cell_at(77)), 77)):
        assert with_teacher(DIGITS, name).teacher == CellTeacher(str(cell_at(index)), DIGITS.teacher.skeleton)
    assert with_teacher(CIFAR, "best") == CIFAR, "the authors' choice is the best cell"
    assert with_teacher(DIGITS, "1462") == DIGITS
    assert all(with_teacher(benchmark(name), "default") == benchmark(name) for name in names())


def test_a_random_cell_is_drawn_by_its_seed() -> None:
    drawn = [with_teacher(CIFAR, f"random:{seed}").teacher for seed in range(8)]
    assert drawn == [with_teacher(CIFAR, f"random:{seed}").teacher for seed in range(8)]
    assert len(set(drawn)) == 8
    assert drawn[0].cell == str(cell_at(13835))


def test_a_resnet_is_as_wide_as_the_students_and_at_paper_size_that_of_cifar() -> None:
    assert with_teacher(CIFAR, "resnet56").teacher == ResNetTeacher(56, 16, (16, 32, 64), 100)
    assert with_teacher(DIGITS, "resnet110").teacher == ResNetTeacher(110, 8, (8, 16, 32), 10)
    assert tuple(RESNETS.values()) == (20, 32, 44, 56, 110)


@pytest.mark.slow
def test_the_trained_teacher_is_the_one_of_the_labels() -> None:
    loaded = load_teacher("digits")
    assert with_teacher(DIGITS, "trained").teacher == TrainedTeacher("digits", loaded.hash)
    assert with_teacher(DIGITS, f"trained-{loaded.hash[:8]}") == with_teacher(DIGITS, "trained")


@pytest.mark.slow
def test_every_name_is_that_of_the_teacher_it_gives() -> None:
    for name in (*TEACHERS, "13835", "random:0"):
        setting = with_teacher(DIGITS, name)
        found = teacher_name("digits", setting.teacher.record())
        assert with_teacher(DIGITS, found) == setting
        assert found == name or name in ("trained", "random:0")
    assert len({str(with_teacher(DIGITS, name).teacher.record()) for name in TEACHERS}) == len(TEACHERS)
    old = dataclasses.replace(DIGITS.teacher, skeleton=CellSkeleton(4, 2, 10, 16))
    assert teacher_name("digits", old.record()) == "1462-4x2"
    assert teacher_name("a benchmark of old", DIGITS.teacher.record()) == "1462-8x3"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bst", "unknown teacher 'bst': did you mean 'best'"),
        ("resnet57", "did you mean .*'resnet56'"),
        ("wrn-40-2", "unknown teacher 'wrn-40-2'"),
        ("", "unknown teacher ''"),
        ("trained-00000000", "unknown teacher 'trained-00000000': did you mean .*'trained-f011e277'"),
        ("random", "did you mean 'random:0'"),
        ("random:x", "expected random: and a whole number, such as random:0"),
        ("random:-1", "expected random: and a whole number"),
        ("15625", "cell index 15625 is out of range"),
        ("-1", "cell index -1 is out of range"),
        ("|none~0|", "malformed cell"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, message: str, command: Command) -> None:
    with pytest.raises(BadUsage, match=message):
        with_teacher(DIGITS, name)
    for package, words in (
        ("bench", ["run"]),
        ("bench", ["verify"]),
        ("bench", ["export"]),
        ("analysis", ["correlate"]),
    ):
        ended = command(package, *words, "diswot", f"--teacher={name}")
        assert ended.code == 2
        assert ended.error


def test_where_no_teacher_is_trained_the_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadUsage, match="no teacher is trained for imagenet16-120; use a cell or a resnet"):
        with_teacher(benchmark("imagenet16-120"), "trained")
    monkeypatch.setattr(load_teacher, "__defaults__", (tmp_path,))
    with pytest.raises(BadInput, match="train it with `python -m distill teacher cifar100`"):
        with_teacher(CIFAR, "trained")


def test_best_and_median_are_those_of_the_published_accuracies() -> None:
    file = Path(os.environ.get("DISWOT_DATA", "")) / "nb201" / "cifar100_test_accuracy.csv"
    if "DISWOT_DATA" not in os.environ or not file.exists():
        pytest.skip("set DISWOT_DATA to a folder with nb201/cifar100_test_accuracy.csv")
    with file.open() as lines:
        ranked = sorted((float(row["accuracy"]), int(row["index"])) for row in csv.DictReader(lines))
    assert len(ranked) == 15625
    assert {"best": ranked[-1][1], "median": ranked[7812][1]} == NAMED_CELLS
    assert ranked[-2][0] < ranked[-1][0]
    assert ranked[7811][0] < ranked[7812][0] < ranked[7813][0], "no tie decides"


@pytest.mark.slow
def test_a_wrong_name_costs_no_heavy_import(tmp_path: Path, environment: dict[str, str]) -> None:
    bench = [["run", "diswot", "--teacher", name] for name in ("bst", "random:x", "99999")]
    assert heavy_imports(1, "bench", bench, tmp_path, environment) == "[]"
    analysis = [["correlate", "diswot", "--teacher", "bst"], ["teachers", "nwot"], ["teachers", "diswott"]]
    assert heavy_imports(1, "analysis", analysis, tmp_path, environment) == "[]"


# -- identity


@pytest.mark.slow
def test_teachers_keep_the_fingerprints_of_what_is_published() -> None:
    manifest = json.loads((PUBLISHED / "manifest.json").read_text())
    checked = 0
    for entry in manifest.values():
        label, _, teacher = entry["proxy"].partition("@")
        proxy = create(label)
        for setting in entry["settings"].values():
            record = setting["record"]
            if record["version"] != proxy.version:
                continue
            batch, second = record.get("batch", {}).get("hash"), record.get("second_batch", {}).get("hash")
            for name in (teacher,) if teacher else ("default", "1462"):
                now = settings(proxy, with_teacher(DIGITS, name), batch, second)
                assert fingerprint(now) == setting["fingerprint"], entry["proxy"]
            checked += "teacher" in record
    assert checked >= 3, "diswot, its terms and kd are published"


@pytest.mark.slow
def test_another_teacher_is_another_identity_for_those_alone_who_read_it() -> None:
    others = {name: with_teacher(DIGITS, name) for name in TEACHERS[1:]}
    for reader in READERS:
        prints = {fingerprint(settings(create(reader), setting, "hash")) for setting in (DIGITS, *others.values())}
        assert len(prints) == len(TEACHERS)
    for other in others.values():
        assert settings(create("nwot"), other, "hash") == settings(create("nwot"), DIGITS, "hash")
        changed, own = (settings(create("kd"), setting, "hash") for setting in (other, DIGITS))
        assert {key for key in own if changed[key] != own[key]} == {"teacher"}
        assert json.loads(json.dumps(changed)) == changed, "what is stored is what is hashed"
    resnet = settings(create("kd"), others["resnet56"], "hash")["teacher"]
    assert resnet == {"kind": "resnet", "depth": 56, "stem": 8, "widths": [8, 16, 32], "classes": 10}
    trained = settings(create("kd"), others["trained"], "hash")["teacher"]
    assert trained == {"kind": "trained", "name": "digits", "hash": load_teacher("digits").hash}


def test_scores_are_called_by_their_teacher_if_it_is_not_the_benchmarks_own() -> None:
    setting = with_teacher(DIGITS, "resnet56")
    assert [name_of(create(name), setting) for name in ("diswot:variant=paper", "nwot")] == [
        "diswot:variant=paper@resnet56",
        "nwot",
    ]
    assert name_of(create("diswot"), DIGITS) == "diswot"


# -- scores


@pytest.mark.slow
def test_scores_of_teachers_are_never_mixed(store: ScoreStore) -> None:
    diswot = create("diswot")
    records = [with_teacher(DIGITS, name).teacher.record() for name in ("default", "resnet20", "best")]
    assert store.teachers("digits", diswot) == records
    assert store.teachers("digits", create("nwot")) == []
    found = [store.scores("digits", diswot, record) for record in records]
    for record, entries in zip(records, found, strict=True):
        assert [(entry.seed, entry.record["teacher"]) for entry in entries] == [(0, record)]
        assert len(entries[0].rows) == 4
    assert store.scores("digits", diswot) == found[0], "by default the benchmark's own, though it was asked for first"
    columns = [[row.score for row in entry.rows] for (entry,) in found]
    assert len({tuple(column) for column in columns}) == 3
    assert store.scores("digits", diswot, with_teacher(DIGITS, "median").teacher.record()) == []
    nwot = [store.scores("digits", create("nwot"), record) for record in records]
    assert nwot[0] == nwot[1] == nwot[2] != [], "who reads no teacher has its scores under all"


@pytest.mark.slow
def test_status_and_show_tell_teachers_apart(store: ScoreStore, command: Command) -> None:
    wanted = {"diswot": 4, "diswot@best": 4, "diswot@resnet20": 4, "nwot": 4}
    assert {entry["proxy"]: entry["ok"] for entry in store.overview()} == wanted
    cell = store.scores("digits", create("diswot"))[0].rows[0].cell
    assert sorted(row[0] for row in store.of_cell(cell, NB201)) == sorted(wanted)
    shown = command("bench", "show", cell, "--store", store.path)
    assert "diswot@resnet20" in shown.out


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do_and_the_default_is_not_scored_again(store: ScoreStore) -> None:
    for name in ("default", "resnet20", "best", "1462", "9930"):
        assert score(store, name, ("diswot", "nwot")).passes == 0
    assert score(store, "median", ("nwot",)).passes == 0
    assert score(store, "median", ("diswot",)).passes == 4


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_rows(store: ScoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.runner, "CHUNK", 2)
    monkeypatch.setattr(bench.runner, "cells_together", lambda *_: 1)
    add, calls = store.add, 0

    def add_or_stop(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:  # the first call brings copies
            raise KeyboardInterrupt
        add(*args)

    with monkeypatch.context() as patch:
        patch.setattr(store, "add", add_or_stop)
        with pytest.raises(KeyboardInterrupt):
            score(store, "resnet20", limit=10)
    record = with_teacher(DIGITS, "resnet20").teacher.record()
    assert len(store.scores("digits", create("diswot"), record)[0].rows) == 6
    assert score(store, "resnet20", limit=10).passes == 4
    fresh = ScoreStore(store.path.with_name("fresh.sqlite"))
    score(fresh, "resnet20", limit=10)
    assert fresh.scores("digits", create("diswot"), record)[0].rows == (
        store.scores("digits", create("diswot"), record)[0].rows
    )
    fresh.close()


@pytest.mark.slow
def test_every_kind_of_teacher_gives_finite_scores_where_widths_are_equal(tmp_path: Path) -> None:
    opened = ScoreStore(tmp_path / "all.sqlite")
    for name in ("median", "random:0", *RESNETS, "trained"):
        summary = score(opened, name, READERS, limit=2)
        assert summary.ok == (4 if name == "trained" else 6), name
    record = with_teacher(DIGITS, "trained").teacher.record()
    (entry,) = opened.scores("digits", create("diswot"), record)
    opened.close()
    assert {(row.status, row.reason) for row in entry.rows} == {
        ("not_applicable", "the teacher has 64 channels before the classifier, the student 32")
    }


@pytest.mark.slow
def test_verify_scores_again_with_the_teacher_that_is_named(store: ScoreStore) -> None:
    for name, called in (("default", "diswot"), ("resnet20", "diswot@resnet20"), ("best", "diswot@best")):
        (verdict,) = verify(store, with_teacher(DIGITS, name), [create("diswot")], 4, "cpu", None, ())
        assert (verdict.proxy, verdict.compared, verdict.differences) == (called, 4, [])
    with pytest.raises(BadInput, match="has no scores of diswot@median on digits"):
        verify(store, with_teacher(DIGITS, "median"), [create("diswot")], 4, "cpu", None, ())


@pytest.mark.slow
def test_an_export_of_another_teacher_leaves_that_of_the_default_as_it_is(
    store: ScoreStore, tmp_path: Path, command: Command
) -> None:
    (own,) = export(store, "digits", [create("diswot")], tmp_path / "out")
    before, entry = own.read_bytes(), read_manifest(own.parent)["diswot.csv.gz"]
    words = ("export", "diswot", "--store", store.path, "--output", tmp_path / "out")
    assert command("bench", *words, "--teacher", "resnet20").code == 0
    manifest = read_manifest(own.parent)
    assert own.read_bytes() == before
    assert manifest["diswot.csv.gz"] == entry
    other = manifest["diswot@resnet20.csv.gz"]
    assert other["proxy"] == "diswot@resnet20"
    assert other["settings"]["0"]["record"]["teacher"]["kind"] == "resnet"
    assert gzip.decompress((own.parent / "diswot@resnet20.csv.gz").read_bytes()) != gzip.decompress(before)
    ended = command("bench", *words, "--teacher", "median")
    assert ended.code == 1
    assert "has no scores of diswot@median on digits" in ended.error


@pytest.mark.slow
def test_correlate_judges_the_teacher_that_is_named(store: ScoreStore, command: Command, tmp_path: Path) -> None:
    cells = [row.cell for row in store.scores("digits", create("diswot"))[0].rows]
    (tmp_path / "labels.csv").write_text("cell,accuracy\n" + "\n".join(f"{c},{n}" for n, c in enumerate(cells)))
    words = ("correlate", "diswot,nwot", "--against", "labels.csv", "--store", store.path, "--json")
    found = {}
    for name in ("default", "resnet20", "best"):
        entries = json.loads(command("analysis", *words, "--teacher", name).out)
        label = "diswot" if name == "default" else f"diswot@{name}"
        assert [entry["proxy"] for entry in entries[:2]] == [label, "nwot"]
        found[name] = entries[0]["pearson"]
    assert len(set(found.values())) == 3
    ended = command("analysis", *words, "--teacher", "median")
    assert ended.code == 1
    assert "no scores of diswot@median on digits" in ended.error
    assert "run `python -m bench run diswot --benchmark digits --teacher median` first" in ended.error


# -- the teacher's side


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Forward passes of teachers and of students."""
    count: Counter[str] = Counter()
    running: list[str] = []

    def watch(network: nn.Module, who: str) -> nn.Module:
        network.register_forward_pre_hook(lambda *_: count.update([who]))
        return network

    probe = Worker._probe
    make = Worker._make_teacher

    def making(self: Worker, seed: int, init: str) -> Any:
        running.append("teacher")
        try:
            return make(self, seed, init)
        finally:
            running.pop()

    def probing(self: Worker, cell: Any, skeleton: Any, seed: int, readers: Any, network: Any, *more: Any) -> Any:
        who = "teacher" if running else "student"
        return probe(self, cell, skeleton, seed, readers, lambda *args: watch(network(*args), who), *more)

    monkeypatch.setattr(bench.worker, "cells_together", lambda *_: 1)  # a network for each student, to be watched
    monkeypatch.setattr(Worker, "_make_teacher", making)
    monkeypatch.setattr(Worker, "_probe", probing)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "best", "resnet20", "trained", "noise"])
def test_a_teacher_is_run_once_for_each_seed_and_initialisation(name: str, forwards: Counter[str]) -> None:
    proxies = ("kd", "nst", "kdsvd", "sp", "kd:init=kaiming", "nwot")
    made = worker(name, *proxies)
    for seed in (0, 1):
        for cell in (9930, 1462, 77, 3021):
            made.score(Pass(seed, "default", cell, (0, 1, 2, 3, 5)))
            made.score(Pass(seed, "kaiming", cell, (4,)))
    inits = 1 if name == "trained" else 2
    assert forwards == {"teacher": 2 * inits, "student": 2 * 4 * 2}


def test_a_teacher_that_nobody_reads_is_not_run(forwards: Counter[str]) -> None:
    worker("resnet20", "nwot").score(Pass(0, "default", 77, (0,)))
    assert forwards == {"student": 1}


@pytest.mark.slow
def test_a_resnets_probe_shows_what_a_cells_does() -> None:
    needs = "snip"  # a proxy that needs the gradients of weights, beside kd
    made = worker("resnet20", "kd", needs)
    teacher = made.teacher(0, "default")
    assert teacher.logits.shape == (64, 10)
    assert teacher.pooled.shape == (64, 32)
    assert [tuple(feature.shape) for feature in teacher.features] == [(64, 8, 16, 16), (64, 16, 8, 8), (64, 32, 4, 4)]
    torch.testing.assert_close(teacher.features[-1].mean((2, 3)), teacher.pooled)
    assert teacher.classifier_gradient.shape == teacher.classifier_weight.shape == (10, 32)
    network = teacher._network
    assert isinstance(network, ResNet)
    assert network.training
    shape = dataclasses.replace(resnet_shape(20, 10), stem=8, widths=(8, 16, 32))
    assert sum(parameter.numel() for parameter in network.parameters()) == count_parameters(shape)
    torch.testing.assert_close(teacher.logits, teacher.pooled @ teacher.classifier_weight.T + network.classifier.bias)


@pytest.mark.slow
def test_an_untrained_teacher_is_drawn_by_seed_and_init_and_observing_leaves_it_as_it_is() -> None:
    made = worker("resnet20", "kd", "kd:init=kaiming")
    hashes = set()
    for seed in (0, 1):
        for init in ("default", "kaiming"):
            network = made.teacher(seed, init)._network
            before = weights_hash(network)
            assert made.teacher(seed, init).logits.isfinite().all()
            assert weights_hash(network) == before, "running statistics would move with what was observed before"
            hashes.add(before)
    assert len(hashes) == 4


@pytest.mark.slow
def test_the_trained_teacher_says_what_it_says_in_distillation_whatever_seed_and_init() -> None:
    made = worker("trained", "kd", "kd:init=kaiming")
    loaded = load_teacher("digits")
    for seed in (0, 1):
        images = made._batch(seed).images
        probe = made.teacher(seed, "default")
        with torch.no_grad():
            assert torch.equal(probe.logits, loaded.network(images).logits)
        assert made.teacher(seed, "kaiming") is probe
        assert weights_hash(probe._network) == loaded.hash
        assert (probe.logits.argmax(1) == probe.labels).float().mean() > 0.85


@pytest.mark.slow
def test_a_teacher_trained_anew_in_between_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made = worker("trained", "kd")
    changed = dataclasses.replace(load_teacher("digits"), hash="0" * 64)
    monkeypatch.setattr("distill.teachers.load_teacher", lambda name: changed)
    with pytest.raises(BadInput, match="was trained anew while it was in use"):
        made.score(Pass(0, "default", 77, (0,)))


def test_no_cell_is_made_up_for_a_teacher_that_has_none() -> None:
    probe = worker("resnet20").teacher(0, "default")
    with pytest.raises(ValueError, match="argument"):
        probe.cell.edges()


@pytest.mark.slow
@pytest.mark.usefixtures("forked_pool")
def test_scores_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    rows = []
    record = with_teacher(DIGITS, "resnet20").teacher.record()
    for workers in (1, 2):
        opened = ScoreStore(tmp_path / f"{workers}.sqlite")
        score(opened, "resnet20", workers=workers, limit=10)
        rows.append(opened.scores("digits", create("diswot"), record)[0].rows)
        opened.close()
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_a_teacher_before_noise_is_the_same_network_on_images_that_are_none_of_the_batch() -> None:
    own, blind = (worker(name, *READERS).teacher(0, "default") for name in ("default", "noise"))
    assert all(torch.equal(own.parameters[name], one) for name, one in blind.parameters.items())
    assert blind.images.shape == own.images.shape
    assert not torch.equal(blind.images, own.images)
    assert not torch.equal(blind.labels, own.labels)
    assert blind.images.mean().abs() < 0.05
    assert abs(float(blind.images.std()) - 1) < 0.05
    again = worker("noise", *READERS).teacher(0, "default")
    assert torch.equal(again.images, blind.images)
    assert not torch.equal(again.images, worker("noise", *READERS).teacher(1, "default").images)
    assert teacher_name("digits", BlindTeacher(with_teacher(DIGITS, "best").teacher).record()) == "noise-best"


@pytest.mark.slow
def test_a_benchmark_of_another_teacher_pickles() -> None:
    import pickle

    for name in TEACHERS:
        setting: Benchmark = with_teacher(DIGITS, name)
        assert pickle.loads(pickle.dumps(setting)) == setting
