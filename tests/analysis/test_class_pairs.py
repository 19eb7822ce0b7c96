"""Members against representatives: the numbers are those of a textbook analysis of variance, on the right classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Command
from scipy import stats

from analysis.studies.class_pairs import compare
from common.errors import BadInput
from distill.recipes import MODES
from distill.runs import visiting_order
from distill.tables import AccuracyTable, table_path, write_table
from spaces.nb201.equivalence import representatives

pytestmark = pytest.mark.slow

SEEDS = 3


def write(folder: Path, name: str, cells: list[int], accuracies: np.ndarray) -> None:
    """Both tables of a recipe; `accuracies` [2, n, SEEDS] of vanilla and distilled."""
    for mode, values in zip(MODES, accuracies, strict=True):
        rows = [
            (cell, seed, value - 1, value, value, 2, 1.0, "ok")
            for cell, of_cell in zip(cells, values, strict=True)
            for seed, value in enumerate(of_cell)
        ]
        frame = pd.DataFrame(rows, columns=["cell", "seed", "val", "test", "best", "epochs", "seconds", "status"])
        recipe = {"steps": 3, "mode": mode} | ({"teacher_hash": "t" * 64} if mode == "distilled" else {})
        write_table(table_path(name, mode, folder), AccuracyTable(frame, recipe), {})


def pairs(count: int) -> tuple[list[int], list[int]]:
    """Members of the executed order, and the representatives of their classes."""
    members = visiting_order("executed")[:count]
    return [representatives("function")[cell] for cell in members], members


def accuracies(rng: np.random.Generator, count: int, offset: float = 0, spread: float = 0) -> tuple[np.ndarray, ...]:
    """Labels of representatives, and of members: theirs plus `offset` plus a deviation of the class, and noise."""
    truth = rng.normal(70, 5, size=(2, count, 1))
    own = truth + rng.normal(0, 1, size=(2, count, SEEDS))
    other = truth + offset + rng.normal(0, spread, size=(2, count, 1)) + rng.normal(0, 1, size=(2, count, SEEDS))
    return own.round(4), other.round(4)


def test_the_numbers_are_those_of_a_one_way_analysis_of_variance(tmp_path: Path) -> None:
    own, other = accuracies(np.random.default_rng(0), 12, offset=0.5)
    first, second = pairs(12)
    write(tmp_path, "digits", first, own)
    write(tmp_path, "digits" + "-executed", second, other)
    for number, (mode, found) in enumerate(zip(MODES, compare("digits", tmp_path), strict=True)):
        differences = other[number] - own[number]
        expected = stats.f_oneway(*differences)
        assert (found.mode, found.n, found.seeds) == (mode, 12, SEEDS)
        assert found.mean == pytest.approx(differences.mean())
        assert found.p_value == pytest.approx(expected.pvalue)
        assert (found.sd / found.noise) ** 2 == pytest.approx(expected.statistic)
        assert found.sd == pytest.approx(differences.mean(1).std(ddof=1))
        assert found.spread == pytest.approx(own[number].mean(1).std(ddof=1))
        assert found.low < found.mean < found.high


def test_members_that_differ_by_more_than_their_seeds_are_told_from_those_that_do_not(tmp_path: Path) -> None:
    first, second = pairs(30)
    for name, spread in (("same", 0.0), ("other", 3.0)):
        own, other = accuracies(np.random.default_rng(1), 30, spread=spread)
        write(tmp_path / name, "digits", first, own)
        write(tmp_path / name, "digits" + "-executed", second, other)
    assert all(found.p_value > 0.01 for found in compare("digits", tmp_path / "same"))
    assert all(found.p_value < 1e-6 for found in compare("digits", tmp_path / "other"))


def test_rows_are_paired_by_class_whatever_their_order_and_others_are_left_out(tmp_path: Path) -> None:
    own, other = accuracies(np.random.default_rng(2), 10)
    first, second = pairs(10)
    write(tmp_path / "a", "digits", first, own)
    write(tmp_path / "a", "digits" + "-executed", second, other)
    strangers = [cell for cell in visiting_order() if cell not in first][:4]
    shuffled = np.random.default_rng(3).permutation(14)
    more, values = first + strangers, np.concatenate([own, 100 - own[:, :4]], axis=1)
    write(tmp_path / "b", "digits", [more[k] for k in shuffled], values[:, shuffled])
    write(tmp_path / "b", "digits" + "-executed", second[::-1], other[:, ::-1])
    for before, after in zip(compare("digits", tmp_path / "a"), compare("digits", tmp_path / "b"), strict=True):
        assert after.n == 10
        assert after.mean == pytest.approx(before.mean)
        assert after.p_value == pytest.approx(before.p_value)
        assert after.spread == pytest.approx(before.spread)


def test_too_few_classes_or_no_tables_are_bad_input(tmp_path: Path) -> None:
    own, other = accuracies(np.random.default_rng(4), 2)
    first, second = pairs(2)
    write(tmp_path, "digits", first, own)
    with pytest.raises(BadInput, match="no accuracy table"):
        compare("digits", tmp_path)
    write(tmp_path, "digits" + "-executed", second, other)
    with pytest.raises(BadInput, match="share 2 classes with 3 seeds"):
        compare("digits", tmp_path)


def test_the_command_prints_a_line_for_each_mode(tmp_path: Path, command: Command) -> None:
    own, other = accuracies(np.random.default_rng(5), 8)
    first, second = pairs(8)
    write(tmp_path, "digits", first, own)
    write(tmp_path, "digits" + "-executed", second, other)
    ended = command("analysis", "class-pairs", "--tables", tmp_path)
    assert ended.code == 0
    assert all(sum(line.split()[:1] == [mode] for line in ended.out.splitlines()) == 1 for mode in MODES)
    assert command("analysis", "class-pairs", "--tables", tmp_path / "none").code == 1


def test_representatives_that_were_chosen_count_as_those_of_the_sample_do(tmp_path: Path) -> None:
    own, other = accuracies(np.random.default_rng(3), 12)
    first, second = pairs(12)
    for folder, here in ((tmp_path / "one", slice(None)), (tmp_path / "two", slice(8))):
        folder.mkdir()
        write(folder, "digits", first[here], own[:, here])
        write(folder, "digits" + "-executed", second, other)
    write(tmp_path / "two", "digits" + "-chosen", first[6:], own[:, 6:])
    assert compare("digits", tmp_path / "two") == compare("digits", tmp_path / "one")
