"""The report on a student that was searched for and distilled: `python -m analysis student FILE`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.figures.process import draw
from analysis.typeset import DASH, between, number
from common.cli import print_table
from common.errors import BadInput
from distill.comparison import BASELINE, Row, Summary, read_rows, summaries
from distill.process.process import Process, read_process
from search.student import read_record


@dataclass(frozen=True)
class Report:
    """A finished student: its record (search/student.py), its trainings, and the process that one of them followed."""

    record: dict[str, Any]
    rows: list[Row]
    process: Process
    process_file: Path
    figure: Path

    def over(self, loss: str) -> dict[str, Summary]:
        """Return, by loss, means over the seeds and differences from `loss` on the same seeds."""
        return {summary.loss: summary for summary in summaries(self.rows, loss)}


def report(path: Path, figures: Path | None = None) -> Report:
    """Read what the record names, and draw the weights, by default into the folder `figures` beside that of records.

    Raises BadInput for what is missing, damaged or unfinished.
    """
    results = path.parent.parent
    record = read_record(path)
    if not {"found", "process", "losses", "seeds", "trained"} <= record.keys():
        raise BadInput(f"the student {path} is not finished: repeat the command that makes it")
    table = results / "distillation" / f"{record['pair']}.csv"
    wanted = {(loss, seed) for loss in record["losses"] for seed in record["seeds"]}
    rows = [row for row in read_rows(table) if (row.loss, row.seed) in wanted]
    if len(rows) < len(wanted):
        raise BadInput(f"{table} has {len(rows)} of the {len(wanted)} trainings of {path}: repeat the command")
    file = Path(record["process"])
    return Report(record, rows, read_process(file), file, draw(file, figures or results / "figures")[-1])


def print_report(found: Report) -> None:
    """Print the student, its accuracies, what each step cost, and where the figure lies."""
    record, student = found.record, found.record["found"]
    search = record["search"]
    limits = "".join(f", {what} at most {most:,.10g}" for what, most in search["limits"].items())
    print(f"{search['benchmark']}: the student that {search['method']} finds by {search['objective']}{limits}")
    print(f"cell {student['cell']}: {record['cell']}")
    print(
        f"{student['params']:,} parameters, {student['flops']:,} multiply-adds an image; score {student['score']:.6g}"
    )
    head = ["trained by", "seeds", "test accuracy, %", "95 % interval"]
    print_table([*head, "over kd", "95 % interval", "over vanilla", "95 % interval"], _accuracies(found))
    print_table(["step", "seconds", "what"], _steps(found))
    print(f"weights over time: {found.figure}")


def _accuracies(found: Report) -> list[list[object]]:
    over_vanilla = found.over("vanilla")
    lines: list[list[object]] = []
    for loss, one in found.over(BASELINE).items():
        seeds = f"{one.n}, {one.failed} diverged" if one.failed else one.n
        line: list[object] = [loss, seeds, number(one.mean), between(one.low, one.high)]
        for against, other in ((BASELINE, one), ("vanilla", over_vanilla[loss])):
            none = loss == against
            line += [DASH, DASH] if none else [number(other.over_kd), between(other.over_kd_low, other.over_kd_high)]
        lines.append(line)
    return lines


def _steps(found: Report) -> list[list[object]]:
    record, seconds = found.record, found.record["seconds"]
    student, trained = record["found"], len(record["trained"])
    learned, trainings = seconds.get("process"), len(found.rows)
    search = f"{student['evaluations']} evaluations of {student['functions']} functions, those in the score store read"
    process = f"{'read from' if learned is None else 'learned:'} {found.process_file}"
    others = "" if trained == trainings else f"; {trainings - trained} more were there"
    return [
        ["search", number(seconds["search"], 1), search],
        ["process", number(learned or 0.0, 1), process],
        ["distillation", number(seconds.get("distillation", 0.0), 1), f"{trained} trainings{others}"],
    ]
