"""What is stored or shipped, as pandas objects: scores, accuracies, and how well the ones rank the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.read.columns import BASELINES, counted, label_cells
from analysis.read.labels import Labels, load_labels
from analysis.read.scores import FOLDER, is_default, published
from analysis.stats.reliability import reliability
from analysis.studies.correlate import Result, judge
from analysis.studies.over_params import Beside, beside
from bench import benchmarks as settings
from bench.store import ScoreStore
from common.errors import BadInput, BadUsage
from proxies import registry
from proxies.base import Proxy

if TYPE_CHECKING:
    from bench.benchmarks import Benchmark


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
                where = "published" if store is None else f"in {store}"
                raise BadInput(f"no scores of {name} on {benchmark} are {where}: `diswot-bench run {name}` makes them")
        found = {name: found[name] for name in wanted}
    if not found:
        raise BadInput(f"no scores on {benchmark}: `diswot-bench run PROXY --benchmark {benchmark}` makes them")
    return pd.DataFrame({name: frame.stack(future_stack=True) for name, frame in found.items()}).rename_axis(
        ["cell", "seed"]
    )


def _names(proxies: str | Iterable[str]) -> list[str]:
    """The names in one form; a name that means nothing raises BadUsage."""
    texts = proxies.split(",") if isinstance(proxies, str) else [str(name) for name in proxies]
    names = [text.strip() for text in texts if text.strip()]
    for name in names:
        registry.choose(name.partition("@")[0])
    return names


def _published(setting: Benchmark, wanted: Sequence[str] | None) -> dict[str, pd.DataFrame]:
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
    frame.attrs["labels"] = {
        "benchmark": benchmark,
        "quantity": labels.quantity,
        "source": labels.source,
        "of_functions": labels.of_functions,
    }
    return frame


def correlate(
    scores: pd.DataFrame | pd.Series | Mapping[str, pd.Series],
    accuracies: pd.DataFrame | pd.Series,
    benchmark: str = "digits",
    *,
    cells: str = "labelled",
    baselines: bool = True,
) -> pd.DataFrame:
    """A DataFrame with a row a proxy: how well its scores rank cells the way their accuracies do.

    `scores`: as `scores()` gives them, or a Series (or several by name) indexed by cell; seeds are averaged, a cell
    without a score in some seed is `failed`. `accuracies`: as `accuracies()` gives them, or a Series by cell; seeds are
    averaged. Judged are the labelled cells, or those of another set of the benchmark's space.

    Columns: `n` cells, `failed`, `coverage` of the labelled, `kendall` tau-b, `spearman` with its 95 % bootstrap
    interval over functions, `pearson`; `over_params`, the difference in Spearman from counting parameters on the same
    cells with interval and Holm's p over the proxies handed in, and `given_params`, the partial correlation. Params and
    flops are the last rows unless `baselines` is False. `attrs["ceiling"]` is the Spearman that a proxy would reach
    which knew the true ranking (None with labels of one seed).
    Raises BadInput where fewer than three cells have both.
    """
    setting = settings.benchmark(benchmark)
    labels = _labels(accuracies, setting)
    labelled = label_cells(labels, cells)
    columns = {str(name): _mean(column) for name, column in _columns(scores).items()}
    if not columns:
        raise BadUsage("correlate: no scores were handed in")
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
    agreement = reliability(labels.by_seed)
    frame.attrs["ceiling"] = None if agreement is None else agreement.ceiling
    return frame


def _columns(scores: pd.DataFrame | pd.Series | Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    if isinstance(scores, pd.Series):
        return {str(scores.name or "score"): scores}
    return {str(name): scores[name] for name in scores}


def _mean(column: pd.Series) -> pd.Series:
    """By cell the mean over its seeds; NaN where one has none. Raises BadInput for what is not indexed by cell."""
    if isinstance(column.index, pd.MultiIndex):
        by_seed = column.unstack("seed").dropna(axis=1, how="all")
        column = by_seed.mean(axis=1, skipna=False)
    if not pd.api.types.is_integer_dtype(column.index) or column.index.has_duplicates:
        raise BadInput(f"correlate: scores of {column.name or 'a proxy'} are not indexed by cell, each once")
    return column.astype(float)


def _labels(accuracies: pd.DataFrame | pd.Series, setting: Benchmark) -> Labels:
    about = accuracies.attrs.get("labels", {})
    by_seed = accuracies.to_frame(0) if isinstance(accuracies, pd.Series) else accuracies
    if not pd.api.types.is_integer_dtype(by_seed.index) or by_seed.index.has_duplicates:
        raise BadInput("correlate: accuracies are not indexed by cell, each once")
    if about.get("benchmark", setting.name) != setting.name:
        raise BadUsage(
            f"correlate: accuracies of {about['benchmark']} and scores of {setting.name} are of two benchmarks"
        )
    return Labels(
        about.get("quantity", "accuracy"),
        by_seed.astype(float).dropna(how="all"),
        about.get("of_functions", False),
        about.get("source", "handed in"),
        setting.space,
    )


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
