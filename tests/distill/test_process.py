"""A process is what its file says, at any number of steps; its variants keep what they promise and change the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import BadInput, BadUsage
from distill.process.process import VARIANTS, Process, read_process, read_processes

FIXTURE = Path(__file__).parents[1] / "fixtures" / "process-v1.json"
NAMES = ("stage1-stage1-T4", "stage1-pooled-T1", "stage3-pooled-T4")
RISING = Process(NAMES, (0.0, 0.25, 1.0), ((0.0, 2.0, 1.0), (1.0, 1.0, 1.0), (0.5, 0.0, 1.0)), {"by": "hand"})


def test_between_its_times_a_process_is_linear_and_its_ends_are_kept() -> None:
    assert RISING.at(0) == [0.0, 2.0, 1.0]
    assert RISING.at(1) == [0.5, 0.0, 1.0]
    assert RISING.at(0.125) == pytest.approx([0.5, 1.5, 1.0])
    assert RISING.at(0.625) == pytest.approx([0.75, 0.5, 1.0])


@pytest.mark.parametrize("steps", [1, 7, 600])
def test_a_replay_of_any_length_starts_at_the_first_weights(steps: int) -> None:
    replayed = np.array([RISING.at(step / steps) for step in range(steps)])
    assert replayed[0].tolist() == [0.0, 2.0, 1.0]
    assert (replayed[:, 2] == 1).all()
    assert (np.diff(replayed[:, 1]) <= 0).all()


def test_the_mean_is_the_integral_over_time() -> None:
    fine = np.linspace(0, 1, 100_001)
    integral = [np.interp(fine, RISING.times, column).mean() for column in zip(*RISING.weights, strict=True)]
    assert RISING.variant("mean").at(0.3) == pytest.approx(integral, abs=1e-4)
    assert RISING.variant("mean").at(0.9) == RISING.variant("mean").at(0)


def test_uniform_weights_have_the_total_of_the_mean_and_none_have_none() -> None:
    uniform = RISING.variant("uniform").at(0.7)
    assert len(set(uniform)) == 1
    assert sum(uniform) == pytest.approx(sum(RISING.variant("mean").at(0)), rel=1e-5)
    assert RISING.variant("none").at(0.7) == [0, 0, 0]


def test_shuffling_permutes_the_rows_and_keeps_each_whole() -> None:
    many = Process(NAMES, tuple(k / 20 for k in range(21)), tuple((float(k), k / 2, 1.0) for k in range(21)))
    shuffled = many.variant("shuffled", 3)
    assert shuffled.weights != many.weights
    assert sorted(shuffled.weights) == sorted(many.weights)
    assert shuffled.times == many.times
    assert many.variant("shuffled", 3) == shuffled
    assert many.variant("shuffled", 4) != shuffled


def test_a_replay_is_the_process_and_an_unknown_variant_is_told() -> None:
    assert RISING.variant("replay") == RISING
    with pytest.raises(BadUsage, match="did you mean 'replay'"):
        RISING.variant("replays")
    assert set(VARIANTS) == {"replay", "mean", "shuffled", "uniform", "none"}


def test_a_file_gives_back_the_process_and_the_same_bytes(tmp_path: Path) -> None:
    rough = Process(NAMES[:2], (0.0, 1 / 3, 1.0), ((1 / 7, 1e-9 / 3), (2 / 3, 1.0), (0.0, 123456.789)), {"seed": 0})
    rough.write(tmp_path / "a.json")
    again = read_process(tmp_path / "a.json")
    assert again == rough
    assert again.hash == rough.hash
    assert again.made_by == {"seed": 0}
    again.write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert rough.at(0)[0] == pytest.approx(1 / 7, rel=1e-5)


def test_the_identity_is_of_what_a_process_does() -> None:
    other = Process(NAMES, RISING.times, RISING.weights, {"by": "somebody else"})
    assert other.hash == RISING.hash
    assert RISING.variant("mean").hash != RISING.hash


def test_a_process_of_the_first_version_loads() -> None:
    found = read_process(FIXTURE)
    assert len(found.pathways) == 10
    assert found.pathways[0] == "stage1-stage1-T4"
    assert len(found.times) == 9
    assert found.hash.startswith("e7f6977e1ee3657d")
    assert sum(found.at(0.4)) == pytest.approx(1, abs=1e-5)


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda values: values.pop(key)


@pytest.mark.parametrize(
    "spoil",
    [
        _without("weights"),
        _without("version"),
        lambda values: values.update(version=2),
        lambda values: values.update(times=[0, 0.5]),
        lambda values: values["times"].__setitem__(0, 0.1),
        lambda values: values["times"].__setitem__(1, 1.0),
        lambda values: values["weights"][1].append(0.5),
        lambda values: values["weights"][1].__setitem__(0, "many"),
        lambda values: values["weights"][1].__setitem__(0, float("nan")),
        lambda values: values["pathways"].__setitem__(0, values["pathways"][1]),
    ],
)
def test_a_spoilt_file_is_bad_input(spoil: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    RISING.write(path)
    values = json.loads(path.read_text())
    spoil(values)
    path.write_text(json.dumps(values))
    with pytest.raises(BadInput, match=r"process\.json"):
        read_process(path)


def test_no_file_and_no_json_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="python -m distill process"):
        read_process(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"version": 1, "pathw')
    with pytest.raises(BadInput, match="restore the file"):
        read_process(tmp_path / "half.json")


def test_processes_are_known_by_the_names_of_their_files_and_the_first_as_the_pairs_own(tmp_path: Path) -> None:
    first, second = read_process(FIXTURE), read_process(FIXTURE).variant("mean")
    for name, process in (("a", first), ("b", second)):
        process.write(tmp_path / f"{name}.json")
    found = read_processes([tmp_path / "b.json", tmp_path / "a.json"])
    assert found == {"": second, "a": first, "b": second}
    assert read_processes([]) == {}
    with pytest.raises(BadUsage, match="another process is called a too"):
        read_processes([tmp_path / "a.json", tmp_path / "a.json"])
