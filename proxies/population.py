"""Scores of a cell among others: ranks and votes over stored columns, computed after the run.

Notation: N cells that have a score of every part;
r_p the rank of a cell by part p among them, 1 the worst, ties sharing their mean rank.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common.errors import BadUsage
from proxies.az_nas import AZ_NAS
from proxies.base import Population
from proxies.diswot import REFERENCE as DISWOT
from proxies.grad_norm import GradNorm
from proxies.te_nas import NTK
from proxies.vkdnw import VKDNW

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def rank_sum(columns: pd.DataFrame) -> pd.Series:
    """sum_p r_p / N"""
    return columns.rank().sum(axis=1) / len(columns)


def log_rank_sum(columns: pd.DataFrame) -> pd.Series:
    """sum_p log(r_p / N): a cell that is bad in one respect is not saved by the others."""
    import numpy as np

    return np.log(columns.rank() / len(columns)).sum(axis=1)


@dataclass(frozen=True)
class DisWOTRank(Population):
    """r of M_s plus r of M_r, over N: both terms count, which in their plain sum only the semantic one does.

    Ours; docs/decisions/diswot.md shows that |M_r| is about a thousandth of |M_s|.
    """

    name = "diswot_rank"
    reference = replace(DISWOT, reported="")

    variant: str = "readme"

    @property
    def parts(self) -> tuple[str, ...]:
        """The two terms."""
        field = "" if self.variant == "readme" else f":variant={self.variant}"
        return f"diswot_semantic{field}", f"diswot_relation{field}"

    def combine(self, columns: pd.DataFrame) -> pd.Series:
        """`rank_sum`"""
        return rank_sum(columns)


@dataclass(frozen=True)
class AZNAS(Population):
    """sum_p log(r_p / N) over expressivity, progressivity, trainability and complexity."""

    name = "az_nas"
    reference = replace(
        AZ_NAS, reported="Spearman .892 CIFAR-10, .880 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)"
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """The four components."""
        return "az_expressivity", "az_progressivity", "az_trainability", "az_complexity"

    def combine(self, columns: pd.DataFrame) -> pd.Series:
        """`log_rank_sum`"""
        return log_rank_sum(columns)


@dataclass(frozen=True)
class TENAS(Population):
    """r of the negative condition number of the NTK plus r of the number of linear regions, over N."""

    name = "te_nas"
    reference = replace(
        NTK.reference,
        reported="Spearman .722 CIFAR-10, .723 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """The two components."""
        return "ntk", "linear_regions"

    def combine(self, columns: pd.DataFrame) -> pd.Series:
        """`rank_sum`"""
        return rank_sum(columns)


@dataclass(frozen=True)
class VkdnwAggregate(Population):
    """sum_p log(r_p / N) over vkdnw, jacov, AZ-NAS's expressivity and trainability, and FLOPs."""

    name = "vkdnw_aggregate"
    reference = replace(VKDNW, reported="Spearman .919 CIFAR-10, .919 CIFAR-100 on the valid cells")

    @property
    def parts(self) -> tuple[str, ...]:
        """The five."""
        return "vkdnw", "jacov", "az_expressivity", "az_trainability", "flops"

    def combine(self, columns: pd.DataFrame) -> pd.Series:
        """`log_rank_sum`"""
        return log_rank_sum(columns)


@dataclass(frozen=True)
class Vote(Population):
    """Of all pairs of cells: how many others the majority of the parts puts below this one, less those above, over N.

    A part votes for the larger of two scores and abstains on equal ones. `of` names any proxies, joined by +. The paper
    counts the pairs that a majority of synflow, jacov and snip gets right; here pairs won make a score, so that a
    vote can be ranked and judged as everything else.
    """

    name = "vote"
    reference = replace(
        GradNorm.reference, reported="share of pairs ranked rightly .817 CIFAR-10, .832 CIFAR-100, all cells"
    )

    of: str = "synflow+jacov+snip"

    def __post_init__(self) -> None:
        if len(set(self.parts)) < 2:
            raise BadUsage(f"vote:of={self.of}: name two proxies or more, joined by +")

    @property
    def parts(self) -> tuple[str, ...]:
        """The voters."""
        return tuple(part for part in self.of.split("+") if part)

    def combine(self, columns: pd.DataFrame) -> pd.Series:
        """Pairs won less pairs lost, over N."""
        import numpy as np
        import pandas as pd

        ranks = columns.rank(method="dense").to_numpy(np.int32).T
        scores = np.empty(len(columns))
        for start in range(0, len(columns), _ROWS):
            stop = min(start + _ROWS, len(columns))
            scores[start:stop] = _majorities(ranks, start, stop).sum(axis=1) / len(columns)
        return pd.Series(scores, columns.index)


_ROWS = 500
"""Cells compared with all others at a time: 500 x 15,625 pairs are 62 MB."""


def _majorities(ranks: np.ndarray, start: int, stop: int) -> np.ndarray:
    """For the cells start..stop against all: 1 won, -1 lost, 0 undecided; int32 [stop - start, N]."""
    import numpy as np

    votes = sum(np.sign(rank[start:stop, None] - rank[None, :]) for rank in ranks)
    return np.sign(votes)
