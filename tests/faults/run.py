"""`make test-faults`: every fault, how often it was tried, how many rows were lost, and whether the result is the same.

Commands run in processes of their own, are hurt, repeated, and compared with an undisturbed run to the last bit. Ends
with 1 where anything was lost or differs. `--quick` tries some of them a few times.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from faults import FAULTS, Stage
from hurt import Seen
from world import COMMANDS, prepare, scenes


def main() -> None:
    """Try the faults one after another, and print a line of each."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--quick", action="store_true")
    words.add_argument("--only", default="", help="faults that have this in their name")
    words.add_argument("--seed", type=int, default=0, help="of all moments")
    said = words.parse_args()
    with tempfile.TemporaryDirectory() as place:
        sys.exit(not all([tried.fine for tried in table(Path(place), said.quick, said.only, said.seed)]))


def table(place: Path, quick: bool, only: str, seed: int) -> list[Seen]:
    """Print the table, and give what was seen."""
    chosen = {name: (do, few if quick else many) for name, (do, few, many) in FAULTS.items() if only in name}
    chosen = {name: (do, times) for name, (do, times) in chosen.items() if times}
    start, new = time.monotonic(), prepare(place)
    stage = Stage(new, scenes(new, ["bench run"] if quick else list(COMMANDS)))
    print("| fault | times | rows lost | result identical |\n|---|---|---|---|", flush=True)
    found = []
    for name, (do, times) in chosen.items():
        seen = do(stage, random.Random(f"{seed} {name}"), times)
        remark = f" ({seen.remark})" if seen.remark else ""
        identical = "no" if seen.differing else "yes" if seen.times else "not tried"
        print(f"| {name}{remark} | {seen.times} | {seen.lost} | {identical} |", flush=True)
        for what in [*seen.wrong, *(f"differs: {one}" for one in seen.differing[:5])]:
            print(f"{name}: {what}", file=sys.stderr, flush=True)
        found.append(seen)
    print(f"\n{sum(seen.times for seen in found)} times in {time.monotonic() - start:.0f} s")
    return found


if __name__ == "__main__":
    main()
