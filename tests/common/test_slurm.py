"""The script of docs/guides/cluster.md on a SLURM of two nodes: it runs, loses a node, is cancelled and goes on."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.benchmarks import benchmark
from bench.store import ScoreStore
from proxies.registry import create

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATIENCE = 600.0
DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIGURATION = """
ClusterName=two
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldPort={ports[0]}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(what: Callable[[], object], is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, what()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """`slurm("squeue", "-h")` on two node daemons of this machine."""
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    if missing := [name for name in DAEMONS if shutil.which(name, path=path) is None]:
        pytest.skip(f"no SLURM here: {', '.join(missing)} not found (slurm-wlm and munge of Debian)")
    if os.getuid() != 0:
        pytest.skip("only root starts two node daemons on one machine")
    folder = tmp_path_factory.mktemp("slurm")
    configuration = folder / "slurm.conf"
    text = CONFIGURATION.format(folder=folder, ports=free_ports(3), host=socket.gethostname())
    configuration.write_text(text)
    for name in ("state", "spool-n1", "spool-n2"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    environment = os.environ | {"PATH": path, "SLURM_CONF": str(configuration), "OMP_NUM_THREADS": "1"}
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    started = [
        subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in (munged, ["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"])
    ]

    def run(*words: str) -> str:
        done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    try:
        wait_for(lambda: run("sinfo"), lambda: run("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == "2")
        yield run
    finally:
        run("scancel", "--user=root")
        for daemon in reversed(started):
            daemon.terminate()
        for daemon in started:
            daemon.wait()


def script(folder: Path, command: str) -> Path:
    """The script of the page for two nodes of one CPU, on a free port, with another last line."""
    page = (ROOT / "docs/guides/cluster.md").read_text()
    (text,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    (port,) = free_ports(1)
    for there, here in (
        ("--nodes=4", "--nodes=2"),
        ("--cpus-per-task=32", "--cpus-per-task=1"),
        ("$PWD/.ray-token", f"{folder}/.ray-token"),
        (".venv/bin/ray", f"{Path(sys.executable).parent}/ray"),
        ("6379", str(port)),
    ):
        assert there in text
        text = text.replace(there, here)
    *lines, last = text.strip().splitlines()
    assert last.startswith("make bench ")
    command = f"{sys.executable} -m bench run {command} --executor ray --address $first:{port}"
    path = folder / "job.sh"
    path.write_text("\n".join([*lines, command, ""]))
    return path


def scored(path: Path) -> int:
    if not path.exists():
        return 0
    store = ScoreStore(path, write=False)
    rows = [row for entry in store.scores("digits", create("snip")) for row in entry.rows]
    store.close()
    return len(rows)


def test_the_script_runs_loses_a_node_and_goes_on_after_it_was_cancelled(
    slurm: Callable[..., str], tmp_path: Path
) -> None:
    path, count = tmp_path / "scores.sqlite", 240
    job = script(tmp_path, f"snip --limit {count} --store {path}")

    def submit(name: str) -> str:
        said = slurm("sbatch", "--parsable", f"--output={tmp_path}/{name}.txt", str(job))
        assert said.strip().isdigit(), said
        return said.strip()

    def told(name: str) -> str:
        file = tmp_path / f"{name}.txt"
        return file.read_text() if file.exists() else slurm("squeue")

    first = submit("cancelled")
    wait_for(lambda: told("cancelled"), lambda: scored(path) > 0)
    slurm("scancel", first)
    wait_for(lambda: slurm("squeue"), lambda: slurm("squeue", "-h").strip() == "")
    kept = scored(path)
    assert 0 < kept < count

    second = submit("resumed")
    wait_for(lambda: told("resumed"), lambda: scored(path) > kept)
    steps = slurm("squeue", "-h", "--steps", "-j", second, "-o", "%i %N").split("\n")
    (lost,) = [step.split()[0] for step in steps if step.endswith(" n2")]
    slurm("scancel", lost)
    wait_for(lambda: told("resumed"), lambda: slurm("squeue", "-h").strip() == "")
    assert scored(path) == count
    assert f"{count} of {count} scores" in told("resumed")
    assert not list(tmp_path.glob(".ray-token*")), "the token goes with the job"

    here = tmp_path / "here.sqlite"
    words = ("run", "snip", "--limit", str(count), "--store", str(here), "--workers", "1")
    subprocess.run([sys.executable, "-m", "bench", *words], cwd=ROOT, check=True, capture_output=True)
    rows = []
    for each in (here, path):
        store = ScoreStore(each, write=False)
        (entry,) = store.scores("digits", create("snip"), benchmark("digits").teacher.record())
        rows.append(sorted(entry.rows))
        store.close()
    assert rows[0] == rows[1]
