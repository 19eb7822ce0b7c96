"""Search methods on scores that are planted: what they ask for, what they find, what they never do."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadUsage
from search.choices import Architecture, Choices, whole
from search.driver import PATIENCE, Asking, Trace, drive
from search.methods.base import Method
from search.methods.evolution import Evolve, Regularised
from search.methods.registry import METHODS, choose

WHOLE = whole((5,) * 6)
QUICK = [name for name in METHODS if name != "tpe"]
BUDGETED = [name for name in METHODS if not METHODS[name].exhaustive]


def additive(seed: int) -> dict[Architecture, float]:
    """A sum of one draw a choice: its best architecture takes the best choice everywhere."""
    draw = random.Random(seed)
    table = [[draw.gauss(0, 1) for _ in range(5)] for _ in range(6)]
    return {one: sum(table[position][choice] for position, choice in enumerate(one)) for one in WHOLE.allowed}


PLANTED = additive(5)


def make(name: str) -> Method:
    if name == "tpe":
        pytest.importorskip("optuna")
    return METHODS[name]()


def run(method: Method, space: Choices, score: Callable[[Architecture], float | None], budget: int | None) -> Trace:
    return drive(method.search(space, random.Random("7")), space, score, budget)


def everything(asking: Asking, score: Callable[[Architecture], float | None]) -> list[Architecture]:
    """What a method that ends by itself asks for."""
    asked = [next(asking)]
    with contextlib.suppress(StopIteration):
        while True:
            asked.append(asking.send(score(asked[-1])))
    return asked


def near(a: Architecture, b: Architecture) -> bool:
    return sum(x != y for x, y in zip(a, b, strict=True)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_search_keeps_its_budget_and_repeats_itself(name: str) -> None:
    method = make(name)
    first = run(method, WHOLE, PLANTED.__getitem__, None if method.exhaustive else 120)
    assert len(first.scores) == 15625 if method.exhaustive else 0 < len(first.scores) <= 120
    assert first.asked <= PATIENCE * 120 or method.exhaustive
    again = run(make(name), WHOLE, PLANTED.__getitem__, None if method.exhaustive else 120)
    assert list(again.scores.items()) == list(first.scores.items())
    assert again.asked == first.asked


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS if name != "random"])
def test_what_learns_finds_the_planted_best_or_nearly(name: str) -> None:
    method = make(name)
    found = run(method, WHOLE, PLANTED.__getitem__, None if method.exhaustive else 300)
    answer = found.answer
    assert answer is not None
    place = sum(score > PLANTED[answer] for score in PLANTED.values())
    assert place <= {"rank": 0, "local": 0, "reinforce": 0}.get(name, 15)


def test_random_search_is_uniform_without_replacement() -> None:
    small = whole((3, 3))
    first = Counter(
        drive(METHODS["random"]().search(small, random.Random(seed)), small, lambda _: 0.0, 1).answer
        for seed in range(900)
    )
    assert set(first) == set(small.allowed)
    assert min(first.values()) > 60
    everything = run(METHODS["random"](), small, lambda _: 0.0, 99)
    assert (everything.asked, set(everything.scores)) == (9, set(small.allowed))


def test_evolution_with_one_member_climbs_as_computed_by_hand() -> None:
    """Two architectures, (1,) the better. Whatever comes first, once (1,) is in, its child (0,) is the lowest and goes.

    A search that removes the oldest member, or answers the latest, would swing between the two.
    """
    for seed in range(8):
        asking = Evolve(population=1, top_k=1, sample_ratio=1.0, iterations=5).search(whole((2,)), random.Random(seed))
        asked = everything(asking, lambda one: float(one[0]))
        start = asked[0]
        assert asked == [start] + ([(0,)] * 5 if start == (1,) else [(1,)] + [(0,)] * 4)


@pytest.mark.parametrize("top_k", [1, 3])
def test_parents_are_among_the_top_k_best_and_the_lowest_leaves(top_k: int) -> None:
    """Followed with a population of the test's own. The sample is all of it, so parents are its `top_k` best."""
    size, used = 12, Counter[int]()
    asking = Evolve(population=size, top_k=top_k, sample_ratio=1.0).search(WHOLE, random.Random(3))
    population: list[tuple[float, Architecture]] = []
    asked = next(asking)
    for _ in range(size):
        population.append((PLANTED[asked], asked))
        asked = asking.send(PLANTED[asked])
    for _ in range(250):
        population.sort(reverse=True)
        parents = [place for place, (_, member) in enumerate(population[:top_k]) if near(member, asked)]
        assert parents
        used.update(parents[:1])
        population.append((PLANTED[asked], asked))
        population.remove(min(population))
        asked = asking.send(PLANTED[asked])
    assert set(used) == set(range(top_k))


def test_a_sample_of_part_of_the_population_leaves_its_best_out_now_and_then() -> None:
    def share(ratio: float) -> float:
        asking = Evolve(population=20, top_k=1, sample_ratio=ratio).search(WHOLE, random.Random(4))
        best: Architecture = next(asking)
        asked, hits, tries = best, 0, 400
        for number in range(20 + tries):
            if number >= 20:
                hits += near(best, asked)
            else:
                best = max(best, asked, key=PLANTED.__getitem__)
            reply = PLANTED[asked] if number < 20 else None  # no child joins
            asked = asking.send(reply)
        return hits / tries

    assert share(1.0) == 1.0
    assert share(0.5) == pytest.approx(0.5, abs=0.09)  # 3.6 standard errors


