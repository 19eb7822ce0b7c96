"""A global pooling is one, however it is spelled: equal networks have equal scores."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import diswot_bench as db

FLAT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "rows, then columns": lambda x: x.mean(3).mean(2),
    "rows, then columns, kept": lambda x: x.mean(2, True).mean(3, True).flatten(1),
    "a sum": lambda x: (x.sum((2, 3), True) / (x.shape[2] * x.shape[3])).flatten(1),
    "a map again": lambda x: x.mean((2, 3))[:, :, None, None].flatten(1),
}
MAP: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "rows, then columns": lambda x: x.mean(2, True).mean(3, True),
    "indices": lambda x: x.mean((2, 3))[:, :, None, None],
    "unsqueeze": lambda x: x.mean((2, 3)).unsqueeze(-1).unsqueeze(-1),
    "unflatten": lambda x: x.mean((2, 3)).unflatten(1, (12, 1, 1)),
    "a sum": lambda x: x.sum((2, 3), True) / (x.shape[2] * x.shape[3]),
}


class Pooled(nn.Module):
    def __init__(self, pool: Callable[[torch.Tensor], torch.Tensor], head: nn.Module) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 12, 3, 2, padding=1), nn.BatchNorm2d(12), nn.ReLU())
        self.pool, self.head = pool, head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.pool(self.second(self.first(images)))).flatten(1)
        return found


CASES = [pytest.param(pool, False, id=f"linear, {name}") for name, pool in FLAT.items()] + [
    pytest.param(pool, True, id=f"1x1, {name}") for name, pool in MAP.items()
]


@pytest.mark.slow
@pytest.mark.parametrize(("pool", "by_conv"), CASES)
def test_scores_of_maps_are_those_of_the_plain_spelling(
    pool: Callable[[torch.Tensor], torch.Tensor], by_conv: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(8, 3, 16, 16, generator=generator), torch.arange(8) % 4
    plain = Pooled(
        lambda x: F.adaptive_avg_pool2d(x, 1) if by_conv else x.mean((2, 3)),
        nn.Conv2d(12, 4, 1) if by_conv else nn.Linear(12, 4),
    )
    other = Pooled(pool, nn.Conv2d(12, 4, 1) if by_conv else nn.Linear(12, 4))
    teacher = Pooled(lambda x: x.mean((2, 3)), nn.Linear(12, 4))
    other.load_state_dict(plain.state_dict())
    found = db.score_all(
        "zen,diswot_relation,at,ickd,fisher", {"plain": plain, "other": other}, images, labels, teacher=teacher
    )
    scores = found["score"].unstack(0)
    assert scores["plain"].notna().all()
    assert scores["other"].to_dict() == pytest.approx(scores["plain"].to_dict(), rel=1e-5, abs=1e-9)
