import random

from search.methods.halves import Halves

from search.choices import whole
from search.driver import drive


def test_it_climbs_to_the_top_of_a_sum() -> None:
    trace = drive(Halves(draws=4).search(space := whole((4, 4, 4)), random.Random(1)), space, sum, budget=None)
    assert trace.answer == (3, 3, 3)
    assert trace.outside == trace.failed == 0


def test_it_ends_by_itself_having_seen_everything() -> None:
    space = whole((3, 3), lambda architecture: architecture != (2, 2))
    trace = drive(Halves().search(space, random.Random(0)), space, sum, budget=None)
    assert len(trace.scores) == 8
