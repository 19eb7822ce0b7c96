"""Formulas as text and as trees, and what they make of statistics, beside a rendering of their text by Python."""

from __future__ import annotations

import math
import statistics as plain
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadUsage
from search.formula.expression import Formula, made, parse
from search.formula.functions import FITNESS, Functions, Kendall, Spearman, mean_values
from search.formula.names import LEAVES, STUDENT, TEACHER
from search.formula.operations import ARITY, BINARY, COMMUTATIVE, UNARY

LEAF = st.sampled_from(LEAVES).map(Formula)
FORMULAS = st.recursive(
    LEAF,
    lambda parts: st.one_of(
        st.builds(made, st.sampled_from([*UNARY]), parts), st.builds(made, st.sampled_from([*BINARY]), parts, parts)
    ),
    max_leaves=12,
)


def functions(count: int = 7, seed: int = 0, positions: int = 5) -> Functions:
    draw = np.random.default_rng(seed)
    students = {name: draw.normal(1, 1, (count, positions)) for name in STUDENT}
    return Functions(tuple(range(count)), students | {name: draw.normal(1, 1, (1, positions)) for name in TEACHER})


@pytest.mark.slow
@given(FORMULAS)
def test_a_formula_that_is_printed_and_read_back_is_the_same(formula: Formula) -> None:
    assert parse(str(formula)) == formula
    assert parse(f" {formula} ".replace(",", " ,  ")) == formula


@pytest.mark.slow
@given(FORMULAS, FORMULAS, st.sampled_from(sorted(COMMUTATIVE)))
def test_the_order_of_parts_is_none_where_it_does_not_matter(one: Formula, other: Formula, name: str) -> None:
    assert made(name, one, other) == made(name, other, one)
    assert parse(f"{name}({other}, {one})") == parse(f"{name}({one}, {other})")


@pytest.mark.slow
@given(FORMULAS)
def test_size_and_depth_are_those_of_the_text(formula: Formula) -> None:
    text = str(formula)
    assert formula.size == text.count("(") + sum(text.count(f"{kind}.") for kind in ("student", "both", "teacher"))
    open_, deepest = 0, 0
    for character in text:
        open_ += {"(": 1, ")": -1}.get(character, 0)
        deepest = max(deepest, open_)
    assert formula.depth == deepest


@pytest.mark.slow
@given(FORMULAS, FORMULAS, st.randoms(use_true_random=False))
def test_a_part_is_replaced_where_it_stands(formula: Formula, other: Formula, draw: object) -> None:
    for way, part in formula.subtrees():
        assert formula.with_part(way, part) == formula
        assert str(other) in str(formula.with_part(way, other))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "it ends where a statistic or an operation is expected"),
        ("add(student.map_std", "it ends where ',' is expected"),
        ("add(student.map_std)", r"'\)' where ',' is expected"),
        ("log(student.map_std, both.cka)", r"',' where '\)' is expected"),
        ("log student.map_std", r"'student.map_std' where '\(' is expected"),
        ("student.map_std both.cka", "'both.cka' behind its end"),
        (
            "student.map_sdt",
            "operation of a formula 'student.map_sdt': did you mean 'student.map_std'",
        ),
        ("lgo(both.cka)", "did you mean 'log'"),
        ("__import__('os')", "unknown statistic or operation of a formula '__import__'"),
        ("log(" * 30 + "both.cka" + ")" * 30, "more than 20 operations in a row"),
        ("x" * 3000, "a formula of 3,000 characters: at most 2,000 are read"),
    ],
)
def test_a_text_that_is_no_formula_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(BadUsage, match=wrong):
        parse(text)


# -- another rendering: the text is Python, of functions on lists of numbers, one function of the space at a time

List = list[float]


def each(one: Callable[[float], float]) -> Callable[[List], List]:
    return lambda x: [one(value) for value in x]


def both(one: Callable[[float, float], float]) -> Callable[[List, List], List]:
    def apply(x: List, y: List) -> List:
        length = max(len(x), len(y))
        pairs = zip(x * length if len(x) == 1 else x, y * length if len(y) == 1 else y, strict=True)
        return [one(a, b) for a, b in pairs]

    return apply


def cosine(x: List, y: List) -> List:
    pairs = both(lambda a, b: a * b)
    length = max(len(x), len(y))
    lengths = (math.sqrt(sum(value**2 for value in (one * length if len(one) == 1 else one))) for one in (x, y))
    return [sum(pairs(x, y)) / math.prod(lengths)]


