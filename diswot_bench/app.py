"""The command line of an installed copy: what to do first, and the command lines of the rooms below it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from analysis.cli import app as analysis
from bench.cli import app as bench
from bench.cli import list_command, run_command
from common.cli import application, without
from distill.cli import app as distill
from diswot_bench import __version__
from search.cli import app as search

DISTILLED = "distilled"
Against = Annotated[
    str, typer.Option(help="distilled, vanilla, gain, or a CSV file with cell|index|arch and accuracy.")
]

app = application("Zero-cost proxies on NAS-Bench-201, judged by distilled accuracy.", completion=True)


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Zero-cost proxies on NAS-Bench-201, judged by distilled accuracy."""


def _check(against: str, benchmark: str) -> None:
    """Read the labels before a run that may take an hour. Raises BadInput and BadUsage."""
    from analysis.read.labels import load_labels
    from bench.benchmarks import benchmark as named

    named(benchmark)
    with contextlib.redirect_stderr(io.StringIO()):  # what is to be known of them is told with the table
        load_labels(against, benchmark)


def _live(against: str, benchmark: str, cells: str) -> Callable[[Mapping[int, float]], str]:
    """What a run says of its scores meanwhile; the labels are read when it is first asked."""

    @functools.cache
    def judge() -> Callable[[Mapping[int, float]], str]:
        from analysis.read.columns import label_cells
        from analysis.read.labels import load_labels
        from analysis.stats.live import live

        with contextlib.redirect_stderr(io.StringIO()):  # as above
            labels = load_labels(against, benchmark)
        return live(label_cells(labels, labels.set_of(cells if cells != "all" else None)))

    return lambda scores: judge()(scores)


def _with_table(score: Callable[..., None]) -> Callable[..., None]:
    """`bench run`, and behind it the table of `analysis correlate`: what `make bench` runs."""

    @functools.wraps(score)
    def run(against: str, **given: Any) -> None:
        from analysis.cli import correlate_command
        from bench.benchmarks import names
        from bench.plan import labelled_modes

        benchmark, cells, code = given["benchmark"], given["cells"], 0
        judged = against != DISTILLED or DISTILLED in labelled_modes(benchmark)
        if against != DISTILLED:
            _check(against, benchmark)
        elif not judged and benchmark in names():  # else a file's, which is yet to be read, or nobody's
            print(f"note: {benchmark} has no distilled accuracies: its scores are not judged", file=sys.stderr)
        try:
            score(**given, live=_live(against, benchmark, cells) if judged else None)
        except SystemExit as end:
            if end.code != 3:  # finished, and some cells have no score: the table says how many
                raise
            code = 3
        if judged:
            correlate_command(
                [given["proxies"]],
                benchmark,
                against,
                cells=cells if cells != "all" else None,
                store=given["store"],
                teacher=given["teacher"],
                seeds=given["seeds"],
                proxy_module=given["proxy_module"],
            )
        else:
            print(
                f"{benchmark} has no distilled accuracies to judge by: `diswot-bench analysis correlate "
                f"{given['proxies']} --benchmark {benchmark} --against FILE` takes other ones; published "
                "vanilla ones, where there are some, `diswot-bench analysis import` brings (docs/guides/importing.md)",
                file=sys.stderr,
            )
        sys.exit(code)

    own = inspect.Parameter("against", inspect.Parameter.KEYWORD_ONLY, default=DISTILLED, annotation=Against)
    signature = inspect.signature(without(score, "live"), eval_str=True)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), own])  # type: ignore[attr-defined]
    return run


app.command("run")(_with_table(run_command))
app.command("list")(list_command)
for name, room in (("bench", bench), ("analysis", analysis), ("distill", distill), ("search", search)):
    app.add_typer(room, name=name)
