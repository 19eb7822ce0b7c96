"""What a pass spends its time on, by PyTorch's profiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence

KINDS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("convolutions", ("convolution",)),
    ("batch norms", ("batch_norm",)),
    ("ReLUs", ("aten::clamp_min", "aten::threshold_backward", "aten::relu")),
    ("sums", ("aten::add", "aten::add_", "aten::index_add_")),
    ("pools", ("aten::mul", "avg_pool2d")),
)
"""What PyTorch's operations are called that make up a pass."""


def shares(action: Callable[[], object], device: str) -> dict[str, float]:
    """Which share of an action's time each kind of operation takes, by PyTorch's profiler; of 1, the rest is `other`.

    A convolution of one channel each is the pool (`spaces.average_pool`).
    """
    from torch.profiler import ProfilerActivity, profile

    on_gpu = device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities, record_shapes=True) as profiled:
        action()
    spent: dict[str, float] = {}
    for event in profiled.key_averages(group_by_input_shape=True):
        if event.key.startswith("aten::"):  # a GPU's kernels are listed once more by themselves
            kind = _kind(event.key, event.input_shapes)
            time_of = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            spent[kind] = spent.get(kind, 0) + time_of
    total = sum(spent.values())
    return {kind: round(spent.get(kind, 0) / total, 3) for kind in [*dict(KINDS), "other"]}


def _kind(name: str, shapes: Sequence[Sequence[int]]) -> str:
    if "convolution" in name and any(len(shape) == 4 and list(shape[1:]) == [1, 3, 3] for shape in shapes):
        return "pools"
    for kind, names in KINDS:
        if any(word == name or ("::" not in word and word in name) for word in names):
            return kind
    return "other"
