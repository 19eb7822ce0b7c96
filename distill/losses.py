"""Distillation losses, one definition for training and for the proxies made from them."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def kd(teacher: torch.Tensor, student: torch.Tensor, temperature: float = 4.0) -> torch.Tensor:
    """T^2 times the batch mean of KL(softmax(teacher / T) || softmax(student / T)); logits [B, K]; nats.

    Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531, section 2.
    """
    log_teacher = F.log_softmax(teacher / temperature, dim=1)
    log_student = F.log_softmax(student / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2
