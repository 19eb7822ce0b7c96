"""Published numbers that ours are held against. None of them was measured here; each says where it was printed.

Correlations are Spearman's. Bands are with the accuracy after 200 epochs, over the cells without unreachable
operations. DisWOT's ablation is of another space than ours, which the slides that it is taken from do not name.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Band(NamedTuple):
    """The lowest and highest of the published values of one quantity."""

    low: float
    high: float
    source: str


VKDNW = "VKDNW, CVPR 2025, table 1"
SUITE_ZERO = "scores of NAS-Bench-Suite-Zero"
OTHERS = "scores of BigfriendP/zero_cost_NAS"

CIFAR100_VALID = {
    "params": Band(0.744, 0.744, SUITE_ZERO),
    "flops": Band(0.722, 0.763, f"{SUITE_ZERO}; {VKDNW}"),
    "nwot": Band(0.799, 0.834, f"{VKDNW}; {OTHERS}"),
    "synflow": Band(0.750, 0.762, f"{VKDNW}; {SUITE_ZERO}"),
    "snip": Band(0.597, 0.658, f"{VKDNW}; {SUITE_ZERO}"),
    "grad_norm": Band(0.637, 0.648, f"zero-cost-nas (all cells); {SUITE_ZERO}"),
    "jacov": Band(0.725, 0.820, f"{SUITE_ZERO}; {VKDNW}"),
    "zen": Band(0.072, 0.082, f"{VKDNW}; NASLib"),
    "fisher": Band(0.555, 0.555, SUITE_ZERO),
    "grasp": Band(0.498, 0.552, f"{VKDNW}; {SUITE_ZERO}"),
    "l2_norm": Band(0.748, 0.748, SUITE_ZERO),
    "plain": Band(-0.268, -0.268, SUITE_ZERO),
    "epe_nas": Band(0.420, 0.420, SUITE_ZERO),
    "zico": Band(0.809, 0.809, VKDNW),
    "grad_norm_all": Band(0.451, 0.451, VKDNW),
}
"""With CIFAR-100 accuracy: proxy, band."""

AGREEMENT = {
    "params": 0.999,
    "flops": 0.99,
    "synflow": 0.97,
    "l2_norm": None,
    "nwot": 0.97,
    "snip": 0.93,
    "grad_norm": 0.93,
    "fisher": 0.93,
    "jacov": 0.9,
    "epe_nas": None,
    "grasp": None,
    "plain": None,
    "zen": None,
}
"""The Spearman correlation with NAS-Bench-Suite-Zero's scores of the same cells on CIFAR-10 that we ask of ourselves;
None where two draws of the same code agree too little to ask for any (docs/decisions/reference-check.md)."""


class Reported(NamedTuple):
    """A correlation and its spread over repeats; NaN where none was printed."""

    spearman: float
    spread: float = math.nan


DISWOT_ABLATION = {
    "fitnet": Reported(0.6406, 0.0611),
    "diswot_semantic:variant=paper": Reported(0.7368, 0.0545),
    "rkd": Reported(0.1352, 0.1151),
    "diswot_relation:variant=paper": Reported(0.7236, 0.0342),
    "diswot:variant=paper": Reported(0.7751, 0.0276),
    "diswot_semantic:init=kaiming:variant=paper": Reported(0.8296),
    "diswot_semantic:init=gaussian:variant=paper": Reported(0.7724),
    "diswot_relation:init=kaiming:variant=paper": Reported(0.2992),
    "diswot_relation:init=gaussian:variant=paper": Reported(0.4938),
    "diswot:init=kaiming:variant=paper": Reported(0.3655),
    "diswot:init=gaussian:variant=paper": Reported(0.7751),
}
"""DisWOT, CVPR 2023: by the proxy of ours that computes the same. The first five, terms and distances, were printed
without an initialisation; the others compare initialisations."""


class Search(NamedTuple):
    """One search as a paper prints it: accuracy of the student after distillation, %, and seconds."""

    method: str
    accuracy: float
    seconds: float


DISWOT_SEARCHES = (
    Search("random search", 71.28, 460_000),
    Search("RL", 71.71, 460_000),
    Search("BOHB", 70.84, 460_000),
    Search("RSPS (weight sharing)", 57.99, 46_000),
    Search("GDAS (weight sharing)", 70.70, 39_000),
    Search("DARTS (weight sharing)", 66.24, 80_000),
    Search("NWOT", 73.31, 4_600),
    Search("TE-NAS", 71.24, 4_600),
    Search("DisWOT, M_s and M_r", 74.21, 9_200),
    Search("DisWOT, M_r", 73.62, 18_400),
)
"""DisWOT, CVPR 2023: searches of NAS-Bench-201 for CIFAR-100, single numbers without a deviation."""
