"""Ask for what a prediction that learns from all answers so far expects most of."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.choices import Choices
from search.driver import Asking
from search.learners import LEARNERS, choice_features, expected_improvement, learner, normal_scores, standardised
from search.methods.base import Method, require

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Predict(Method):
    """`Predict` learns from `startup` random architectures, then again after every `batch` more: those of which most
    improvement is expected. Features are the choices, one-hot and counted; one of each function is asked for.
    """

    name = "predict"
    reference = "White, Neiswanger, Savani: BANANAS, AAAI 2021, with choices as features and expected improvement"

    startup: int = 10
    batch: int = 5
    learner: str = "gp"

    def __post_init__(self) -> None:
        require(self, startup=self.startup > 0, batch=self.batch > 0)
        learner(self.learner)

    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ends by itself when every function was asked for."""
        left = space.one_of_each()
        features = standardised(choice_features(space.sizes, left))
        waiting = dict.fromkeys(draw.sample(range(len(left)), len(left)))
        known: dict[int, float] = {}
        wanted = list(waiting)[: self.startup]
        while wanted:
            for number in wanted:
                del waiting[number]
                score = yield left[number]
                if score is not None:
                    known[number] = score
            wanted = self._order(features, known, list(waiting))[: self.batch]

    def _order(self, features: np.ndarray, known: dict[int, float], waiting: list[int]) -> list[int]:
        """Those waiting by expected improvement, most first; as they wait where nothing is known."""
        import numpy as np

        if not known or not waiting:
            return waiting
        targets = normal_scores(np.array([*known.values()]))
        gains = expected_improvement(
            LEARNERS[self.learner](features[[*known]], targets, features[waiting]), targets.max()
        )
        return [waiting[place] for place in np.argsort(-gains, kind="stable")]
