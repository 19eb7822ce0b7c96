"""A probe of any `nn.Module`: what proxies read of a network of a space, read of a network of one's own.

Its calls are seen however they are spelled (probe/calls.py), it is afterwards what it was (untouched.py), and what has
no meaning for it raises NotApplicable with the reason. What is different from a network of a space:

- Outputs may be a tensor, or something with `logits`, or what has class scores among others (outputs.py). One with
  `pooled` and `features` besides says its own. Else stages are found (survey.py) or named, and pooled features are
  what the last linear layer reads.
- Weights are the parameters that convolutions and linear layers multiply by, whoever holds them. One that several
  layers hold is one weight.
- `requires_grad` has no say: frozen parameters count as others do, and derivatives are those in all parameters. The
  flags are afterwards what they were. A gradient that the network itself cuts off (`no_grad`, `detach`) stays zero, and
  the score says so.
- `second` is a batch that is given, `large` an image of 64 pixels, or of the batch's if they have more. `small` is the
  network itself, and there is no `thin` form. A network that says which member of a space it is
  (`spaces.space.Member`) has the space's counts and forms.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from images.base import Batch
from images.noise import noise
from probe import each_image
from probe.calls import Call, Each, Kind
from probe.module.door import check_network, checked, checked_needs
from probe.module.forward import ForwardProbe, Unread, settled
from probe.module.outputs import logits_of
from probe.module.recorder import IMAGES
from probe.module.subject import Subject
from probe.module.survey import Block, Survey
from probe.module.untouched import one_line, ran_out_of_memory
from probe.needs import BACKWARD, NotApplicable
from probe.network import Probe
from probe.observed import BlockGradient, block_signs, silence
from probe.views import LARGE, THIN_IMAGES
from spaces.draw import Draw
from spaces.output import Output
from spaces.space import Member, Skeleton

if TYPE_CHECKING:
    from torch.autograd.graph import GradientEdge


class ModuleProbe(ForwardProbe):
    """The probe of a subject on a batch. `init` draws its weights anew; None leaves them as they are."""

    # views

    def _view(self, name: str) -> Probe:
        needs, network = self._needs_of(name), self.subject.network
        subject, batch = self.subject, self._batch
        if name == "second":
            if self._second is None:
                raise NotApplicable("it compares two batches of images: give a second")
            batch = self._second
        elif name == "noise":
            batch = self._noise(name, len(batch.images), self.image_shape)
        elif name == "large":
            channels, *sides = self.image_shape
            height, width = (max(LARGE, side) for side in sides)
            batch = self._noise(name, 1, (channels, height, width))
        elif isinstance(network, Member):
            skeleton: Skeleton = network.skeleton.small() if name == "small" else network.skeleton.thin()
            draw = Draw(subject.seed, self.init or "default", momentum=0.0, device=batch.images.device)
            if name == "thin":
                batch = self._noise(name, THIN_IMAGES, (3, skeleton.size, skeleton.size))
            return module_probe(network.rebuilt(skeleton, draw), batch, needs, seed=subject.seed)
        elif name == "thin":
            raise NotApplicable(
                "it counts linear regions of a cell's network of one channel, and this one has no such form"
            )
        else:
            self.remark(lambda: "the network itself stands for its small form, which only cells have")
        return ModuleProbe(subject, batch, needs, self.init)

    def _noise(self, name: str, count: int, shape: tuple[int, int, int]) -> Batch:
        """N(0, 1) images of any shape, with labels; of three channels and equal sides as everywhere."""
        size = math.prod(shape)
        side = shape[1] if shape == (3, shape[1], shape[1]) else math.isqrt(size // 3) + 1
        drawn = noise(name, self.subject.seed, count, side, self._known.classes)
        images = drawn.images.flatten(1)[:, :size].unflatten(1, shape)
        return placed(Batch(images, drawn.labels, drawn.hash), self.subject)

    # derivatives

    def _derived(
        self,
        values: Sequence[torch.Tensor] | Sequence[GradientEdge],
        inputs: Sequence[Any],
        along: Sequence[torch.Tensor] | None = None,
        again: bool = False,
    ) -> tuple[torch.Tensor | None, ...]:
        """d (values . along) / d inputs, tensors or places in the graph; None where no path leads."""
        keep = again or len(self.needs.intersection(BACKWARD)) > 1 or "block_gradients" in self.needs
        try:
            return torch.autograd.grad(values, inputs, along, retain_graph=keep, create_graph=again, allow_unused=True)
        except RuntimeError as error:
            if ran_out_of_memory(error):
                raise
            raise NotApplicable(f"it differentiates the network, which cannot be: {one_line(error)}") from error

    @cached_property
    def _loss_derivatives(self) -> tuple[dict[str, torch.Tensor], Sequence[torch.Tensor]]:
        wanted = not self.needs.isdisjoint(("gradients", "hessian_gradient"))
        leaves = self._leaves if wanted else {}
        edges = [gate.output.edge for gate in self._seen.gates]
        inputs = [*leaves.values(), *(edge for edge in edges if edge is not None)]
        found = self._derived([self._loss], inputs, again="hessian_gradient" in self.needs)
        parameters = {
            name: torch.zeros_like(leaf) if gradient is None else gradient
            for (name, leaf), gradient in zip(leaves.items(), found, strict=False)
        }
        rest = iter(found[len(leaves) :])
        self._of_gates = [None if edge is None else next(rest) for edge in edges]
        return parameters, ()

    @property
    def gradients(self) -> dict[str, torch.Tensor]:
        self._require("gradients")
        self.remark(lambda: self._silence)
        return {name: gradient.detach() for name, gradient in self._loss_derivatives[0].items()}

    @cached_property
    def _silence(self) -> str:
        return silence(self._weights, self._loss_derivatives[0])

    @property
    def gate_gradients(self) -> dict[str, torch.Tensor]:
        self._require("gate_gradients")
        none = torch.zeros(())
        self.remark(lambda: silence(self._weights, {name: self._gates.get(name, none) for name in self._weights}))
        return self._gates

    @cached_property
    def _gates(self) -> dict[str, torch.Tensor]:
        sums: dict[str, torch.Tensor] = {}
        assert self._loss_derivatives is not None
        for gate, gradient in zip(self._seen.gates, self._of_gates, strict=True):
            if gate.images is None or gate.channels is None:
                raise NotApplicable(f"it reads layers image by image, and {gate.weight} reads images that are folded")
            if gate.part:
                raise NotApplicable(f"it counts the weights of a channel, and of {gate.weight} a part is read")
            if gradient is not None:
                product = (gate.output.value * gradient.detach()).movedim((gate.images, gate.channels), (0, 1))
                product = product.flatten(2).sum(2) if product.ndim > 2 else product
                before = sums.get(gate.weight, torch.zeros_like(product))
                if before.shape != product.shape:
                    raise NotApplicable(f"it reads channels of layers, and {gate.weight} is used in parts")
                sums[gate.weight] = before + product
        return {name: sums[name] for name in self.weights if name in sums}

    @cached_property
    def _input_gradients(self) -> torch.Tensor:
        self._check_logits(logs_do=False)
        logits = self._pass.output.logits
        (gradient,) = self._derived([logits], [self._input], along=[torch.ones_like(logits)])
        if gradient is None and not isinstance(self.subject.network, Member):  # which has its space's zeros
            raise NotApplicable("it differentiates the logits in the images, and no derivative reaches them")
        return torch.zeros_like(self._input).flatten(1) if gradient is None else gradient.flatten(1)

    @cached_property
    def _hessian_gradient(self) -> dict[str, torch.Tensor]:
        self.remark(lambda: self._silence)
        weights = {name: self._leaves[name] for name in self.subject.layers}
        gradients = [self._loss_derivatives[0][name] for name in weights]
        gradients = [gradient for gradient in gradients if gradient.requires_grad]  # the others are zeros
        along = [gradient.detach() for gradient in gradients]
        found = self._derived(gradients, list(weights.values()), along) if gradients else [None] * len(weights)
        return {
            name: torch.zeros_like(weight) if product is None else product
            for (name, weight), product in zip(weights.items(), found, strict=True)
        }

    def _blocks_known(self) -> Sequence[Block]:
        known = self._seen.found.survey
        if not known.blocks:
            raise NotApplicable("it reads the maps between blocks, and none were found in this network: name blocks")
        return known.blocks

    def _end(self, end: tuple[int, int]) -> torch.Tensor:
        """The map, or the tokens as one of N x 1 pixels, at an end of a block, [B, C, H, W]."""
        number, channels = end
        value = self._input.detach() if number == IMAGES else self._seen.found.kept[number].value
        return _as_map(value, channels)

    @property
    def blocks(self) -> list[torch.Tensor]:
        self._require("blocks")
        known = self._blocks_known()
        return [self._end(known[0].input), *(self._end(block.output) for block in known)]

    @cached_property
    def _block_gradients(self) -> list[BlockGradient]:
        found = []
        for number, block in enumerate(self._blocks_known(), 1):
            output, input = self._end(block.output), self._end(block.input)
            signs = block_signs(self._batch.hash, number, output)
            kept = self._seen.found.kept
            start = self._input if block.input[0] == IMAGES else kept[block.input[0]].edge
            end = kept[block.output[0]].edge
            assert start is not None
            assert end is not None
            along = _as_it_lies(signs, block.output[1], kept[block.output[0]].value.ndim)
            (gradient,) = self._derived([end], [start], [along])
            back = torch.zeros_like(input) if gradient is None else _as_map(gradient, block.input[1])
            found.append(BlockGradient(signs, back))
        return found

    # passes of their own

    def run(
        self, images: torch.Tensor, each: Each | None = None, parameters: Mapping[str, torch.Tensor] | None = None
    ) -> Output:
        """As of a network of a space; maps are detached. Where it raises Strayed it is to be asked again."""
        self._require("weights")
        given, buffers = self._given

        def told(call: Call) -> Any:
            if call.kind is Kind.PRODUCT:
                raise NotApplicable(f"it looks at layers, and here is {call.said}")
            ends = [block.output[0] for block in self.subject.survey(tuple(images.shape[1:])).blocks]
            call.block = sum(end < call.number for end in ends) if ends else None
            assert each is not None
            return each(call)

        def keep(known: Survey) -> list[int]:
            return [stage.number for stage in known.stages]

        meets = None if each is None else told
        found = self._output(self.subject.follow(images, {**given, **(parameters or {})}, buffers, meets, keep))
        wanted = torch.is_grad_enabled() and any(one.requires_grad for one in (parameters or {}).values())
        if wanted and not found.logits.requires_grad:
            raise NotApplicable("it differentiates the logits, which the network makes without a graph (torch.no_grad)")
        if reason := self._why_no_logits(parameters is None, tuple(images.shape[1:])):
            found = Unread(*found)
            found.reason = reason
        return found

    def sign_sums(self) -> dict[str, torch.Tensor]:
        """Image by image, each alone in a batch; a member of a space as the space's networks."""
        self._require("weights")
        if isinstance(self.subject.network, Member):
            return each_image.sign_sums(self._copied, replace(self._batch, labels=self.labels))
        self._check_logits()
        leaves = {name: self._leaves[name] for name in self.subject.layers}
        sums: dict[str, torch.Tensor] = {}
        given, buffers = self._given
        for image, label in zip(self._batch.images.split(1), self.labels.split(1), strict=True):
            with torch.enable_grad():
                logits = settled(partial(self.subject.follow, image, {**given, **leaves}, buffers)).logits
                found = self._derived([F.cross_entropy(logits, label)], list(leaves.values()))
            for name, gradient in zip(leaves, found, strict=True):
                if gradient is not None:
                    signs = each_image.sum_of_signs(gradient[None])
                    sums[name] = sums[name] + signs if name in sums else signs
        return sums

    @property
    def _copied(self) -> nn.Module:
        """The network as a space builds it: in training mode, nothing of it frozen."""
        return copy.deepcopy(self.subject.network).train().requires_grad_(True)

    def logit_jacobian(self, tensors: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Once forward through the network for each weight; a member of a space as the space's networks."""
        self._require("weights")
        self._check_logits()
        (given, buffers), images, found = self._given, self._batch.images, []
        if isinstance(self.subject.network, Member):
            return each_image.logit_jacobian(self._copied, images, tensors)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            logits = self._evaluated(images, given, buffers)
            for name in list(given)[:tensors]:
                first = torch.zeros_like(given[name])
                first[(0,) * first.ndim] = 1
                with forward_ad.dual_level():
                    moved = {**given, name: forward_ad.make_dual(given[name], first)}
                    found.append(forward_ad.unpack_dual(self._evaluated(images, moved, buffers)).tangent)
        zeros = torch.zeros_like(logits)
        return logits, torch.stack([zeros if tangent is None else tangent for tangent in found], 2)

    def _evaluated(
        self, images: torch.Tensor, parameters: Mapping[str, torch.Tensor], buffers: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """Logits in evaluation."""
        try:
            held = self.subject.for_a_pass(parameters)
            returned = self.subject.untouched(images.clone(), held, buffers, training=False)
            return logits_of(returned, self._known.choice)
        except Exception as error:
            if ran_out_of_memory(error):
                raise
            raise NotApplicable(
                f"it derives the logits forward, which this network cannot: {one_line(error)}"
            ) from error


def _as_map(value: torch.Tensor, channels: int) -> torch.Tensor:
    """[B, C, H, W], tokens as [B, C, N, 1]."""
    return value.movedim(channels, 1) if value.ndim == 4 else value.movedim(channels, 1)[..., None]


def _as_it_lies(map_: torch.Tensor, channels: int, ndim: int) -> torch.Tensor:
    """The inverse of `_as_map`."""
    return map_.movedim(1, channels) if ndim == 4 else map_[..., 0].movedim(1, channels)


def placed(batch: Batch, subject: Subject) -> Batch:
    """A batch where the network is, in its floating type."""
    like = subject.untouched.placed
    return replace(batch, images=batch.images.to(like.device, like.dtype), labels=batch.labels.to(like.device))


def observe(
    subject: Subject, batch: Batch, needs: Iterable[str], init: str | None = None, second: Batch | None = None
) -> ModuleProbe:
    """The probe of a subject on a batch, which records what `needs` say (probe/needs.py), as of `module_probe`."""
    network = subject.network
    if init is not None and isinstance(network, Member):
        drawn = Draw(subject.seed, init, momentum=0.0, device=subject.untouched.placed.device)
        subject = subject.of(network.rebuilt(network.skeleton, drawn).to(subject.untouched.placed.dtype))
    return ModuleProbe(
        subject, placed(batch, subject), needs, init, None if second is None else placed(second, subject)
    )


def module_probe(
    network: nn.Module,
    batch: Batch,
    needs: Iterable[str],
    *,
    seed: int = 0,
    init: str | None = None,
    stages: Sequence[str] | None = None,
    blocks: Sequence[str] | None = None,
    second: Batch | None = None,
) -> ModuleProbe:
    """The probe of any network on a batch, in training mode.

    `seed` draws noise, dropout and, if `init` is one of `spaces.inits.INITS`, the weights; without `init` they are what
    they are. `stages` and `blocks` name modules whose outputs are read as the maps of stages, and as blocks; without
    them they are found. Raises BadInput for a network that does not give class scores for the images.
    """
    check_network(network)
    needs, batch, second = checked_needs(needs), checked(batch), None if second is None else checked(second, "second")
    return observe(Subject(network, batch.images, seed, stages, blocks), batch, needs, init, second)