RENDERED = {
    "neg": each(lambda x: -x),
    "abs": each(abs),
    "log": each(lambda x: math.log(abs(x) + 1e-9)),
    "sqrt": each(lambda x: math.copysign(math.sqrt(abs(x)), x)),
    "square": each(lambda x: x * x),
    "inv": each(lambda x: 1 / x),
    "tanh": each(math.tanh),
    "share": lambda x: [value / sum(map(abs, x)) for value in x],
    "sum": lambda x: [math.fsum(x)],
    "max": lambda x: [max(x)],
    "min": lambda x: [min(x)],
    "std": lambda x: [plain.pstdev(x)],
    "first": lambda x: x[:1],
    "last": lambda x: x[-1:],
    "growth": lambda x: [min((b - a for a, b in pairwise(x)), default=0.0)],
    "add": both(lambda a, b: a + b),
    "sub": both(lambda a, b: a - b),
    "mul": both(lambda a, b: a * b),
    "div": both(lambda a, b: a / b),
    "larger": both(max),
    "smaller": both(min),
    "distance": both(lambda a, b: (a - b) ** 2),
    "cosine": cosine,
}


class _Kind:
    """`student.map_std` as Python reads it."""

    def __init__(self, **lists: List) -> None:
        self.__dict__.update(lists)


def rendered(text: str, given: Functions, number: int) -> float:
    names: dict[str, dict[str, List]] = {}
    for name, table in given.statistics.items():
        kind, _, statistic = name.partition(".")
        names.setdefault(kind, {})[statistic] = table[number if len(table) > 1 else 0].tolist()
    values = eval(text, {"__builtins__": {}, **RENDERED}, {kind: _Kind(**lists) for kind, lists in names.items()})
    return math.fsum(values) / len(values)


@pytest.mark.slow
@given(FORMULAS, st.integers(0, 100))
def test_values_are_those_of_plain_python(formula: Formula, seed: int) -> None:
    given_ = functions(3, seed)
    found = given_.values(formula)
    assert found.dtype == np.float32
    for number in range(3):
        try:
            expected = rendered(str(formula), given_, number)
        except (ZeroDivisionError, OverflowError):
            continue
        with np.errstate(over="ignore"):
            expected32 = float(np.float32(expected))
        if math.isfinite(expected32) and math.isfinite(found[number]):
            scale = max(1.0, abs(expected))
            assert abs(found[number] - expected) < 1e-3 * scale or _cancels(formula)


def _cancels(formula: Formula) -> bool:
    """Whether rounding may show: what divides by, or takes the logarithm of, a difference of nearly equal numbers."""
    text = str(formula)
    return any(f"{name}(" in text for name in ("inv", "div", "log", "share", "cosine"))


@pytest.mark.parametrize("name", ARITY)
def test_every_operation_is_that_of_plain_python(name: str) -> None:
    given_ = functions(20)
    leaves = [Formula("student.map_std"), Formula("student.weight_l2"), Formula("teacher.map_std")]
    for formula in (made(name, *leaves[: ARITY[name]]), made(name, *leaves[1 : 1 + ARITY[name]])):
        found = given_.values(formula)
        for number in range(20):
            assert found[number] == pytest.approx(rendered(str(formula), given_, number), rel=1e-5, abs=1e-6)


def test_of_several_seeds_the_mean_counts_and_gaps_stay_gaps() -> None:
    seeds = [functions(5, seed) for seed in (1, 2)]
    formula = parse("inv(student.map_std)")
    found = mean_values(seeds, formula)
    np.testing.assert_allclose(found, (seeds[0].values(formula) + seeds[1].values(formula)) / 2, rtol=1e-6)
    seeds[1].statistics["student.map_std"][3, 0] = 0.0
    assert np.isfinite(mean_values(seeds, formula)).tolist() == [True, True, True, False, True]


def test_fitness_is_that_of_scipy() -> None:
    from scipy import stats

    draw = np.random.default_rng(1)
    values, labels = draw.integers(0, 9, 40).astype(float), draw.integers(0, 9, 40).astype(float)
    assert Spearman(labels)(values) == pytest.approx(stats.spearmanr(values, labels).statistic, abs=1e-12)
    assert Kendall(labels)(values) == pytest.approx(stats.kendalltau(values, labels).statistic, abs=1e-12)
    assert all(math.isnan(fitness(labels)(values * 0)) for fitness in FITNESS.values())
