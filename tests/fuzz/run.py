"""`make fuzz MINUTES=60`: a coverage-guided fuzzer (Atheris) on every parser in turn, and a table of what it saw.

Inputs that raise anything but BadInput are kept in results/store/fuzz/NAME/, and the command ends with 1. What is
found becomes a test.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]
KEPT = Path("results/store/fuzz")
OWN = ["analysis", "bench", "common", "distill", "diswot_bench", "images", "proxies", "spaces"]
"""The packages whose branches guide the search."""
LONGEST = 60
"""Seconds after which an input counts as one that hangs."""


def main() -> None:
    """Run each target for its share of the time in a process of its own."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--minutes", type=float, default=60)
    words.add_argument("--target", help="only this one, in this process")
    words.add_argument("rest", nargs="*")
    said, rest = words.parse_known_args()
    if said.target:
        fuzz(said.target, rest)
        return
    from targets import targets

    names, failed = sorted(targets()), []
    print(f"{'parser':<16}{'inputs':>10}{'branches':>10}  found")
    for name in names:
        found = [*tried(name, 60 * said.minutes / len(names))]
        print(f"{name:<16}{found[0]:>10}{found[1]:>10}  {found[2]}", flush=True)
        failed += [name] if found[2] != "nothing" else []
    sys.exit(bool(failed))


def tried(name: str, seconds: float) -> tuple[str, str, str]:
    """Inputs tried, branches seen, and what was found."""
    from targets import good

    place = KEPT / name
    (corpus := place / "corpus").mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(good(name)):
        (corpus / f"good-{number}").write_bytes(data)
    options = [f"-max_total_time={max(1, round(seconds))}", f"-timeout={LONGEST}", "-rss_limit_mb=4096"]
    options += [f"-artifact_prefix={place}/", "-print_final_stats=1", str(corpus)]
    done = subprocess.run(
        [sys.executable, __file__, "--target", name, *options], capture_output=True, text=True, check=False
    )
    (place / "log").write_text(done.stdout + done.stderr)
    inputs = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    branches = re.findall(r"\bft: (\d+)", done.stderr)
    what = "nothing" if done.returncode == 0 else f"see {place}/log"
    return (inputs or ["?"])[-1], (branches or ["?"])[-1], what


def fuzz(name: str, options: list[str]) -> None:
    """Let Atheris look for an input of one target that raises anything but BadInput."""
    import atheris

    with atheris.instrument_imports(include=OWN):
        import targets

    targets.good(name)  # what it imports, it imports here
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)

        def once(data: bytes) -> None:
            targets.tried(name, data, place)

        atheris.Setup([sys.argv[0], *options], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
