"""What a proxy makes of a probe, in whatever way it ends: a finite score, or a status and a reason."""

from __future__ import annotations

import math
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import torch

from common.crew import is_worker
from common.errors import LONGEST, BadInput, one_line, said
from common.progress import under_way
from probe.network import Probe
from proxies.base import NotApplicable, Proxy, as_score


class Judged(NamedTuple):
    """A finite score is `ok`, anything else has no score and says why."""

    score: float | None
    status: str
    reason: str


def judge(proxy: Proxy, student: Probe, teacher: Probe) -> Judged:
    """The score of a student, or why there is none."""
    try:
        with under_way(lambda: f"{proxy.label} of {student.cell}"):
            score = as_score(proxy.score(student, teacher))
    except BadInput:
        raise
    except NotApplicable as reason:
        return Judged(None, "not_applicable", said(reason))
    except BaseException as error:  # a proxy may fail in any way, sys.exit() too; its cell fails, not the run
        if isinstance(error, KeyboardInterrupt) and not is_worker():  # which is deaf to Ctrl-C
            raise
        status, text = failure(error)
        where = _where(error, proxy) if status == "error" else ""
        return Judged(None, status, text[: LONGEST - len(where)] + where)
    if not math.isfinite(score):
        return Judged(None, "nonfinite", str(score))
    return Judged(score, "ok", "")


def _where(error: BaseException, proxy: Proxy) -> str:
    """The line behind which an error arose: the deepest in the proxy's file, else in this project's, else where its
    `score` begins, of which no line was at fault; ` (file:line)`."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is that of whoever asked for the score
    module = sys.modules.get(type(proxy).__module__)
    own = Path(getattr(module, "__file__", None) or "none").resolve()
    ours = Path(__file__).resolve().parents[2]
    in_own = [frame for frame in frames if Path(frame.filename).resolve() == own]
    found = in_own or [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(ours)]
    if found and found[-1].name != as_score.__name__:
        return f" ({Path(found[-1].filename).name}:{found[-1].lineno})"
    code = getattr(type(proxy).score, "__code__", None)
    return f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if code else ""


def failure(error: BaseException) -> tuple[str, str]:
    """(status, reason) of what a proxy raised: `oom` or `error`."""
    # on a CPU torch reports a failed allocation as a plain RuntimeError
    out_of_memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "allocate memory" in said(error)
    return "oom" if out_of_memory else "error", one_line(error)
