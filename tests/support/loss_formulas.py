"""The distillation losses in NumPy, written out with loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

N, K = 5, 4
LABELS = torch.tensor([0, 2, 2, 1, 0])  # class 3 is absent
WIDTHS = (5, 6, 7)
SIZES = (4, 4, 2)
Arrays = Any


def logits(seed: int, *shape: int, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def unit(vector: Arrays) -> Arrays:
    length = math.sqrt(sum(float(x) ** 2 for x in vector.ravel()))
    return vector / length if length > 0 else vector


def huber(x: float) -> float:
    return x * x / 2 if abs(x) <= 1 else abs(x) - 0.5


def divergence(p: Arrays, q: Arrays) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def numpy_kd(t: Arrays, s: Arrays) -> float:
    p, q = softmax(t / 4), softmax(s / 4)
    return 16 * sum(divergence(p[n], q[n]) for n in range(N)) / N


def numpy_dkd(t: Arrays, s: Arrays, labels: Arrays, alpha: float = 1, beta: float = 8, T: float = 4) -> float:
    total = 0.0
    for n, label in enumerate(labels):
        p, q = softmax(t[n : n + 1] / T)[0], softmax(s[n : n + 1] / T)[0]
        total += alpha * divergence([p[label], 1 - p[label]], [q[label], 1 - q[label]])
        rest_p, rest_q = np.delete(p, label), np.delete(q, label)
        total += beta * divergence(rest_p / rest_p.sum(), rest_q / rest_q.sum())
    return T * T * total / len(labels)


def numpy_fitnet(t: Arrays, s: Arrays) -> float:
    return sum((a - b) ** 2 for a, b in zip(t.ravel(), s.ravel(), strict=True)) / t.size


def numpy_at(t: Arrays, s: Arrays) -> float:
    total = 0.0
    for a, b in zip(t, s, strict=True):
        for n in range(N):
            q = [unit(sum(channel**2 for channel in maps[n]) / len(maps[n])) for maps in (a, b)]
            total += float(((q[0] - q[1]) ** 2).sum()) / (N * q[0].size)
    return total


def numpy_sp(t: Arrays, s: Arrays) -> float:
    g = [np.einsum("nchw,mchw->nm", maps, maps) for maps in (t, s)]
    return sum(float(((unit(g[0][n]) - unit(g[1][n])) ** 2).sum()) for n in range(len(t))) / len(t) ** 2


def numpy_rkd_distance(t: Arrays, s: Arrays) -> float:
    d = [np.array([[np.linalg.norm(x - y) for y in features] for x in features]) for features in (t, s)]
    d = [each / (each.sum() / (N * N - N)) for each in d]
    return sum(huber(d[0][i, j] - d[1][i, j]) for i in range(N) for j in range(N)) / N**2


def numpy_rkd_angle(t: Arrays, s: Arrays) -> float:
    def cosine(x: Arrays, i: int, j: int, k: int) -> float:
        return float(unit(x[j] - x[i]) @ unit(x[k] - x[i]))

    triplets = [(i, j, k) for i in range(N) for j in range(N) for k in range(N)]
    return sum(huber(cosine(t, *triplet) - cosine(s, *triplet)) for triplet in triplets) / N**3


def numpy_rkd(t: Arrays, s: Arrays) -> float:
    return 25 * numpy_rkd_distance(t, s) + 50 * numpy_rkd_angle(t, s)


def numpy_pkt(t: Arrays, s: Arrays) -> float:
    total = 0.0
    for i in range(N):
        q = [np.array([(1 + unit(x[i]) @ unit(y)) / 2 for y in x]) for x in (t, s)]
        q = [each / each.sum() for each in q]
        total += sum(a * math.log((a + 1e-7) / (b + 1e-7)) for a, b in zip(*q, strict=True))
    return total / N**2


def numpy_cc(t: Arrays, s: Arrays) -> float:
    return sum(abs(t[n] - s[n]) @ abs(t[n + 1] - s[n + 1]) for n in range(N - 1)) / (N - 1)


def numpy_nst(t: Arrays, s: Arrays) -> float:
    total = 0.0
    for a, b in zip(t, s, strict=True):
        x, y = ([[unit(channel).ravel() for channel in image] for image in maps] for maps in (a, b))
        for sign, left, right in ((1, x, x), (1, y, y), (-2, x, y)):
            pairs = [(u @ v) ** 2 for n in range(N) for u in left[n] for v in right[n]]
            total += sign * sum(pairs) / len(pairs)
    return total


def numpy_ickd(t: Arrays, s: Arrays) -> float:
    total = 0.0
    for n in range(N):
        for c in range(t.shape[1]):
            row = [unit(np.array([(maps[n, c] * maps[n, d]).sum() for d in range(t.shape[1])])) for maps in (t, s)]
            total += float(((row[0] - row[1]) ** 2).sum())
    return total / (N * t.shape[1])


def numpy_kdsvd(t: Arrays, s: Arrays, count: int = 1) -> float:
    total = 0.0
    for n in range(N):
        before: list[Arrays] = []
        for a, b in zip(t, s, strict=True):
            _, values, right_t = np.linalg.svd(a[n].reshape(len(a[n]), -1).T)
            right_s = np.linalg.svd(b[n].reshape(len(b[n]), -1).T)[2]
            vectors = []
            for i in range(count):
                v = right_t[i] * (1 if right_t[i].sum() >= 0 else -1)
                w = max(right_s[: count + 3], key=lambda candidate: abs(candidate @ v))
                factor = values[i] / math.sqrt((values[:count] ** 2).sum())
                vectors.append((factor * v, factor * w * np.sign(w @ v)))
            for (v, w), (v_0, w_0) in zip(vectors, before, strict=False):
                for i in range(len(v)):
                    for j in range(len(v_0)):
                        difference = math.exp(-((v[i] - v_0[j]) ** 2) / 8) - math.exp(-((w[i] - w_0[j]) ** 2) / 8)
                        total += difference**2
            before = vectors
    return total / N


def numpy_vid(t: Arrays, mean: Arrays, log_variance: Arrays) -> float:
    total = 0.0
    for a, m, v in zip(t, mean, log_variance, strict=True):
        for c in range(a.shape[1]):
            sigma = math.exp(v[0, c, 0, 0] / 2)
            density = np.exp(-(((a[:, c] - m[:, c]) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))
            total += float((-np.log(density) - math.log(2 * math.pi) / 2).sum()) / a.size
    return total


def numpy_semantic(t: Arrays, h_t: Arrays, s: Arrays, h_s: Arrays, labels: Arrays) -> float:
    total = 0.0
    for k in sorted(set(labels.tolist())):
        g = [
            sum((softmax(z)[n, k] - (labels[n] == k)) * h[n] for n in range(len(labels)))
            for z, h in ((t, h_t), (s, h_s))
        ]
        total += 1 - unit(g[0]) @ unit(g[1])
    return total / len(set(labels.tolist()))


def as_numpy(taken: Any) -> Any:
    return [as_numpy(each) for each in taken] if isinstance(taken, tuple | list) else taken.detach().numpy()


WRITTEN_OUT: dict[str, Callable[..., float]] = {
    "kd": numpy_kd,
    "dkd": numpy_dkd,
    "fitnet": numpy_fitnet,
    "at": numpy_at,
    "sp": numpy_sp,
    "rkd": numpy_rkd,
    "pkt": numpy_pkt,
    "cc": numpy_cc,
    "nst": numpy_nst,
    "ickd": numpy_ickd,
    "kdsvd": numpy_kdsvd,
    "vid": numpy_vid,
    "semantic": numpy_semantic,
    "relation": numpy_sp,
}
