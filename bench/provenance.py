"""What computed: machine, versions and commit. Stored beside results, and no part of a score's identity."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch


def provenance(device: str) -> dict[str, str]:
    """Facts about this process and `device`."""
    return {
        "host": platform.node(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if device.startswith("cuda") else "",
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of the source tree, if it is one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
