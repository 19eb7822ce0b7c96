"""The tree-structured Parzen estimator, alone and with Hyperband, as Optuna has them."""

from __future__ import annotations

import importlib.util
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import BadInput
from search.choices import Choices
from search.driver import Asking, Glimpse
from search.methods.base import Method, require

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

FIRST = 1
"""Hyperband's unit: the length of a shorter training."""


@dataclass(frozen=True)
class TPE(Method):
    """`TPE` asks Optuna's sampler, a categorical parameter a position, after `startup` random trials. It is told which
    architectures are forbidden."""

    name = "tpe"
    reference = "Bergstra et al.: Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; Optuna's sampler"

    startup: int = 10

    def __post_init__(self) -> None:
        require(self, startup=self.startup > 0)
        if importlib.util.find_spec("optuna") is None:  # before any other method has spent its time
            raise BadInput(
                f"the method {self.name} needs Optuna: pip install 'diswot-bench[search]', or name the others"
            )

    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ask for what Optuna suggests, and tell it the score or that there is none."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.startup,
            multivariate=True,  # what None is has changed between versions of Optuna
            seed=draw.getrandbits(32),
        )
        # the pruner deals trials out by the study's name, which would be random
        study = optuna.create_study(
            study_name=str(draw.getrandbits(32)), direction="maximize", sampler=sampler, pruner=self._pruner()
        )
        while True:
            trial = study.ask()
            wanted = tuple(
                trial.suggest_categorical(str(position), range(size)) for position, size in enumerate(space.sizes)
            )
            if self.glimpses:
                found = yield Glimpse(wanted)
                if found is not None:
                    trial.report(found, FIRST)
                    if trial.should_prune():
                        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                        continue
            score = yield wanted
            if score is None:
                trial.set_constraint("score", 1.0)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, score)

    def _pruner(self) -> BasePruner | None:
        return None


@dataclass(frozen=True)
class BOHB(TPE):
    """`tpe` with Hyperband: every architecture is first trained shorter, and those of some brackets end there unless
    they are among the best 1 / `reduction` so far.

    Hyperband has `brackets` of architectures, dealt out in the proportions of its budgets; here there are two lengths
    of training, so only the first bracket ends any. 3 and 3 are what 12 of 200 epochs come to (3^2 < 200 / 12 < 3^3).
    """

    name = "bohb"
    glimpses = True
    reference = "Falkner, Klein & Hutter: BOHB, ICML 2018; Optuna's TPE sampler with its Hyperband pruner instead"

    reduction: int = 3
    brackets: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, reduction=self.reduction > 1, brackets=self.brackets > 0)

    def _pruner(self) -> BasePruner:
        import optuna

        most = self.reduction ** (self.brackets - 1)
        return optuna.pruners.HyperbandPruner(FIRST, most, self.reduction)
