"""REINFORCE: a policy over the choices at each position, improved by its own samples."""

from __future__ import annotations

import bisect
import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.choices import Choices
from search.driver import Asking
from search.methods.base import Method, require

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Reinforce(Method):
    """`Reinforce` samples pi(a) ~ exp(sum_i theta[i, a_i]) over the allowed architectures: without constraints, one
    softmax a position.

    After each sample theta += rate (r - b) grad log pi(a), where grad log pi(a) = onehot(a) - E_pi[onehot], and the
    baseline b is the moving average of r. The reward r is the share of the scores so far that this one beats, ties
    half, so that it does not depend on the unit of the score; no score is 0.
    """

    name = "reinforce"
    reference = "Williams: Simple Statistical Gradient-Following Algorithms, Machine Learning 8, 1992"

    rate: float = 0.5
    decay: float = 0.9

    def __post_init__(self) -> None:
        require(self, rate=self.rate > 0, decay=0 <= self.decay < 1)

    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ask for samples of pi, one after the other."""
        import numpy as np

        features = _onehot(space)
        theta = np.zeros(features.shape[1])
        seen: list[float] = []
        baseline = 0.5  # what a score among its equals is worth
        while True:
            logits = features @ theta
            chances = np.exp(logits - logits.max())
            chances /= chances.sum()
            # the last is cut: the sum of the chances may be a rounding below the draw
            number = min(int(np.searchsorted(np.cumsum(chances), draw.random())), len(chances) - 1)
            score = yield space.allowed[number]
            if score is None:
                reward = 0.0
            else:
                below, above = bisect.bisect_left(seen, score), bisect.bisect_right(seen, score)
                reward = (below + above) / (2 * len(seen)) if seen else baseline
                bisect.insort(seen, score)
            theta += self.rate * (reward - baseline) * (features[number] - chances @ features)
            baseline = self.decay * baseline + (1 - self.decay) * reward


def _onehot(space: Choices) -> np.ndarray:
    """[architectures, choices of all positions], 1 where an architecture has the choice."""
    import numpy as np

    starts = [0, *itertools.accumulate(space.sizes)]
    found = np.zeros((len(space.allowed), starts[-1]))
    columns = np.array(space.allowed) + np.array(starts[:-1])
    np.put_along_axis(found, columns, 1.0, axis=1)
    return found
