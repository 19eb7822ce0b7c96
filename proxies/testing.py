"""The contract of a proxy as a test: `check_proxy(cls)` raises AssertionError that names the promise broken.

Public: a proxy outside this tree is tested by the same call.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable
from dataclasses import FrozenInstanceError, fields

import torch
from torch import nn

from common.files import content_hash
from common.reproducible import random_states
from images.base import Batch
from images.noise import noise
from probe.needs import READS_BATCH, VIEWS, needs_of
from probe.network import Probe
from probe.views import views
from proxies.base import NotApplicable, Proxy
from proxies.facts import wrong_fact
from spaces.draw import Draw
from spaces.nb201.cell import Cell
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.space import Skeleton

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=8)
TEACHER_SKELETON = CellSkeleton(channels=4, cells_per_stage=2, classes=5, size=8)
_C3, _SKIP, _NONE = "nor_conv_3x3", "skip_connect", "none"


def _uniform(operation: str) -> str:
    return f"|{operation}~0|+|{operation}~0|{operation}~1|+|{operation}~0|{operation}~1|{operation}~2|"


TEACHER = _uniform(_C3)
ORDINARY = (
    _uniform(_C3),
    "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|",
)
DEGENERATE = (
    _uniform(_NONE),
    _uniform(_SKIP),
    "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|",  # convolutions, but no way to the output
)


def make_batch(size: int, seed: int = 0, constant: bool = False) -> Batch:
    """Random images of `SKELETON`'s size, with labels that name every class if they can."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 3, SKELETON.size, SKELETON.size, generator=generator)
    if constant:
        images = torch.zeros_like(images)
    labels = torch.arange(size) % SKELETON.classes
    return Batch(images, labels, content_hash([images.numpy(), labels.numpy()]))


def make_noise(name: str, count: int, side: int) -> Batch:
    """The noise of a view in a small network's probe."""
    return noise(name, 0, count, side, SKELETON.classes)


def make_probe(
    cell: str,
    batch: Batch,
    needs: Iterable[str],
    init: str = "default",
    sees: str = "function",
    teacher: bool = False,
    built: dict[tuple[str, bool], nn.Module] | None = None,
) -> Probe:
    """A probe of a small network with its own draw of weights, or of the one that was `built` for (cell, teacher)."""
    skeleton = TEACHER_SKELETON if teacher else SKELETON
    networks = {} if built is None else built
    parsed = Cell.parse(cell)

    def build(skeleton: Skeleton) -> nn.Module:
        assert isinstance(skeleton, CellSkeleton)
        draw = Draw(0, init, role="teacher " if teacher else "", momentum=0.0)
        return CellNetwork(parsed, skeleton, draw, sees)

    def network() -> nn.Module:
        if (cell, teacher) not in networks:
            networks[cell, teacher] = build(skeleton)
        return networks[cell, teacher]

    count = len(batch.labels)
    further = views(skeleton, count, lambda: make_batch(count, seed=1), make_noise, build)
    return Probe(parsed, skeleton, network, lambda: batch, needs, further)


def check_proxy(cls: type[Proxy]) -> None:
    """Everything a run relies on: facts declared, a fixed value for a fixed probe, nothing left changed.

    Declared: name, version, family, reference, needs, sees, init. Scores: equal for equal probes, whatever was scored
    before; a float (or NotApplicable) on degenerate cells, one image, constant images, one class. Left as they were:
    hooks, gradient mode, random states, dtypes, weights, training mode, the teacher.
    """
    _check_facts(cls)
    check = _Check(cls())
    check.value(make_batch(10))
    some = make_batch(6)
    of_one_class = Batch(some.images, torch.zeros_like(some.labels), "one class")
    for batch in (make_batch(1), make_batch(6, constant=True), of_one_class):
        for cell in (*ORDINARY, *DEGENERATE):
            check.score(cell, batch)


def _check_facts(cls: type[Proxy]) -> None:
    wrong = wrong_fact(cls)
    assert not wrong, f"{cls.__name__}: {wrong}"
    name, proxy = cls.name, cls()
    assert pickle.loads(pickle.dumps(proxy)) == proxy, f"{name} does not survive pickling"
    assert "__dataclass_fields__" in vars(cls), f"{name}: decorate the class with @dataclass(frozen=True)"
    for field in fields(cls):
        try:
            setattr(proxy, field.name, field.default)
        except FrozenInstanceError:
            continue
        raise AssertionError(f"{name}: decorate the class with @dataclass(frozen=True)")


