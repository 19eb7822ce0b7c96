"""What a pass spends its time on, by PyTorch's profiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence

KINDS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("convolutions", ("convolution",)),
    ("batch norms", ("batch_norm",)),
    ("ReLUs", ("aten::clamp_min", "aten::threshold_backward", "aten::relu")),
    ("sums", ("aten::add", "aten::add_", "aten::index_add_")),
    ("pools", ("aten::mul", "aten::mul_", "avg_pool2d")),
)
"""What PyTorch's operations are called that make up a pass."""


def shares(action: Callable[[], object], device: str) -> dict[str, float]:
    """Which share of an action's time each kind of operation takes, by PyTorch's profiler; of 1, the rest is `other`.

    On a CPU the average pool of a cell begins with a convolution by ones (`spaces.average_pool`), which counts as one:
    to tell it by its shapes, the profiler would keep them among the maps, and new maps would need new memory.
    """
    from torch.profiler import ProfilerActivity, profile

    on_gpu = device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiled:
        action()
    spent: dict[str, float] = {}
    for event in profiled.key_averages():
        if event.key.startswith("aten::"):  # a GPU's kernels are listed once more by themselves
            time_of = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            spent[_kind(event.key)] = spent.get(_kind(event.key), 0) + time_of
    total = sum(spent.values())
    return {kind: round(spent.get(kind, 0) / total, 3) for kind in [*dict(KINDS), "other"]}


def _kind(name: str) -> str:
    for kind, names in KINDS:
        if any(word == name or ("::" not in word and word in name) for word in names):
            return kind
    return "other"
