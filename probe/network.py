"""What was observed of one network, with one initialisation, on one batch: computed when first asked for, kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import nn

from distill.loss_terms import classifier_gradient
from images.base import Batch
from probe import each_image
from probe.calls import Each
from probe.in_blocks import watched
from probe.needs import BACKWARD, NO_MAPS, READS_BATCH, NotApplicable, needs_of
from probe.observed import BlockGradient, Observed, block_signs
from probe.recorded import blocks_of, recorded
from probe.relus import ReluCode
from probe.stand_ins import run_with
from probe.views import View
from spaces.kept import Keep, takes
from spaces.output import Output
from spaces.space import Architecture, Skeleton

Shared = TypeVar("Shared")


def _same(value: Shared) -> Shared:
    return value


class Probe:
    """Lazy record of one network on one batch. One forward pass, and one backward pass for each of what is needed
    differentiated (the loss, the logits, the gradient), serve all proxies that read it; all tensors it hands out are
    detached.

    `needs` is the union of what those proxies declared. Reading what was not declared raises LookupError, so that a
    proxy which forgets to declare fails in its first test and not in its cost.
    """

    def __init__(
        self,
        cell: Architecture,
        skeleton: Skeleton,
        build: Callable[[], nn.Module],
        batch: Callable[[], Batch],
        needs: Iterable[str],
        views: Mapping[str, View] | None = None,
        kept: Callable[..., Keep] | None = None,
    ) -> None:
        """`kept` is a memory that networks of the draw share, of a skeleton and a batch."""
        self.cell = cell
        self.skeleton = skeleton
        self.needs = frozenset(needs)
        self.build = build
        self.load = batch
        self.views = views or {}
        self.kept = kept
        self._shared: dict[Hashable, object] = {}

    @cached_property
    def _network(self) -> nn.Module:
        return self.build()

    @cached_property
    def _batch(self) -> Batch:
        return self.load()

    def _needs_of(self, name: str) -> tuple[str, ...]:
        """What is asked of a view. Raises LookupError where nothing is."""
        needs = needs_of(name, self.needs)
        if not needs:
            raise LookupError(f"the proxy reads the view '{name}': add '{name}.forward', or what it reads, to `needs`")
        return needs

    def _view(self, name: str) -> Probe:
        needs, view = self._needs_of(name), self.views[name]
        # what is shared is handed over, not the way to it: probes that name each other would be freed late
        build = view.build or partial(_same, self._network)
        batch = view.batch or partial(_same, self._batch)
        return Probe(self.cell, view.skeleton or self.skeleton, build, batch, needs, kept=self.kept)

    @cached_property
    def second(self) -> Probe:
        """The same network on a second batch of the benchmark's images, as many again."""
        return self._view("second")

    @cached_property
    def noise(self) -> Probe:
        """The same network on as many N(0, 1) images with uniformly random labels."""
        return self._view("noise")

    @cached_property
    def large(self) -> Probe:
        """The same network on one N(0, 1) image of 64 x 64 pixels."""
        return self._view("large")

    @cached_property
    def small(self) -> Probe:
        """The cell in a network of 3 channels and one cell a stage, on the batch."""
        return self._view("small")

    @cached_property
    def thin(self) -> Probe:
        """The cell in a network of 1 channel and one cell a stage, on 3,000 N(0, 1) images of 3 x 3 pixels."""
        return self._view("thin")

    def once(self, key: Hashable, compute: Callable[[Probe], Shared]) -> Shared:
        """What `compute` makes of this probe, found by `key` when it is asked for again: for what proxies share."""
        if key not in self._shared:
            self._shared[key] = compute(self)
        return cast("Shared", self._shared[key])

    @property
    def images(self) -> torch.Tensor:
        """float32 [B, 3, H, W], normalised."""
        self._require(*READS_BATCH)
        return self._batch.images

    @property
    def labels(self) -> torch.Tensor:
        """int64 [B]"""
        self._require(*READS_BATCH)
        return self._batch.labels

    def _require(self, *needs: str) -> None:
        """One of `needs` has to be declared: what is read, and so what a score's identity names, follows from it."""
        if not self.needs.intersection(needs):
            raise LookupError(f"the proxy reads what takes '{needs[0]}': add it to its `needs`")

    @property
    def network(self) -> nn.Module:
        """The network itself, in training mode. Look at it; `run` runs it."""
        self._require("weights")
        return self._network

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        """All parameters of the network by name."""
        self._require("weights", *READS_BATCH)
        return {name: parameter.detach() for name, parameter in self._network.named_parameters()}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[C, H, W] of the images that the network takes."""
        return 3, self.skeleton.size, self.skeleton.size

    def run(
        self, images: torch.Tensor, each: Each | None = None, parameters: Mapping[str, torch.Tensor] | None = None
    ) -> Output:
        """What the network makes of images in training mode, with other `parameters` if they are given.

        `each` meets its calls (probe/calls.py). Nothing is left behind.
        """
        self._require("weights")
        with nullcontext() if each is None else watched(blocks_of(self._network), each):
            if parameters is None:
                return cast("Output", self._network(images))
            buffers = self._network.named_buffers()
            statistics = {name: value.to(images.dtype) for name, value in buffers if value.is_floating_point()}
            return cast("Output", run_with(self._network, {**parameters, **statistics}, images))

    def sign_sums(self) -> dict[str, torch.Tensor]:
        """Sum over images of the sign of dl_i/dw, by the names of `weights` (probe/each_image.py)."""
        self._require("weights")
        return each_image.sign_sums(self._network, self._batch)

    def logit_jacobian(self, tensors: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [B, K] in evaluation, and their derivatives [B, K, P] in the first weight of each of P tensors."""
        self._require("weights")
        return each_image.logit_jacobian(self._network, self._batch.images, tensors)

    def remark(self, say: Callable[[], str]) -> None:
        """A proxy has something to say of its score, if anybody listens: nobody does to each of many cells."""

    @property
    def _has_graph(self) -> bool:
        return not self.needs.isdisjoint(BACKWARD)

    @cached_property
    def _input(self) -> torch.Tensor:
        """The images as the network gets them, a leaf of the graph if somebody differentiates in them."""
        return self._batch.images.detach().requires_grad_("input_gradients" in self.needs)

    @cached_property
    def _layers(self) -> dict[nn.Conv2d | nn.Linear, str]:
        """Convolutions and linear layers, and the names of their weights: one name where several share a weight."""
        names: dict[torch.Tensor, str] = {one: name for name, one in self._network.named_parameters()}
        modules = self._network.modules()
        return {layer: names[layer.weight] for layer in modules if isinstance(layer, nn.Conv2d | nn.Linear)}

    @cached_property
    def _pass(self) -> Observed:
        """The one forward pass, with its autograd graph if something will be differentiated; else what others of the
        draw made of the batch is read: a derivative needs all of it made anew."""
        network = self._network
        run: Callable[[torch.Tensor], Output] = network
        if self.kept is not None and not self._has_graph and takes(network):
            run = partial(network, keep=self.kept(self.skeleton, self._batch.hash))
        layers = self._layers if "gate_gradients" in self.needs else {}
        with torch.set_grad_enabled(self._has_graph):
            return recorded(network, layers, self.needs, lambda: run(self._input))

    @property
    def logits(self) -> torch.Tensor:
        """[B, K]"""
        self._require("forward")
        return self._pass.output.logits.detach()

    @property
    def pooled(self) -> torch.Tensor:
        """[B, C]: the last feature map averaged over space."""
        self._require("forward")
        return self._pass.output.pooled.detach()

    @property
    def features(self) -> list[torch.Tensor]:
        """Feature maps [B, C_s, H_s, W_s] at the end of each stage; the last one is what gets pooled."""
        self._require("forward")
        features = [feature.detach() for feature in self._pass.output.features]
        if not features:
            raise NotApplicable(NO_MAPS)
        return features

    @property
    def relu_codes(self) -> list[ReluCode]:
        """The binary code of every ReLU, in the order of execution."""
        self._require("relu_codes")
        return self._pass.relus.codes

    @property
    def relu_kernel(self) -> torch.Tensor:
        """[B, B] float64, whole numbers: on how many units, of all ReLUs with their `uses`, two images' codes agree.

        Sum over ReLUs of c c^T + (1 - c)(1 - c)^T, c the codes. Counted while the codes are at hand, so none is kept.
        """
        self._require("relu_kernel")
        return self._pass.relus.kernel()

    @cached_property
    def _loss(self) -> torch.Tensor:
        with torch.set_grad_enabled(self._has_graph):
            return F.cross_entropy(self._pass.output.logits, self.labels)

    @property
    def loss(self) -> torch.Tensor:
        """Mean cross-entropy on the batch, a scalar."""
        self._require("forward")
        return self._loss.detach()

    def _derivatives(
        self,
        values: Sequence[torch.Tensor],
        inputs: Sequence[torch.Tensor],
        along: Sequence[torch.Tensor] | None = None,
        again: bool = False,
    ) -> tuple[torch.Tensor, ...]:
        """d (values . along) / d inputs, zeros where no path leads, differentiable `again` on request.

        The graph outlives this backward pass only if somebody declared a need of another.
        """
        keep = again or len(self.needs.intersection(BACKWARD)) > 1
        return torch.autograd.grad(values, inputs, along, retain_graph=keep, create_graph=again, materialize_grads=True)

    @cached_property
    def _loss_derivatives(self) -> tuple[dict[str, torch.Tensor], Sequence[torch.Tensor]]:
        """The loss's one backward pass: d loss / d parameters, d loss / d layer outputs, as far as they are needed."""
        outputs = [output for _, output in self._pass.layers]
        wanted = not self.needs.isdisjoint(("gradients", "hessian_gradient"))
        parameters = dict(self._network.named_parameters()) if wanted else {}
        inputs = (*parameters.values(), *outputs)
        found = self._derivatives([self._loss], inputs, again="hessian_gradient" in self.needs)
        split = len(parameters)
        return dict(zip(parameters, found[:split], strict=True)), found[split:]

    @cached_property
    def gradients(self) -> dict[str, torch.Tensor]:
        """d loss / d parameter by name, zeros for parameters that do not reach the loss."""
        self._require("gradients")
        return {name: gradient.detach() for name, gradient in self._loss_derivatives[0].items()}

    @cached_property
    def gate_gradients(self) -> dict[str, torch.Tensor]:
        """d loss / d gate [B, C_out] of every convolution and linear layer, by its weight's name; summed over uses.

        A gate is a factor of 1 on one channel of what the layer puts out for one image: its derivative is the sum
        over the channel's pixels of a dL/da, a the output.
        """
        self._require("gate_gradients")
        sums: dict[str, torch.Tensor] = {}
        for (name, output), gradient in zip(self._pass.layers, self._loss_derivatives[1], strict=True):
            product = output.detach() * gradient.detach()
            product = product.sum((2, 3)) if product.ndim == 4 else product
            sums[name] = sums[name] + product if name in sums else product
        return sums

    @property
    def input_gradients(self) -> torch.Tensor:
        """d (sum of all logits of the batch) / d images, a row for each image [B, C H W]."""
        self._require("input_gradients")
        return self._input_gradients

    @cached_property
    def _input_gradients(self) -> torch.Tensor:
        logits = self._pass.output.logits
        (gradient,) = self._derivatives([logits], [self._input], along=[torch.ones_like(logits)])
        return gradient.flatten(1)

    @property
    def hessian_gradient(self) -> dict[str, torch.Tensor]:
        """H g by the names of `weights`: g = d loss / d weights, H the loss's Hessian in them."""
        self._require("hessian_gradient")
        return self._hessian_gradient

    @cached_property
    def _hessian_gradient(self) -> dict[str, torch.Tensor]:
        weights = {name: layer.weight for layer, name in self._layers.items()}
        gradients = [self._loss_derivatives[0][name] for name in weights]
        gradients = [gradient for gradient in gradients if gradient.requires_grad]  # the others are zeros
        along = [gradient.detach() for gradient in gradients]
        found = self._derivatives(gradients, list(weights.values()), along)
        return dict(zip(weights, found, strict=True))

    @property
    def blocks(self) -> list[torch.Tensor]:
        """Feature maps [B, C, H, W]: what the stem puts out, then every block behind it, cells and reductions."""
        self._require("blocks")
        return [features.detach() for features in self._maps]

    @property
    def _maps(self) -> list[torch.Tensor]:
        if not self._pass.blocks:
            raise NotApplicable(
                f"it reads the maps between blocks, and {type(self._network).__name__} has no list `blocks`"
            )
        return self._pass.blocks

    @property
    def block_gradients(self) -> list[BlockGradient]:
        """For every block behind the stem random signs on its output and their gradient in its input.

        Signs are keyed by the batch and the block's number: all networks have the same, another seed has others.

        Each block is differentiated by itself. Batch norms tie the images of a batch together: J is that of the whole
        batch. Zeros where a block does not pass its input on; the signs themselves where it passes it on unchanged.
        """
        self._require("block_gradients")
        return self._block_gradients

    @cached_property
    def _block_gradients(self) -> list[BlockGradient]:
        maps, found = self._maps, []
        for number in range(1, len(maps)):
            signs = block_signs(self._batch.hash, number, maps[number])
            (gradient,) = self._derivatives([maps[number]], [maps[number - 1]], along=[signs])
            found.append(BlockGradient(signs, gradient))
        return found

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The weights of convolutions and linear layers, by the same names; no batch norms, no biases."""
        self._require("weights", *READS_BATCH)
        return self._weights

    @cached_property
    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: layer.weight.detach() for layer, name in self._layers.items()}

    @property
    def classifier_weight(self) -> torch.Tensor:
        """[K, C]: the weight of the last linear layer."""
        return self.weights[list(self._layers.values())[-1]]

    @cached_property
    def classifier_gradient(self) -> torch.Tensor:
        """d loss / d classifier weight [K, C] in closed form (`distill.losses`): no backward pass."""
        return classifier_gradient(self.logits, self.pooled, self.labels)
