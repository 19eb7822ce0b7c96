"""EPE-NAS: how alike images of one class pull at their pixels (ICANN 2021, arXiv 2102.08099)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class EpeNAS(Proxy):
    """Sum over classes c of |s_c|, s_c = sum_ij log(|R_c| + k), R_c the correlations [n_c, n_c] of its rows of J.

    J as in `jacov`, k = 1e-5, all in float64; classes that the batch shows. With more than 100 classes, instead:
    sum over pairs of classes of |s_c - s_d| / (number of classes), s_c = sum_ij log(|R_c| + k) / n_c, classes of one
    image left out. A class of one image is worth log(1 + k), so a batch of few images a class says little.
    """

    name = "epe_nas"
    least = 2
    least_of_class = 2
    family = "gradient"
    needs = ("forward", "input_gradients")
    reference = Reference(
        title="EPE-NAS: Efficient Performance Estimation Without Training for Neural Architecture Search",
        year=2021,
        arxiv="2102.08099",
        bibtex="lopes2021epenas",
        reported="Spearman .772 CIFAR-10 on the valid cells (scores of NAS-Bench-Suite-Zero)",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        many = student.logits.shape[1] > 100
        rows, labels = student.input_gradients.double(), student.labels
        classes = [rows[labels == label] for label in labels.unique()]
        if many:
            classes = [rows for rows in classes if len(rows) > 1]
        if not classes:
            return 0.0
        sums = torch.stack([torch.log(torch.corrcoef(rows).abs() + 1e-5).sum() for rows in classes])
        if not many:
            return sums.abs().sum().item()
        means = sums / torch.tensor([len(rows) for rows in classes], device=sums.device)
        return (means[:, None] - means).abs().sum().item() / len(classes)
