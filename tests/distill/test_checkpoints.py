"""A training that was cut off goes on to the numbers of an undisturbed one, or says in one line why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import CELL, FEW, TINY, equal, held_out, said_by, stack_of, state, stream_of

from common.errors import BadInput
from distill.recipes import Recipe
from distill.training import Group, Lockstep, Trained, remembered
from spaces.nb201.cell import cell_at

pytestmark = pytest.mark.slow

VAL, TEST = held_out("val"), held_out("test")
PLAN = replace(TINY, epochs=4, epoch_steps=2, learning_rate=0.3)
WEIGHTS = (0.0, 0.9, 0.0, 0.9)


def begin(plan: Recipe = PLAN, seeds: tuple[int, ...] = (1, 2), weights: tuple[float, ...] = WEIGHTS) -> Lockstep:
    """Two groups of four students on two streams."""
    groups = [Group(stack_of([0, 0, 1, 1], 2, cell), weights) for cell in (CELL, cell_at(3))]
    answers = [remembered(said_by(seed, plan), plan.batch) for seed in (1, 2)]
    return Lockstep(groups, [stream_of(seed, plan) for seed in seeds], answers, plan)


class Stop(Exception):
    pass


def run_until(lockstep: Lockstep, checkpoint: Path, last: int) -> None:
    """Every epoch is kept; cut off in the step after `last`."""

    def watch(step: int) -> None:
        if step > last:
            raise Stop

    with pytest.raises(Stop):
        lockstep.run(VAL, TEST, checkpoint, every=0, watch=watch)


def momentum(lockstep: Lockstep) -> list[torch.Tensor]:
    return [
        optimiser.state[parameter]["momentum_buffer"]
        for optimiser in lockstep.optimisers
        for parameter in optimiser.param_groups[0]["params"]
        if parameter in optimiser.state
    ]


def assert_same(first: Lockstep, second: Lockstep) -> None:
    """Parameters, statistics, step counters and momenta, bit for bit."""
    for one, other in zip(first.groups, second.groups, strict=True):
        assert equal(state(one.network), state(other.network))
    assert len(momentum(first)) > 0
    assert all(torch.equal(*pair) for pair in zip(momentum(first), momentum(second), strict=True))


@pytest.fixture(scope="module")
def undisturbed() -> tuple[Lockstep, list[Trained]]:
    """A finished training with its results."""
    lockstep = begin()
    return lockstep, lockstep.run(VAL, TEST)


@pytest.mark.parametrize("last", [2, 3, 4, 5, 6, 7])
def test_cut_off_anywhere_it_goes_on_to_the_results_of_an_undisturbed_training(
    tmp_path: Path, undisturbed: tuple[Lockstep, list[Trained]], last: int
) -> None:
    finished, expected = undisturbed
    run_until(begin(), tmp_path / "a.pt", last)
    resumed = begin()
    steps: list[int] = []
    results = resumed.run(VAL, TEST, tmp_path / "a.pt", every=0, watch=steps.append)
    assert steps == list(range(last // 2 * 2 + 1, 9)), "from the end of the last whole epoch"
    assert results == expected
    assert {result.status for result in results} == {"ok"}
    assert_same(resumed, finished)


def test_cut_off_after_every_epoch_in_turn_it_comes_to_the_same_end(
    tmp_path: Path, undisturbed: tuple[Lockstep, list[Trained]]
) -> None:
    finished, expected = undisturbed
    for last in (2, 4, 6):
        run_until(begin(), tmp_path / "a.pt", last)
    resumed = begin()
    assert resumed.run(VAL, TEST, tmp_path / "a.pt", every=0) == expected
    assert_same(resumed, finished)


def test_of_a_finished_training_the_checkpoint_gives_the_results_without_a_step(tmp_path: Path) -> None:
    expected = begin().run(VAL, TEST, tmp_path / "a.pt", every=0)
    steps: list[int] = []
    assert begin().run(VAL, TEST, tmp_path / "a.pt", watch=steps.append) == expected
    assert steps == []


def test_what_was_best_and_what_was_not_finite_before_the_checkpoint_is_remembered(tmp_path: Path) -> None:
    cut_off = begin()
    run_until(cut_off, tmp_path / "a.pt", 2)
    cut_off.best[0][2], cut_off.finite[1][1], cut_off.step = 99.5, False, 2
    cut_off.save(tmp_path / "a.pt")
    results = begin().run(VAL, TEST, tmp_path / "a.pt")
    assert results[2].best == 99.5
    assert results[2].test < 99.5
    assert [result.status for result in results] == ["ok"] * 5 + ["diverged"] + ["ok"] * 2


def test_a_checkpoint_is_written_when_the_time_has_come_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, saved = [1000.0], []
    monkeypatch.setattr("distill.training.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(Lockstep, "save", lambda self, path: saved.append(self.step))

    def watch(step: int) -> None:
        clock[0] += 5

    begin().run(VAL, TEST, tmp_path / "a.pt", every=15, watch=watch)
    assert saved == [4, 8], "ten seconds after two steps, twenty after four"
    begin().run(VAL, TEST, None, every=0)
    assert saved == [4, 8]


def test_students_that_are_not_trained_have_no_momentum_and_resume_all_the_same(tmp_path: Path) -> None:
    """The stem of a cell without operations is out of reach."""

    def start() -> Lockstep:
        empty = next(cell_at(number) for number in range(15625) if not cell_at(number).live_edges())
        return Lockstep([Group(stack_of([0, 1], 1, empty), (0.0, 0.0))], [stream_of(1, PLAN)], [], PLAN)

    undisturbed = start()
    expected = undisturbed.run(VAL, TEST)
    run_until(start(), tmp_path / "a.pt", 4)
    resumed = start()
    assert resumed.run(VAL, TEST, tmp_path / "a.pt") == expected
    assert_same(resumed, undisturbed)


# what cannot be gone on from


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(b"no checkpoint" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_tensors(path: Path) -> None:
    torch.save({"classifier.bias": torch.zeros(3)}, path)


def a_list(path: Path) -> None:
    torch.save([1, 2], path)


def of_older_code(path: Path) -> None:
    """As it was before anything but the accuracy was measured at the end of an epoch."""
    saved = torch.load(path, weights_only=True)
    saved["latest"] = [accuracy for accuracy, _ in saved["latest"]]
    del saved["about"]["measured"]
    torch.save(saved, path)


@pytest.mark.parametrize("damage", [truncate, overwrite, empty, other_tensors, a_list])
def test_a_damaged_checkpoint_is_bad_input_in_one_line_and_left_alone(
    tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    path = tmp_path / "a.pt"
    run_until(begin(), path, 2)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"cannot read .*a\.pt \(.*\): delete it to begin the training anew") as error:
        begin().run(VAL, TEST, path)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 1
    assert path.read_bytes() == before


OTHERS: dict[str, Callable[[], Lockstep]] = {
    "recipe": lambda: begin(replace(PLAN, weight_decay=0.0)),
    "version": lambda: begin(replace(PLAN, version=PLAN.version + 1)),
    "schedule": lambda: begin(replace(PLAN, schedule="steps")),
    "streams": lambda: begin(seeds=(1, 3)),
    "order of streams": lambda: begin(seeds=(2, 1)),
    "weights": lambda: begin(weights=(0.9, 0.0, 0.0, 0.9)),
    "cell": lambda: Lockstep(
        [Group(stack_of([0, 0, 1, 1], 2, cell_at(number)), WEIGHTS) for number in (9930, 4)],
        begin().streams,
        begin().answers,
        PLAN,
    ),
    "fewer groups": lambda: Lockstep(begin().groups[:1], begin().streams, begin().answers, PLAN),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_checkpoint_of_another_training_is_bad_input_in_one_line_and_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.pt"
    run_until(begin(), path, 2)
    before = path.read_bytes()
    other = OTHERS[name]()
    of_networks = [state(group.network) for group in other.groups]
    with pytest.raises(BadInput, match=r"a\.pt is of another training: delete it to begin anew") as error:
        other.run(VAL, TEST, path)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert all(equal(old, state(group.network)) for old, group in zip(of_networks, other.groups, strict=True))


def test_a_checkpoint_of_older_code_is_another_trainings(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    run_until(begin(), path, 2)
    of_older_code(path)
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"a\.pt is of another training: delete it to begin anew"):
        begin().run(VAL, TEST, path)
    assert path.read_bytes() == before


def test_what_was_measured_is_remembered_student_by_student(tmp_path: Path) -> None:
    """Of a finished training it is what the checkpoint says: nothing is measured anew on the test images."""
    finished = begin()
    expected = finished.run(VAL, TEST, tmp_path / "a.pt", every=0)
    finished.latest[1].log_likelihood[2] = -7.5
    finished.latest[0].accuracy[1] = 12.5
    finished.save(tmp_path / "a.pt")
    found = begin().run(VAL, TEST, tmp_path / "a.pt")
    expected[1] = expected[1]._replace(test=12.5)
    expected[6] = expected[6]._replace(log_likelihood=-7.5)
    assert found == expected


def test_the_images_of_a_stream_are_part_of_what_a_checkpoint_is_of(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    run_until(begin(), path, 2)
    brighter = begin()
    split = FEW.split("train")
    del FEW.__dict__["_residents"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FEW, "split", lambda name: replace(split, images=split.images // 2 + 128))
        brighter.streams = [stream_of(seed, PLAN) for seed in (1, 2)]
    del FEW.__dict__["_residents"]
    with pytest.raises(BadInput, match="another training"):
        brighter.run(VAL, TEST, path)


def test_a_failed_write_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    run_until(begin(), path, 2)
    before = path.read_bytes()
    lockstep = begin()
    lockstep.load(path)

    def full(*paths: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("common.files.os.replace", full)
    with pytest.raises(BadInput, match=r"cannot write .*a\.pt \(no space\)"):
        lockstep.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def test_results_are_plain_numbers() -> None:
    for result in begin().run(VAL, TEST):
        assert isinstance(result, Trained)
        assert all(type(value) is float for value in result[:4])
