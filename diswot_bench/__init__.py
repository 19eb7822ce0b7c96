"""The proxies, the stored scores and the accuracies as a library: `import diswot_bench as db`.

    db.score("diswot", student, images, labels, teacher=teacher)    one number of any nn.Module
    db.score_all(["nwot", "snip"], {"a": a, "b": b}, images, labels)   a table of several
    db.scores("digits")  db.accuracies("digits")  db.correlate(...)    what is stored or shipped, as pandas objects
    db.proxies()  db.benchmarks()                                      what there is
    db.use("mine.py")                                                  what a file of your own adds to it

Importing it loads neither torch nor pandas: the first call does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from diswot_bench.shadows import check

if TYPE_CHECKING:
    from common.errors import BadInput, BadUsage
    from diswot_bench.networks import score, score_all
    from diswot_bench.stored import accuracies, benchmarks, correlate, proxies, scores, use
    from proxies.base import NotApplicable

__version__ = "0.1.0"
__all__ = (
    "BadInput",
    "BadUsage",
    "NotApplicable",
    "accuracies",
    "benchmarks",
    "correlate",
    "proxies",
    "score",
    "score_all",
    "scores",
    "use",
)

_PLACES = {
    "BadInput": "common.errors",
    "BadUsage": "common.errors",
    "NotApplicable": "proxies.base",
    "score": "diswot_bench.networks",
    "score_all": "diswot_bench.networks",
    "accuracies": "diswot_bench.stored",
    "benchmarks": "diswot_bench.stored",
    "correlate": "diswot_bench.stored",
    "proxies": "diswot_bench.stored",
    "scores": "diswot_bench.stored",
    "use": "diswot_bench.stored",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if shadow := check():
        raise ImportError(shadow)
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
