"""A process set up to compute has one thread, full float32, and keeps its memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import Fork

from common.reproducible import keep_memory, reproducible

MEASURE = """
import ctypes, resource
from common.reproducible import keep_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        blocks = [libc.malloc(20 * 2**20) for _ in range(4)]
        for block in blocks:
            ctypes.memset(block, 1, 20 * 2**20)
        for block in blocks:
            libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
keep_memory()
faults()
print(faults())
"""


def run(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
@pytest.mark.skipif(not keep_memory(), reason="not glibc: memory goes back as the system has it")
def test_pages_that_were_freed_are_not_asked_for_again() -> None:
    before, after = map(int, run(MEASURE))
    assert before > 1000 > 10 * after


def test_nothing_is_changed_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not keep_memory()


def set_up() -> None:
    import torch

    torch.set_num_threads(2)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    reproducible()
    print(torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)


@pytest.mark.slow
def test_one_thread_and_no_tf32(fork: Fork) -> None:
    code, said, _ = fork(set_up).end()
    assert (code, said.split()) == (0, ["1", "False", "False"])
