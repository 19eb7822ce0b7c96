"""Quantities that losses compare: Gram matrices, singular vectors, gradients of the classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F

# of logits


def classifier_gradient(logits: torch.Tensor, pooled: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(softmax(logits) - onehot(labels))^T pooled / N: d CE / d weight of the last linear layer, [K, C]."""
    residual = logits.softmax(1) - F.one_hot(labels, logits.shape[1])
    return residual.T @ pooled / len(labels)


# DisWOT's metrics as they stand: proxies/diswot.py says which variant is made of which


def normalised_distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """| T/|T| - S/|S| |, Frobenius norms. NaN where a matrix is zero."""
    return (teacher / teacher.norm() - student / student.norm()).norm()


def padded(matrix: torch.Tensor, size: int) -> torch.Tensor:
    """A square matrix with rows and columns of zeros behind its own: [size, size]."""
    more = size - len(matrix)
    return F.pad(matrix, (0, more, 0, more)) if more else matrix


def outer_rows_distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """| rows(t t^T) - rows(s s^T) |^2 for each pair of rows t, s of two [M, C] matrices: [M].

    Row i of rows(t t^T) is sign(t_i) t/|t|, so this is nnz(t) + nnz(s) - 2 cos(t, s) sum_i sign(t_i) sign(s_i):
    O(C) for each pair instead of O(C^2).
    """
    agreement = (teacher.sign() * student.sign()).sum(1)
    cosine = (rows(teacher) * rows(student)).sum(1)
    return teacher.count_nonzero(dim=1) + student.count_nonzero(dim=1) - 2 * cosine * agreement


def class_weighted_maps(maps: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Grad-CAM maps before their sum over channels, as [C, N H W]: weight[label_n, c] / (H W) * A[n, c].

    Last maps [N, C, H, W], classifier weight [K, C], labels int64 [N].
    """
    of_label = weight[labels] / (maps.shape[2] * maps.shape[3])
    return (of_label[:, :, None, None] * maps).transpose(0, 1).flatten(1)


# shared


def rows(values: torch.Tensor) -> torch.Tensor:
    """Each row (the last dimension) divided by its L2 norm; zero rows stay zero, with a gradient that is finite."""
    norms = values.norm(dim=-1, keepdim=True)
    return values / norms.where(norms > 0, 1)


def gram(features: torch.Tensor) -> torch.Tensor:
    """A A^T, inner products between images [N, N], A the features or maps as [N, everything else]."""
    flat = features.flatten(1)
    return flat @ flat.T


def same_type(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two tensors, the less precise in the type of the other."""
    kind = torch.promote_types(first.dtype, second.dtype)
    return first.to(kind), second.to(kind)


def same_size(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two maps, of one type, the larger average-pooled to the height and width of the smaller."""
    first, second = same_type(first, second)
    if first.shape[2:] == second.shape[2:]:
        return first, second
    size = (min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3]))
    return F.adaptive_avg_pool2d(first, size), F.adaptive_avg_pool2d(second, size)


# by name


def radial(v: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """[N, C, C', count] from [N, C, count] and [N, C', count]."""
    return (-(v[:, :, None] - u[:, None]).square() / 8).exp()


def aligned(teacher: torch.Tensor, student: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The teacher's and the student's vectors of a stage, [N, C, count] each."""
    teacher, student = same_type(teacher, student)
    vectors_t, values = singular(teacher, count)
    vectors_t = vectors_t * torch.where(vectors_t.sum(dim=1, keepdim=True) < 0, -1, 1)
    vectors_s, _ = singular(student, count + 3)
    cosines = vectors_s.detach().mT @ vectors_t
    nearest = cosines.abs().argmax(dim=1, keepdim=True)
    signs = cosines.gather(1, nearest).sign()
    vectors_s = vectors_s.gather(2, nearest.expand(-1, vectors_s.shape[1], -1)) * signs
    factors = rows(values)[:, None]
    return vectors_t * factors, vectors_s * factors


def singular(maps: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Top right singular vectors [N, C, count] of maps as [H W, C], with their derivative, and the values [N, count].

    dv_i = sum_j v_j (v_j . dA v_i) / (l_i - l_j) for the eigenvectors v, eigenvalues l of A = maps^T maps; equal
    eigenvalues, up to 1e-4 of the largest, count for nothing, where the decomposition's own backward pass gives NaN.
    """
    channels = maps.flatten(2)
    product = channels @ channels.mT
    with torch.no_grad():
        # what is not finite stops the decomposition; it returns to the result by `change`. In float32 LAPACK now and
        # then does not converge, or answers NaN, where a map has many singular values near zero
        values, vectors = torch.linalg.eigh(product.double().nan_to_num(0, 0, 0))
        values, vectors = values.to(product.dtype), vectors.to(product.dtype)
        values, vectors = values.flip(1), vectors.flip(2)
        gaps = values[:, None, :count] - values[:, :, None]
        inverse = torch.where(gaps.abs() > 1e-4 * values[:, :1, None], 1 / gaps, 0)
        top = vectors[:, :, :count]
    change = product - product.detach()  # zero, but not its derivative
    return top + vectors @ (inverse * (vectors.mT @ change @ top)), values[:, :count].clamp(min=0).sqrt()