def test_a_child_outside_the_constraints_is_dropped_and_counts_as_an_iteration() -> None:
    space = whole((2, 2), lambda architecture: architecture != (1, 1))
    scores = {(0, 0): 0.0, (0, 1): 1.0, (1, 0): 2.0}
    asking = Evolve(population=2, iterations=40).search(space, random.Random(0))
    asked = everything(asking, scores.get)
    assert len(asked) == 2 + 40
    assert (1, 1) in asked


def test_regularised_evolution_forgets_even_the_best() -> None:
    """One member: the child takes its place whatever it is, so the search swings between the two there are."""
    asking = Regularised(population=1, sample=1).search(whole((2,)), random.Random(0))
    asked = [next(asking)]
    for _ in range(6):
        asked.append(asking.send(float(asked[-1][0])))
    assert asked == [asked[0], *[(1 - asked[0][0],), asked[0]] * 3]


def test_regularised_evolution_takes_its_parents_from_the_latest_alone() -> None:
    """A sample this large has the best member in it, so every child is near the best of the last three."""
    asking = Regularised(population=3, sample=200).search(WHOLE, random.Random(1))
    members = [next(asking)]
    for number in range(60):
        child = asking.send(PLANTED[members[-1]])
        assert number < 2 or near(max(members[-3:], key=PLANTED.__getitem__), child)
        members.append(child)


def test_local_search_stays_where_no_neighbour_is_better_and_starts_again() -> None:
    def ridge(one: Architecture) -> float:
        return -abs(one[0] - 2) - abs(one[1] - 2) + (6 if one == (4, 4) else 0)  # (4, 4) is hidden behind worse ones

    space = whole((5, 5))
    trace = run(METHODS["local"](), space, ridge, 25)
    first, *_ = trace.scores
    assert first in space
    assert trace.answer == (4, 4)
    asking = METHODS["local"]().search(space, random.Random(1))
    start = next(asking)
    asked = [start]
    for _ in range(8):
        asked.append(asking.send(0.0))  # no neighbour is better
    assert sorted(asked[1:]) == sorted(space.neighbours(start))
    assert asking.send(0.0) in space  # another start


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_what_has_no_score_is_counted_and_never_the_answer(name: str) -> None:
    def score(one: Architecture) -> float | None:
        return None if one[0] < 3 else PLANTED[one]

    method = make(name)
    found = run(method, WHOLE, score, None if method.exhaustive else 80)
    assert found.answer is not None
    assert found.answer[0] >= 3
    assert found.failed == sum(one[0] < 3 for one in found.scores) > 0


@pytest.mark.parametrize("name", METHODS)
def test_a_search_without_any_score_ends_without_an_answer(name: str) -> None:
    small = whole((3, 3))
    method = make(name)
    found = run(method, small, lambda _: None, None if method.exhaustive else 5)
    assert found.answer is None
    assert found.steps == []
    assert found.failed == len(found.scores)


@pytest.mark.parametrize("name", BUDGETED)
def test_equal_scores_are_no_improvement(name: str) -> None:
    found = run(make(name), whole((3, 3)), lambda _: 1.5, 6)
    assert [step.evaluation for step in found.steps] == [1]


SMALL = whole((3, 3, 3))


@pytest.mark.slow
@settings(max_examples=60)
@given(
    name=st.sampled_from(QUICK),
    allowed=st.sets(st.sampled_from(SMALL.allowed), min_size=1),
    scores=st.dictionaries(st.sampled_from(SMALL.allowed), st.one_of(st.none(), st.floats(-1e9, 1e9))),
    budget=st.integers(1, 30),
)
def test_no_search_evaluates_what_the_constraints_forbid_or_more_than_its_budget(
    name: str, allowed: set[Architecture], scores: dict[Architecture, float | None], budget: int
) -> None:
    space = whole(SMALL.sizes, allowed.__contains__)
    evaluated: list[Architecture] = []

    def score(one: Architecture) -> float | None:
        evaluated.append(one)
        return scores.get(one, 0.25)

    method = METHODS[name]()
    found = run(method, space, score, None if method.exhaustive else budget)
    assert len(evaluated) == len(set(evaluated)) == len(found.scores)
    assert set(evaluated) <= allowed
    assert method.exhaustive or len(evaluated) <= budget
    known = [(value, -number, one) for number, (one, value) in enumerate(found.scores.items()) if value is not None]
    assert found.answer == (max(known)[2] if known else None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evolv", "unknown search method 'evolv': did you mean 'evolve'?"),
        ("evolve:poulation=3", "unknown field of evolve 'poulation': did you mean 'population'"),
        ("evolve:population=few", "population takes int, not 'few'"),
        ("evolve:population=0", "'evolve:population=0': population 0 is out of range"),
        ("evolve:sample_ratio=1.5", "sample_ratio 1.5 is out of range"),
        ("regularised:sample=0", "sample 0 is out of range"),
        ("reinforce:decay=1", "decay 1.0 is out of range"),
        (",", "no search method named"),
    ],
)
def test_a_method_that_is_none_is_told_so(text: str, message: str) -> None:
    with pytest.raises(BadUsage) as told:
        choose(text)
    assert message in str(told.value)


def test_methods_are_named_with_their_fields_once_each() -> None:
    chosen = choose("evolve, evolve:top_k=5,evolve:top_k=2,local")
    assert [method.label for method in chosen] == ["evolve", "evolve:top_k=2", "local"]
    assert chosen[1] == Evolve(top_k=2)
