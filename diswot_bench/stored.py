"""What is stored or shipped, as pandas objects: scores, accuracies, and how well the ones rank the others."""

from __future__ import annotations

import math
import sqlite3
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.judged import constants
from analysis.read.accuracies import check_percent, percent
from analysis.read.columns import BASELINES, counted, label_cells
from analysis.read.labels import Labels, load_labels
from analysis.read.scores import FOLDER, is_default, published
from analysis.stats.reliability import reliability
from analysis.studies.correlate import Result, judge
from analysis.studies.over_params import Beside, beside
from bench import benchmarks as settings
from bench.store import ScoreStore
from common import modules
from common.database import told
from common.errors import BadInput, BadUsage
from common.files import expanded
from common.shipped import here_or_shipped
from proxies import registry
from proxies.base import Proxy

if TYPE_CHECKING:
    from bench.benchmarks import Benchmark

SCORES, LABELS = "scores", "labels"
"""Where the attributes of a DataFrame say what it holds."""
GAIN = "gain"
"""How a quantity begins that is a difference of accuracies."""
_WANTED = "hand in what `scores` and `accuracies` give, or a Series by cell"


def use(*files: str | Path) -> None:
    """Load files of your own, in place of those in use before, as `--module` does: their proxies, data sets, spaces and
    benchmarks are known by name afterwards. Raises BadInput for what is no Python file or raises an error.
    """
    modules.use(expanded(file) for file in files)


