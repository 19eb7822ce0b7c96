"""What predicts an architecture's label from a few that are known: regressors of scikit-learn, and their doubt.

Rows are architectures, columns features. Labels are learned as normal scores of their ranks: one network that learned
nothing is a last place, and no distance that all others would be fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from common.errors import unknown

if TYPE_CHECKING:
    import numpy as np

    from search.choices import Architecture

SEED = 201
TREES, STAGES = 20, 30
"""Few, since a study grows tens of thousands of forests."""
NOISE = 0.1
"""Variance of a label's noise beside its own, which is 1: what the Gaussian process is told."""


class Prediction(NamedTuple):
    """What a learner expects of m architectures, and its standard deviation, both [m], in normal scores."""

    mean: np.ndarray
    sd: np.ndarray


Learner = Callable[["np.ndarray", "np.ndarray", "np.ndarray"], Prediction]
"""Features [k, d] of the known, their targets [k] and the features [m, d] of others give what is expected of these."""


def ridge(known: np.ndarray, targets: np.ndarray, others: np.ndarray) -> Prediction:
    """Linear regression whose penalty is the most probable one (Bayesian ridge, MacKay 1992)."""
    from sklearn.linear_model import BayesianRidge

    return Prediction(*BayesianRidge().fit(known, targets).predict(others, return_std=True))


def forest(known: np.ndarray, targets: np.ndarray, others: np.ndarray) -> Prediction:
    """The mean of `TREES` trees that look at some features, sqrt(d), at each split; their spread is its doubt."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    grown = RandomForestRegressor(TREES, max_features="sqrt", random_state=SEED).fit(known, targets)
    rows = np.ascontiguousarray(others, dtype=np.float32)  # what a tree would make of them, each anew
    each = np.array([tree.predict(rows, check_input=False) for tree in grown.estimators_])
    return Prediction(each.mean(axis=0), each.std(axis=0))


def boosting(known: np.ndarray, targets: np.ndarray, others: np.ndarray) -> Prediction:
    """The sum of `STAGES` trees of depth 3, each fitted to what those before it leave; it is equally sure of all."""
    import numpy as np
    from sklearn.ensemble import GradientBoostingRegressor

    grown = GradientBoostingRegressor(
        n_estimators=STAGES, learning_rate=0.2, max_features="sqrt", subsample=0.8, random_state=SEED
    )
    return Prediction(grown.fit(known, targets).predict(others), np.ones(len(others)))


def gp(known: np.ndarray, targets: np.ndarray, others: np.ndarray) -> Prediction:
    """A Gaussian process with covariance exp(-|x - y|^2 / (2 d)) of d standardised features, and `NOISE`.

    Nothing of it is fitted, since four labels cannot tell a length.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    kernel = RBF(math.sqrt(known.shape[1]))
    process = GaussianProcessRegressor(kernel, alpha=NOISE, optimizer=None).fit(known, targets)
    return Prediction(*process.predict(others, return_std=True))


LEARNERS: dict[str, Learner] = {"ridge": ridge, "forest": forest, "boosting": boosting, "gp": gp}


def learner(name: str) -> Learner:
    """A learner by name. Raises BadUsage for an unknown one."""
    if name not in LEARNERS:
        raise unknown("learner", name, LEARNERS)
    return LEARNERS[name]


def normal_scores(labels: np.ndarray) -> np.ndarray:
    """The normal quantile of r / (k + 1), r the rank of a label among the k, ties sharing their mean rank."""
    from scipy import stats

    scores: np.ndarray = stats.norm.ppf(stats.rankdata(labels) / (len(labels) + 1))
    return scores


def standardised(features: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1, without those that are constant."""
    moving = features[:, features.std(axis=0) > 0]
    scaled: np.ndarray = (moving - moving.mean(axis=0)) / moving.std(axis=0)
    return scaled


def expected_improvement(found: Prediction, best: float) -> np.ndarray:
    """E max(y - best, 0) of y normal with the predicted mean and deviation (Jones, Schonlau & Welch 1998)."""
    import numpy as np
    from scipy import stats

    sd = np.maximum(found.sd, 1e-12)
    z = (found.mean - best) / sd
    gain: np.ndarray = sd * (z * stats.norm.cdf(z) + stats.norm.pdf(z))
    return gain


def choice_features(sizes: Sequence[int], architectures: Sequence[Architecture]) -> np.ndarray:
    """One-hot choices by position, then how often each choice is taken where all positions have the same, [m, d]."""
    import numpy as np

    chosen = np.array(architectures)
    hot = [chosen[:, position, None] == np.arange(size) for position, size in enumerate(sizes)]
    counts = [sum(hot[1:], start=hot[0].astype(float))] if len(set(sizes)) == 1 else []
    return np.concatenate([*hot, *counts], axis=1).astype(float)
