"""What one forward pass shows of a network of one's own, and what it cannot show (probe/module/probe.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from common.errors import BadInput
from images.base import Batch
from probe.calls import LAYERS, RECTIFIERS, SMOOTH, Call, weight_of, word
from probe.module.door import Unlabelled
from probe.module.recorder import IMAGES, WEIGHT_SECOND
from probe.module.skeleton import Alone, ModuleSkeleton
from probe.module.subject import Kept, Pass, Strayed, Subject
from probe.module.survey import Survey
from probe.needs import READS_BATCH, NotApplicable
from probe.network import Probe
from probe.observed import Observed
from probe.relus import NO_RECTIFIER, ReluCode, ReluRecord
from spaces.output import Output
from spaces.space import Member

Found = TypeVar("Found")


def settled(run: Callable[[], Found]) -> Found:
    """What a run gives, once what was known of the network is what it does."""
    try:
        return run()
    except Strayed:
        return run()


class Gate(NamedTuple):
    """What a layer put out, by the name of its weight, and the dimensions of images and channels in it."""

    weight: str
    output: Kept
    images: int | None
    channels: int | None
    part: bool
    """Whether the layer read a part of that weight."""


class Seen(NamedTuple):
    """What a pass over the batch left behind."""

    found: Pass
    relus: ReluRecord
    gates: list[Gate]


class Unread(Output):
    """What a pass shows of a network whose class scores are none for who reads it."""

    reason = ""

    @property
    def logits(self) -> torch.Tensor:
        raise NotApplicable(self.reason)


class ForwardProbe(Probe):
    """The probe of a subject on a batch, as far as one forward pass goes."""

    def __init__(
        self, subject: Subject, batch: Batch, needs: Iterable[str], init: str | None = None, second: Batch | None = None
    ) -> None:
        network = subject.network
        cell: Any = network.cell if isinstance(network, Member) else Alone()
        skeleton = network.skeleton if isinstance(network, Member) else ModuleSkeleton(subject)
        super().__init__(cell, skeleton, lambda: network, lambda: batch, needs)
        self.subject = subject
        self.init = init
        self._second = second

    # tensors

    @property
    def batch_size(self) -> int:
        """How many images there are."""
        return len(self._batch.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self._batch.images.shape[1:]
        return channels, height, width

    @cached_property
    def _given(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The parameters, and the buffers that are not the network's own."""
        if self.init is None or isinstance(self.subject.network, Member):  # that is built of its draw
            return self.subject.parameters, {}
        return self.subject.drawn(self.init)

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        self._require("weights", *READS_BATCH)
        return dict(self._given[0])

    @cached_property
    def _leaves(self) -> dict[str, torch.Tensor]:
        """The parameters as leaves of a graph, in the same memory."""
        given = self._given[0]
        return {name: one.detach().requires_grad_() for name, one in given.items() if one.is_floating_point()}

    @cached_property
    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: self._given[0][name] for name in self.subject.layers}

    @property
    def labels(self) -> torch.Tensor:
        if isinstance(self._batch, Unlabelled):
            raise NotApplicable("it reads labels: give them with the images")
        return super().labels

    def remark(self, say: Callable[[], str]) -> None:
        self.subject.remarks |= dict.fromkeys(filter(None, [say()]))

    # the pass over the batch

    @property
    def _known(self) -> Survey:
        return self.subject.survey()

    @property
    def _backend(self) -> AbstractContextManager[Any]:
        """Fused attention has no second derivative."""
        return sdpa_kernel(SDPBackend.MATH) if "hessian_gradient" in self.needs else nullcontext()

    @cached_property
    def _input(self) -> torch.Tensor:
        first = "block_gradients" in self.needs and any(block.input[0] == IMAGES for block in self._known.blocks)
        return self._batch.images.detach().requires_grad_("input_gradients" in self.needs or first)

    @cached_property
    def _seen(self) -> Seen:
        labels = self._batch.labels
        if not 0 <= int(labels.min()) <= int(labels.max()) < self._known.classes:
            name, classes = self.subject.called, self._known.classes
            raise BadInput(f"labels are {labels.min()} to {labels.max()}, and {name} scores {classes} classes")
        seen = settled(lambda: self._observe(copy=False))
        kept = [*seen.found.kept.values(), *(gate.output for gate in seen.gates)]
        return settled(lambda: self._observe(copy=True)) if any(one.is_stale for one in kept) else seen

    def _observe(self, copy: bool) -> Seen:
        wanted = {"relu_codes", "relu_kernel"} & self.needs if not self._why_no_codes else set()
        relus = ReluRecord("relu_codes" in wanted, "relu_kernel" in wanted)
        gates: list[Gate] = []

        given, buffers = self._given

        def each(call: Call) -> Any:
            if wanted and call.kind in RECTIFIERS and call.images is not None:
                relus.add(call.input.movedim(call.images, 0), call.uses)
            output = call.run()
            if "gate_gradients" in self.needs and call.kind in LAYERS:
                part = word(call.function) in WEIGHT_SECOND and (
                    weight_of(call.args, call.kwargs).numel() < given[call.weight].numel()
                )
                gates.append(Gate(call.weight, Kept(output, copy), call.images, call.channels, part))
            return output

        def keep(known: Survey) -> Iterable[int]:
            if "forward" in self.needs:
                yield from (stage.number for stage in known.stages)
            if self.needs & {"blocks", "block_gradients"}:
                yield from (end for block in known.blocks for end, _ in block)

        with torch.set_grad_enabled(self._has_graph), self._backend:
            tensors = {**given, **self._leaves} if self._has_graph else given
            return Seen(self.subject.follow(self._input, tensors, buffers, each, keep, copy), relus, gates)

    @cached_property
    def _pass(self) -> Observed:
        found = self._seen.found
        return Observed(self._output(found), self._seen.relus, [], [])

    def _output(self, found: Pass) -> Output:
        """What a pass says of logits, pooled features and stages; what is not there is refused when it is read."""
        own = found.returned
        if isinstance(getattr(own, "pooled", None), torch.Tensor) and getattr(own, "features", None):
            return Output(found.logits, own.pooled, tuple(own.features))
        kept = [(stage, found.kept.get(stage.number)) for stage in found.survey.stages]
        features = tuple(stage.of(map_.value) for stage, map_ in kept if map_ is not None)
        return Output(found.logits, found.logits[:, :0] if found.pooled is None else found.pooled, features)

    # what has no meaning everywhere

    def _why_no_logits(self, logs_do: bool, shape: Sequence[int] | None = None) -> str:
        """Why there are no class scores as a linear layer makes them, if so.

        Logarithms of probabilities may do as well: they have the same cross-entropy.
        """
        ends = self.subject.survey(shape).ends
        if not ends or (logs_do and ends == "log_softmax"):
            return ""
        return f"it reads class scores, and {self.subject.called} ends in {ends}: hand in the network without it"

    def _check_logits(self, logs_do: bool = True) -> None:
        if reason := self._why_no_logits(logs_do):
            raise NotApplicable(reason)

    @property
    def logits(self) -> torch.Tensor:
        self._check_logits()
        return super().logits

    @cached_property
    def _loss(self) -> torch.Tensor:
        self._check_logits()
        with torch.set_grad_enabled(self._has_graph):
            return F.cross_entropy(self._pass.output.logits, self.labels)

    @property
    def pooled(self) -> torch.Tensor:
        pooled = super().pooled
        if not pooled.shape[1]:
            raise NotApplicable("it reads pooled features, and no linear layer of this network reads a vector an image")
        return pooled

    @property
    def classifier_weight(self) -> torch.Tensor:
        if self._known.classifier is None or not self._known.direct:
            raise NotApplicable(
                "it reads the classifier's weight: this network's scores come from no linear layer alone"
            )
        self._require("weights", *READS_BATCH)
        name = self._known.nodes[self._known.classifier].weight
        held = self._weights if self.subject.is_computed_from(name) else self._given[0]
        return held[name]

    @cached_property
    def classifier_gradient(self) -> torch.Tensor:
        assert self.classifier_weight is not None
        return super().classifier_gradient

    @property
    def _why_no_codes(self) -> str:
        """Why codes of rectifiers say nothing, if they do not."""
        smooth = self._known.names(*SMOOTH)
        if smooth:
            return f"it reads on which side of zero each rectifier is, and this network bends elsewhere too: {smooth}"
        rectifiers = self._known.kinds(*RECTIFIERS)
        if not rectifiers:
            return NO_RECTIFIER
        folded = any(self._known.images[number] is None for number in rectifiers)
        return "it reads rectifiers image by image, and this network folds images into another dimension" * folded

    @property
    def relu_codes(self) -> list[ReluCode]:
        self._check_codes()
        return super().relu_codes

    @property
    def relu_kernel(self) -> torch.Tensor:
        self._check_codes()
        return super().relu_kernel

    def _check_codes(self) -> None:
        if not self._why_no_codes:
            _ = self._seen  # a pass may correct what is known
        if self._why_no_codes:
            raise NotApplicable(self._why_no_codes)
