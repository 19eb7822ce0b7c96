"""`make soak MINUTES=20`: random commands on one results folder, killed at random moments, for so long.

Then all of them once more, undisturbed: nothing may be lost, and the folder has to hold what one holds that nothing has
ever disturbed. Ends with 1 otherwise. `--seed` repeats commands, signals and moments.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hurt import ENDINGS, Seen, signalled
from world import COMMANDS, DONE, READING, Contents, Started, contents, prepare, rows, run

SHARES = {signal.SIGKILL: 0.6, signal.SIGTERM: 0.2, signal.SIGINT: 0.2}
LACKS = "error: (no |.*(: no such store| has no scores of |: only 0 labelled cells |results/scores/.* export again\n))"
"""How a command ends without what it reads: scores of all seeds, or scores whose export was killed."""
ROUNDS = 2
"""How often all commands are done: what one makes, others read that come before it."""


@dataclass
class Soaked:
    """What has happened to a folder."""

    folder: Path
    rng: random.Random
    seconds: dict[str, float]
    """What each command takes undisturbed, as far as is known."""
    seen: Seen = field(default_factory=Seen)
    counts: Counter[str] = field(default_factory=Counter)

    def once(self) -> None:
        """Start a command, and hurt it at some moment; it may have ended by then."""
        name = self.rng.choice([*COMMANDS, *READING])
        number = self.rng.choices([*SHARES], [*SHARES.values()])[0]
        blow, start = signalled(number, self.seconds[name] * self.rng.random()), time.monotonic()
        started = Started((COMMANDS | READING)[name], self.folder)
        before = blow(started, self.folder)
        code, error = started.end()
        lacks = (1,) if re.search(LACKS, error) else ()
        self.seen.ended(code, error, (*ENDINGS[number], *DONE, *lacks))
        if code in DONE:  # what is done already takes less: the next one is to be hit
            self.seconds[name] = min(self.seconds[name], time.monotonic() - start)
        self.counts[number.name if code in ENDINGS[number] else "not hit, or after it had ended"] += 1
        if before is not None:
            self.seen.compare(before, rows(self.folder))

    @property
    def kills(self) -> int:
        """How many commands a signal has ended."""
        return sum(self.counts[number.name] for number in SHARES)


def undisturbed(folder: Path) -> tuple[Contents, dict[str, float]]:
    """Do everything; what there is then, and how many seconds each command takes at first."""
    seconds: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, words in (COMMANDS | READING).items():
            start = time.monotonic()
            run(words, folder)
            seconds.setdefault(name, time.monotonic() - start)
    return contents(folder), seconds


def main() -> None:
    """Kill for as long as was said, then look."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--minutes", type=float, default=20)
    words.add_argument("--seed", type=int, default=0)
    said = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sys.exit(not soak(Path(name), 60 * said.minutes, said.seed))


def soak(place: Path, seconds: float, seed: int) -> bool:
    """Soak a folder for so many seconds; whether it is none the worse."""
    import shutil

    new = prepare(place)
    for name in ("whole", "soaked"):
        (place / name).mkdir()
        shutil.copytree(new, place / name / "world")
    whole, times = undisturbed(place / "whole" / "world")
    print(f"undisturbed: {len(whole.rows)} rows, {len(whole.files)} files, {sum(times.values()):.0f} s", flush=True)
    soaked, start = Soaked(place / "soaked" / "world", random.Random(seed), times), time.monotonic()
    told = 0
    while time.monotonic() - start < seconds:
        soaked.once()
        if soaked.kills >= told + 50:
            told = soaked.kills
            print(f"{told} kills in {time.monotonic() - start:.0f} s", flush=True)
    after, _ = undisturbed(soaked.folder)
    soaked.seen.compare(whole.rows, after.rows)
    soaked.seen.differing += after.differs(whole)
    return report(soaked, time.monotonic() - start, seed)


def report(soaked: Soaked, seconds: float, seed: int) -> bool:
    """Print what has happened; whether all is well."""
    seen, counts = soaked.seen, soaked.counts
    for what in [*seen.wrong, *(f"differs: {one}" for one in seen.differing[:20])]:
        print(what, file=sys.stderr)
    kinds = ", ".join(f"{counts[number.name]} {number.name}" for number in SHARES)
    print(f"\nseed {seed}: {counts.total()} commands in {seconds:.0f} s, the last ones undisturbed included")
    print(f"killed: {soaked.kills} ({kinds}); not hit, or after they had ended: {counts.total() - soaked.kills}")
    print(f"rows lost: {seen.lost}")
    print(f"files and rows that are not those of an undisturbed folder: {len(seen.differing)}")
    print(f"endings that are none: {len(seen.wrong)}")
    return seen.fine


if __name__ == "__main__":
    main()