def proxies() -> pd.DataFrame:
    """A DataFrame of all proxies by name: family, initialisation, what they read, the paper they come from."""
    classes = {**registry.known(), **registry.populations()}
    rows = {
        name: {
            "family": cls.family,
            "version": cls.version,
            "init": cls.init if issubclass(cls, Proxy) else "",
            "needs": ", ".join(cls.needs) if issubclass(cls, Proxy) else "",
            "title": cls.reference.title,
            "year": cls.reference.year,
            "arxiv": cls.reference.arxiv,
        }
        for name, cls in sorted(classes.items())
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("proxy")


def benchmarks() -> pd.DataFrame:
    """A DataFrame of all benchmarks by name: space, number of architectures, images, network size, batch."""
    found = {name: settings.benchmark(name) for name in settings.names()}
    rows = {
        name: {
            "space": one.space.name,
            "architectures": len(one.space),
            "data_set": one.data_set,
            "channels": one.skeleton.channels,
            "classes": one.skeleton.classes,
            "size": one.skeleton.size,
            "batch": one.batch,
        }
        for name, one in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("benchmark")


def scores(
    benchmark: str = "digits", proxies: str | Iterable[str] | None = None, *, store: str | Path | None = None
) -> pd.DataFrame:
    """A DataFrame of scores, a row for each (cell, seed) and a column a proxy; NaN where there is no score.

    Those that are published (results/scores/), or those of a `store`, an SQLite file that a run has filled. `proxies`:
    a name, several joined by commas or in a list, each with fields if wanted (`diswot:variant=paper`); None is all of
    them as they come. Raises BadUsage for an unknown name, BadInput where there are no scores of it.
    """
    setting = settings.benchmark(benchmark)
    wanted = None if proxies is None else _names(proxies)
    found = _published(setting, wanted) if store is None else _stored(setting, wanted, Path(store))
    if wanted is not None:
        for name in wanted:
            if name not in found:
                raise _no_scores(f"no scores of {name} on {benchmark}", f"{name} --benchmark {benchmark}", store)
        found = {name: found[name] for name in wanted}
    if not found:
        raise _no_scores(f"no scores on {benchmark}", f"PROXY --benchmark {benchmark}", store)
    frame = pd.DataFrame({name: column.stack(future_stack=True) for name, column in found.items()})
    frame.attrs[SCORES] = {"benchmark": benchmark}
    return frame.rename_axis(["cell", "seed"])


def _no_scores(what: str, run: str, store: str | Path | None) -> BadInput:
    if store is not None:
        return BadInput(f"{what} are in {store}: `diswot-bench run {run} --store {store}` makes them")
    return BadInput(f"{what} are published: `diswot-bench run {run}` makes them; hand in its `store=` to read them")


def _names(proxies: str | Iterable[str]) -> list[str]:
    """The names in one form; a name that means nothing raises BadUsage."""
    if not isinstance(proxies, Iterable):
        raise BadUsage(f"scores: {proxies!r} names no proxy: give a name, or several in a list")
    texts = proxies.split(",") if isinstance(proxies, str) else [str(name) for name in proxies]
    names = [text.strip() for text in texts if text.strip()]
    for name in names:
        registry.choose(name.partition("@")[0])
    return names


def _published(setting: Benchmark, wanted: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    if not here_or_shipped(FOLDER / setting.name).exists():
        return {}
    return published(FOLDER, setting.name, is_default if wanted is None else lambda name: name in wanted)


def _stored(setting: Benchmark, wanted: Sequence[str] | None, path: Path) -> dict[str, pd.DataFrame]:
    opened = ScoreStore(path, write=False)
    try:
        there = {entry["proxy"] for entry in opened.overview() if entry["benchmark"] == setting.name}
        names = sorted(filter(is_default, there)) if wanted is None else [name for name in wanted if name in there]
        found = {}
        for name in names:
            label, _, teacher = name.partition("@")
            record = settings.with_teacher(setting, teacher or "default").teacher.record()
            entries = opened.scores(setting.name, registry.create(label), record)
            columns = {each.seed: pd.Series({row.cell: row.score for row in each.rows}) for each in entries}
            if columns:
                found[name] = pd.DataFrame(columns, dtype=float)
        return found
    except sqlite3.Error as error:
        raise BadInput(told(error, path)) from error
    finally:
        opened.close()


def accuracies(benchmark: str = "digits", kind: str = "distilled") -> pd.DataFrame:
    """A DataFrame of trained accuracies in percent, a row a cell and a column a seed.

    `kind` is `distilled`, `vanilla`, `gain` (their difference in points), or a CSV file of cells and accuracies.
    `attrs["labels"]` says what they are: `quantity`, `source`, `of_functions` (labelled is one cell of every function,
    which stands for all that compute it). Raises BadInput where there are none.
    """
    labels = load_labels(kind, benchmark)
    frame = labels.by_seed.copy()
    frame.attrs[LABELS] = {
        "benchmark": benchmark,
        "quantity": labels.quantity,
        "source": labels.source,
        "of_functions": labels.of_functions,
    }
    return frame


def correlate(
    scores: pd.DataFrame | pd.Series | Mapping[str, pd.Series],
    accuracies: pd.DataFrame | pd.Series,
    benchmark: str | None = None,
    *,
    cells: str = "labelled",
    baselines: bool = True,
) -> pd.DataFrame:
    """A DataFrame with a row a proxy: how well its scores rank cells the way their accuracies do.

    `scores`: as `scores()` gives them, or a Series (or several by name) indexed by cell; seeds are averaged, a cell
    without a score in some seed is `failed`. `accuracies`: as `accuracies()` gives them, or a Series by cell; seeds are
    averaged. Judged are the labelled cells, or those of another set of the benchmark's space. `benchmark` is the one
    that scores and accuracies say they are of; `digits` where neither does.

    Columns: `n` cells, `failed`, `coverage` of the labelled, `kendall` tau-b, `spearman` with its 95 % bootstrap
    interval over functions, `pearson`; `over_params`, the difference in Spearman from counting parameters on the same
    cells with interval and Holm's p over the proxies handed in, and `given_params`, the partial correlation. Params and
    flops are the last rows unless `baselines` is False. `attrs["ceiling"]` is the Spearman that a proxy would reach
    which knew the true ranking (None with labels of one seed).
    A score that is the same for all cells has no correlation (NaN), of which a warning is given.
    Raises BadInput where fewer than three cells have both.
    """
    setting = settings.benchmark(_benchmark_of(scores, accuracies) if benchmark is None else benchmark)
    labels = _labels(accuracies, setting)
    labelled = label_cells(labels, cells)
    columns = _columns(scores, setting)
    found: list[Result] = []
    tried = labelled.index
    for name, column in columns.items():
        found.append(judge(name, [], column, labelled, setting.space))
        tried = tried.intersection(column.index)
    for name in BASELINES:
        if name not in columns:
            found.append(judge(name, [], counted(name, setting, tried), labelled, setting.space))
    over = {one.proxy: one for one in beside(found, labelled, setting.space)}
    rows = {one.proxy: _row(one, over.get(one.proxy)) for one in found if baselines or one.proxy in columns}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("proxy")
    for reason in constants(found):
        warnings.warn(f"correlate: {reason}", stacklevel=2)
    agreement = reliability(labels.by_seed)
    frame.attrs["ceiling"] = None if agreement is None else agreement.ceiling
    return frame


def _benchmark_of(scores: Any, accuracies: Any) -> str:
    """The benchmark that what was handed in is of. Raises BadUsage where it is of two."""
    of_scores = getattr(scores, "attrs", {}).get(SCORES, {}).get("benchmark")
    of_labels = getattr(accuracies, "attrs", {}).get(LABELS, {}).get("benchmark")
    if of_scores and of_labels and of_scores != of_labels:
        raise BadUsage(f"correlate: scores are of {of_scores} and accuracies of {of_labels}: both are of one benchmark")
    found: str = of_scores or of_labels or "digits"
    return found


def _columns(scores: Any, setting: Benchmark) -> dict[str, pd.Series]:
    """By name the mean score of each cell. Raises BadInput for what are not scores of this benchmark's cells."""
    if not isinstance(scores, pd.DataFrame | pd.Series | Mapping):
        raise BadInput(f"correlate: scores are a {type(scores).__name__}: {_WANTED}")
    of = "" if isinstance(scores, Mapping) else scores.attrs.get(SCORES, {}).get("benchmark", setting.name)
    if of not in ("", setting.name):
        raise BadUsage(f"correlate: scores are of {of}, and judged would be those of {setting.name}: say benchmark=")
    if isinstance(scores, pd.DataFrame) and not scores.columns.is_unique:
        raise BadInput(f"correlate: two columns are called '{scores.columns[scores.columns.duplicated()][0]}'")
    if isinstance(scores, pd.Series):
        scores = {"score" if scores.name is None else scores.name: scores}
    found = {str(name): _mean(str(name), scores[name], setting) for name in scores}
    if not found:
        raise BadUsage("correlate: no scores were handed in")
    for name in BASELINES.keys() & found.keys():
        own = found[name].dropna()
        if not np.allclose(own, counted(name, setting, own.index), rtol=1e-6):
            raise BadInput(
                f"correlate: a column is called {name}, and is not the {name} of the networks of {setting.name}, "
                "which stand beside every proxy: give it another name"
            )
    return found


def _mean(name: str, column: Any, setting: Benchmark) -> pd.Series:
    """By cell the mean over its seeds; NaN where one has none. Raises BadInput for what is not indexed by cell."""
    if not isinstance(column, pd.Series) or not pd.api.types.is_numeric_dtype(column.dtype):
        raise BadInput(f"correlate: scores of {name} are no Series of numbers: {_WANTED}")
    if isinstance(column.index, pd.MultiIndex) and list(column.index.names) == ["cell", "seed"]:
        by_seed = column.unstack("seed").dropna(axis=1, how="all")
        column = by_seed.replace([math.inf, -math.inf], math.nan).mean(axis=1, skipna=False)
    return _by_cell(f"scores of {name}", column, setting).astype(float)


def _by_cell(what: str, column: Any, setting: Benchmark) -> Any:
    """The Series or DataFrame, if its index is of cells. Raises BadInput."""
    index, cells = column.index, len(setting.space)
    if isinstance(index, pd.MultiIndex) or not pd.api.types.is_integer_dtype(index) or index.has_duplicates:
        raise BadInput(f"correlate: {what} are not indexed by cell, each once: {_WANTED}")
    if isinstance(index, pd.RangeIndex) and len(index) != cells and index.start == 0 and index.step == 1:
        raise BadInput(
            f"correlate: {what} have the index 0 to {len(index) - 1} that pandas gives to rows without one: index "
            "them by cell, pd.Series(values, index=cells)"
        )
    if len(index) and not 0 <= index.min() <= index.max() < cells:
        raise BadInput(
            f"correlate: {what} are of cells {index.min()} to {index.max()}, and {setting.name} has 0 to {cells - 1}"
        )
    return column


def _labels(accuracies: Any, setting: Benchmark) -> Labels:
    if not isinstance(accuracies, pd.DataFrame | pd.Series):
        raise BadInput(f"correlate: accuracies are a {type(accuracies).__name__}: {_WANTED}")
    about = accuracies.attrs.get(LABELS, {})
    by_seed = accuracies.to_frame(0) if isinstance(accuracies, pd.Series) else accuracies
    if not by_seed.columns.is_unique or not all(map(pd.api.types.is_numeric_dtype, by_seed.dtypes)):
        raise BadInput("correlate: accuracies are no columns of numbers, a column a seed")
    _by_cell("accuracies", by_seed, setting)
    if about.get("benchmark", setting.name) != setting.name:
        raise BadUsage(
            f"correlate: accuracies are of {about['benchmark']}, and judged would be scores of {setting.name}"
        )
    quantity = about.get("quantity", "accuracy, %")
    if not quantity.startswith(GAIN):
        _check_percent(by_seed)
    return Labels(
        quantity,
        by_seed.astype(float).dropna(how="all"),
        about.get("of_functions", False),
        about.get("source", "handed in"),
        setting.space,
    )


def _check_percent(by_seed: pd.DataFrame) -> None:
    """Accuracies by cell and seed follow the rules of files of them. Raises BadInput."""
    values = by_seed.stack().dropna()
    for cell, seed in values[~values.between(0, 100)].index[:1]:
        try:
            percent(float(values[cell, seed]), f"correlate: accuracies, cell {cell}")
        except BadInput as error:
            raise BadInput(
                f"{error}; of differences say `frame.attrs['{LABELS}'] = {{'quantity': '{GAIN}'}}`"
            ) from None
    if len(values):
        check_percent("correlate: accuracies", values.max())


def _row(found: Result, over: Beside | None) -> dict[str, object]:
    one, over_params = found.correlation, over.over if over else None
    return {
        "n": one.n,
        "failed": found.failed,
        "coverage": found.coverage,
        "kendall": one.kendall,
        "spearman": one.spearman,
        "spearman_low": one.spearman_low,
        "spearman_high": one.spearman_high,
        "pearson": one.pearson,
        "over_params": over_params.difference if over_params else math.nan,
        "over_params_low": over_params.low if over_params else math.nan,
        "over_params_high": over_params.high if over_params else math.nan,
        "over_params_p": over_params.p_holm if over_params else math.nan,
        "given_params": over.given if over else math.nan,
    }
