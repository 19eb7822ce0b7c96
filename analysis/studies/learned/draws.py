"""Which k architectures get a label: at random, spread along a score, or one of each cluster."""

from __future__ import annotations

import numpy as np

SEED = 201

CHOICES = ("random", "params", "proxy", "k-means")
"""`params` and `proxy`: one of each of k equal parts of the order by parameters, and by the best proxy."""


def chosen(how: str, k: int, draw: int, along: np.ndarray | None, features: np.ndarray) -> np.ndarray:
    """The numbers [k] of those that get a label, of as many as have `features` [n, d], in one draw.

    `along` [n] is the score that they are spread along. Chosen at random, more are the same and further ones.
    """
    rng = np.random.default_rng([SEED, draw])
    order = rng.permutation(len(features))
    if how == "random":
        return order[:k]
    if how == "k-means":
        return _centres(features, k, draw)
    assert along is not None
    spread = order[np.argsort(along[order], kind="stable")]  # ties in random order
    return np.array([rng.choice(part) for part in np.array_split(spread, k)])


def _centres(features: np.ndarray, k: int, draw: int) -> np.ndarray:
    """Of each cluster the member that is nearest to its centre."""
    from sklearn.cluster import KMeans

    found = KMeans(k, n_init=1, random_state=draw).fit(features)
    distances = found.transform(features)
    distances[found.labels_[:, None] != np.arange(k)] = np.inf
    nearest: np.ndarray = distances.argmin(axis=0)
    return nearest