class _Check:
    """The checks of one proxy's scores. A network is built once: whatever reads it later must find it as it was."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._built: dict[tuple[str, bool], nn.Module] = {}
        self._state: dict[nn.Module, dict[str, object]] = {}

    def value(self, batch: Batch) -> None:
        """Twice the same, alone or after others; nothing changed by scoring."""
        name = self.proxy.name
        first = {cell: self.score(cell, batch) for cell in (*ORDINARY, *DEGENERATE)}
        backwards = {cell: self.score(cell, batch) for cell in reversed((*ORDINARY, *DEGENERATE))}
        for cell, value in first.items():
            assert _same(value, backwards[cell]), f"{name}: {value}, then {backwards[cell]} for the same cell {cell}"
        for cell in ORDINARY:
            value = first[cell]
            assert value is None or math.isfinite(value), f"{name}: {value} for the ordinary cell {cell}"
        student, teacher = self._probes(ORDINARY[1], batch)
        once = _judge(self.proxy, student, teacher)
        _judge(self.proxy, self._probes(ORDINARY[0], batch)[0], teacher)
        again = _judge(self.proxy, student, teacher)
        assert _same(once, again), f"{name}: the same probe gives {once}, then {again}"

    def score(self, cell: str, batch: Batch) -> float | None:
        """The score of a fresh probe, with everything around it compared before and after."""
        probes = dict(zip(("student", "teacher"), self._probes(cell, batch), strict=True))
        for probe in probes.values():
            if probe._network not in self._state:
                self._state[probe._network] = _state(probe._network)
        surroundings = _surroundings()
        records = {who: _records(probe) for who, probe in probes.items()}
        value = _judge(self.proxy, **probes)
        for who, probe in probes.items():
            for record, content in _records(probe).items():
                assert content == records[who][record], (
                    f"{self.proxy.name} changed the {who}'s {record}, which others read"
                )
        for promise, now in _surroundings().items():
            assert now == surroundings[promise], f"{self.proxy.name} changed the {promise}"
        for who, probe in probes.items():
            for promise, now in _state(probe._network).items():
                assert now == self._state[probe._network][promise], f"{self.proxy.name} changed the {who}'s {promise}"
        return value

    def _probes(self, cell: str, batch: Batch) -> tuple[Probe, Probe]:
        proxy = self.proxy
        student = make_probe(cell, batch, proxy.needs, proxy.init, proxy.sees, built=self._built)
        needs = proxy.needs if "teacher" in proxy.needs else ()
        return student, make_probe(TEACHER, batch, needs, proxy.init, proxy.sees, teacher=True, built=self._built)


def _judge(proxy: Proxy, student: Probe, teacher: Probe) -> float | None:
    try:
        value = proxy.score(student, teacher)
    except NotApplicable:
        return None
    assert isinstance(value, float), f"{proxy.name} returned {type(value).__name__} instead of float"
    return value


def _surroundings() -> dict[str, object]:
    return {
        "gradient mode": torch.is_grad_enabled(),
        "default dtype": torch.get_default_dtype(),
        "number of threads": torch.get_num_threads(),
        **{f"random state of {library}": state for library, state in random_states().items()},
    }


def _records(probe: Probe) -> dict[str, str]:
    """Content of all that a probe hands out. What is asked for here is computed once, whoever asks first."""
    found: dict[str, list[torch.Tensor]] = {}
    if probe.needs.intersection(READS_BATCH):
        found |= {"images": [probe.images], "labels": [probe.labels]}
    if "forward" in probe.needs:
        found |= {"logits": [probe.logits], "pooled": [probe.pooled], "features": probe.features, "loss": [probe.loss]}
        found["classifier_gradient"] = [probe.classifier_gradient]
    if "relu_codes" in probe.needs:
        found["relu_codes"] = [code for code, _ in probe.relu_codes]
    if "relu_kernel" in probe.needs:
        found["relu_kernel"] = [probe.relu_kernel]
    if "gradients" in probe.needs:
        found["gradients"] = list(probe.gradients.values())
    if "gate_gradients" in probe.needs:
        found["gate_gradients"] = list(probe.gate_gradients.values())
    if "input_gradients" in probe.needs:
        found["input_gradients"] = [probe.input_gradients]
    if "hessian_gradient" in probe.needs:
        found["hessian_gradient"] = list(probe.hessian_gradient.values())
    if "blocks" in probe.needs:
        found["blocks"] = probe.blocks
    if "block_gradients" in probe.needs:
        found["block_gradients"] = [tensor for pair in probe.block_gradients for tensor in pair]
    hashes = {name: content_hash(tensor.detach().numpy() for tensor in tensors) for name, tensors in found.items()}
    for view in VIEWS:
        if needs_of(view, probe.needs):
            hashes |= {f"{view}.{name}": content for name, content in _records(getattr(probe, view)).items()}
    return hashes


def _state(network: nn.Module) -> dict[str, object]:
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return {
        "hooks": [
            [len(hooks) for name, hooks in sorted(vars(m).items()) if name.endswith("_hooks")]
            for m in network.modules()
        ],
        "training mode": [module.training for module in network.modules()],
        "modules": [type(module).__name__ for module in network.modules()],
        "dtypes": [(name, tensor.dtype, tensor.requires_grad) for name, tensor in tensors],
        "gradients": [name for name, tensor in tensors if tensor.grad is not None],
        # batch norms count forward passes in training mode; no number depends on the count
        "values": content_hash(t.detach().numpy() for name, t in tensors if not name.endswith("num_batches_tracked")),
    }


def _same(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))
