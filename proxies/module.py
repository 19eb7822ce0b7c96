"""Scores of any `nn.Module`: proxies read a probe of it (probe/module/) as they read one of a network of a space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypedDict, Unpack

from torch import nn

from common.errors import BadUsage, unknown
from images.base import Batch
from probe.module.door import check_network, checked, checked_needs
from probe.module.probe import ModuleProbe, observe, placed
from probe.module.subject import Strayed, Subject
from probe.module.untouched import by_itself, drawn_by
from probe.needs import needs_of
from proxies.base import NotApplicable, Proxy, as_score, too_few
from spaces.inits import INITS

GIVEN = "given"
"""The initialisation that leaves all weights as they are."""


class ModuleScore(NamedTuple):
    """A score, larger is better, and what is to be known of it: weights without a gradient, a batch in halves."""

    value: float
    notes: tuple[str, ...] = ()


class Options(TypedDict, total=False):
    """How networks of one's own are scored."""

    teacher: nn.Module | ModuleProbe | None
    """Keeps its weights, and the mode that it is in. For many students: one probe, of `observed_teacher`."""
    init: str | None
    """Draws the weights anew for all proxies (`spaces.inits.INITS`), or for none (`given`). None: for those that
    declare an initialisation other than `default`."""
    seed: int
    """Draws weights, noise, and dropout."""
    stages: Sequence[str] | None
    """Modules whose outputs are read as feature maps, in place of those that are found."""
    blocks: Sequence[str] | None
    """Modules that are read as blocks, in place of those that are found."""
    second: Batch | None
    """For proxies that compare two batches; without, they get the halves of the batch."""


def score_module(proxy: Proxy, network: nn.Module, batch: Batch, **options: Unpack[Options]) -> ModuleScore:
    """The score of a network, observed in training mode, which afterwards is what it was.

    Raises NotApplicable where the proxy has no meaning for it, or reads labels and they are None, BadInput where
    network, images and labels do not fit. Images and labels may be arrays or lists, as `torch.as_tensor` takes them.
    """
    (found,) = score_modules([proxy], network, batch, **options).values()
    if isinstance(found, NotApplicable):
        raise found
    return found


def score_modules(
    proxies: Iterable[Proxy], network: nn.Module, batch: Batch, **options: Unpack[Options]
) -> dict[str, ModuleScore | NotApplicable]:
    """The scores of a network by the labels of the proxies, or why there is none; proxies share passes.

    As `score_module` scores them one at a time.
    """
    with by_itself():
        return _scored(_checked_proxies(proxies), network, batch, options)


def _scored(
    proxies: Sequence[Proxy], network: nn.Module, batch: Batch, options: Options
) -> dict[str, ModuleScore | NotApplicable]:
    init, second = options.get("init"), options.get("second")
    if init not in (None, GIVEN, *INITS):
        raise unknown("initialisation", str(init), (GIVEN, *INITS))
    teacher, seed = options.get("teacher"), options.get("seed", 0)
    check_network(network)
    batch, second = checked(batch), None if second is None else checked(second, "second")
    if teacher is not None and not isinstance(teacher, ModuleProbe):
        teacher = observed_teacher(teacher, batch, proxies, seed=seed)
    subject = Subject(network, batch.images, seed, options.get("stages"), options.get("blocks"))
    passes: dict[_Pass, list[Proxy]] = {}
    for proxy in proxies:
        passes.setdefault(_pass(proxy, init, second), []).append(proxy)
    found: dict[str, ModuleScore | NotApplicable] = {}
    for shared, readers in passes.items():
        first, other = _halves(batch) if shared.halved else (batch, second)
        probe = observe(subject, first, {need for proxy in readers for need in proxy.needs}, shared.init, other)
        found |= {proxy.label: _judged(proxy, probe, teacher, shared.halved) for proxy in readers}
    return {proxy.label: found[proxy.label] for proxy in proxies}


def observed_teacher(
    network: nn.Module,
    batch: Batch,
    readers: Iterable[Proxy],
    *,
    seed: int = 0,
    stages: Sequence[str] | None = None,
) -> ModuleProbe:
    """The probe of a teacher for the proxies that read one: its passes are run once, whatever is held against it."""
    check_network(network, "teacher")
    batch = checked(batch)
    subject = Subject(network, batch.images, seed, stages, training=network.training, role="the teacher")
    needs = {need for proxy in readers if "teacher" in proxy.needs for need in proxy.needs}
    return ModuleProbe(subject, placed(batch, subject), needs)


def _checked_proxies(given: Iterable[Proxy]) -> list[Proxy]:
    proxies = list(given)
    for proxy in proxies:
        if not isinstance(proxy, Proxy):
            raise BadUsage(f"proxy is {proxy!r}: hand in one that is made, registry.create('nwot')")
        checked_needs(proxy.needs, f"needs of {proxy.name}")
    return proxies


class _Pass(NamedTuple):
    """What proxies have in common that read one probe."""

    init: str | None
    halved: bool
    twice: bool
    """Whether it is differentiated twice: attention then runs in parts, which moves the last digits of all else."""


def _pass(proxy: Proxy, init: str | None, second: Batch | None) -> _Pass:
    declared = None if proxy.init == "default" else proxy.init
    drawn = None if init == GIVEN or not proxy.needs else init or declared
    return _Pass(drawn, second is None and bool(needs_of("second", proxy.needs)), "hessian_gradient" in proxy.needs)


def _halves(batch: Batch) -> tuple[Batch, Batch | None]:
    """The first and the second half of a batch; of one image there is none."""
    half = len(batch.images) // 2
    if not half:
        return batch, None
    parts = (slice(0, half), slice(half, 2 * half))
    first, second = (
        replace(batch, images=batch.images[part], labels=batch.labels[part], hash=f"{batch.hash}/{part.start}")
        for part in parts
    )
    return first, second


def _judged(
    proxy: Proxy, student: ModuleProbe, teacher: ModuleProbe | None, halved: bool
) -> ModuleScore | NotApplicable:
    if "teacher" in proxy.needs and teacher is None:
        return NotApplicable(f"{proxy.name} compares a student with a teacher: give one")
    if why := too_few(proxy, student.batch_size, lambda: student._batch.labels):
        return NotApplicable(why)
    remarks = student.subject.remarks
    remarks.clear()
    try:
        with drawn_by(student.subject.untouched.seed):
            try:
                value = as_score(proxy.score(student, teacher or student))
            except Strayed:  # what was known of the network is right by now
                remarks.clear()
                value = as_score(proxy.score(student, teacher or student))
    except NotApplicable as reason:
        return reason
    notes = ["the two batches are the halves of the one given"] if halved else []
    return ModuleScore(value, (*notes, *remarks))
