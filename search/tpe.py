"""The tree-structured Parzen estimator, as Optuna has it."""

from __future__ import annotations

import importlib.util
import random
from dataclasses import dataclass
from typing import ClassVar

from common.errors import BadInput
from search.driver import Asking
from search.method import Method, require
from search.space import Space


@dataclass(frozen=True)
class TPE(Method):
    """One categorical parameter a position; `startup` random trials first. What is outside the constraints is told so.

    BOHB is this with Hyperband over cheaper trainings; a proxy has no cheaper form of itself.
    """

    name: ClassVar[str] = "tpe"
    reference: ClassVar[str] = (
        "Bergstra et al.: Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; Optuna's sampler"
    )

    startup: int = 10

    def __post_init__(self) -> None:
        require(self, startup=self.startup > 0)
        if importlib.util.find_spec("optuna") is None:  # before any other method has spent its time
            raise BadInput("the method tpe needs Optuna: pip install 'diswot-bench[search]', or name the others")

    def search(self, space: Space, draw: random.Random) -> Asking:
        """As the class says. Raises BadInput where Optuna is not installed."""
        try:
            import optuna
        except ImportError as error:
            raise BadInput(
                "the method tpe needs Optuna: pip install 'diswot-bench[search]', or leave it out"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(n_startup_trials=self.startup, seed=draw.getrandbits(32))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        while True:
            trial = study.ask()
            wanted = tuple(
                trial.suggest_categorical(str(position), range(size)) for position, size in enumerate(space.sizes)
            )
            score = yield wanted
            if score is None:
                trial.set_constraint("score", 1.0)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, score)
