"""What was observed of one network, with one initialisation, on one batch: computed when first asked for, kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from distill.losses import classifier_gradient
from images.base import Batch
from proxies.base import READS_BATCH
from spaces.nb201 import Cell
from spaces.network import Output
from spaces.skeleton import Skeleton


class ReluCode(NamedTuple):
    """Which inputs of a ReLU are positive."""

    code: torch.Tensor
    """bool [B, D], D the number of units, channels fastest."""
    uses: int
    """How many equal ReLUs of the original network this one stands for."""


class _ReluRecord:
    """A forward pre-hook of ReLUs that keeps their codes, or counts how many ones two images share, or both."""

    def __init__(self, codes_wanted: bool, kernel_wanted: bool) -> None:
        self.codes_wanted = codes_wanted
        self.kernel_wanted = kernel_wanted
        self.codes: list[ReluCode] = []
        self._shared: torch.Tensor | None = None
        self._units = 0
        self._buffers: dict[torch.Size, torch.Tensor] = {}

    def __call__(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        uses = getattr(module, "uses", 1)
        # with the channels in front, flattening would copy: units in the order of memory instead
        values = inputs[0].detach().movedim(1, -1)
        if self.codes_wanted:
            self.codes.append(ReluCode((values > 0).flatten(1), uses))
        if self.kernel_wanted:
            if values.shape not in self._buffers:
                self._buffers[values.shape] = torch.empty(values.shape, device=values.device)
            # straight into floats: making booleans first takes several times as long
            ones = torch.gt(values, 0, out=self._buffers[values.shape]).flatten(1)
            if self._shared is None:
                self._shared = ones.new_zeros(len(ones), len(ones), dtype=torch.float64)
            self._shared += uses * (ones @ ones.T)  # counts of one ReLU stay below 2^24: exact in float32
            self._units += uses * ones.shape[1]

    def kernel(self) -> torch.Tensor:
        """Agreements: shared ones, and shared zeros, which are units - ones_i - ones_j + shared ones."""
        assert self._shared is not None
        ones = self._shared.diagonal()
        return 2 * self._shared - ones[:, None] - ones[None, :] + self._units


class Probe:
    """Lazy record of one network on one batch. One forward pass, and one backward pass if `gradients` is needed,
    serve all proxies that read it; all tensors it hands out are detached.

    `needs` is the union of what those proxies declared. Reading what was not declared raises LookupError, so that a
    proxy which forgets to declare fails in its first test and not in its cost.
    """

    def __init__(
        self,
        cell: Cell,
        skeleton: Skeleton,
        build: Callable[[], nn.Module],
        batch: Callable[[], Batch],
        needs: Iterable[str],
    ) -> None:
        self.cell = cell
        self.skeleton = skeleton
        self.needs = frozenset(needs)
        self._build = build
        self._load = batch

    @cached_property
    def _network(self) -> nn.Module:
        return self._build()

    @cached_property
    def _batch(self) -> Batch:
        return self._load()

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
        """The network itself, in training mode. Read its weights; leave no trace in it."""
        self._require("weights")
        return self._network

    @cached_property
    def _pass(self) -> tuple[Output, _ReluRecord]:
        """The one forward pass, with its autograd graph if gradients will be asked for."""
        record = _ReluRecord("relu_codes" in self.needs, "relu_kernel" in self.needs)
        hooks = []
        if record.codes_wanted or record.kernel_wanted:
            relus = [module for module in self._network.modules() if isinstance(module, nn.ReLU)]
            hooks = [relu.register_forward_pre_hook(record) for relu in relus]
        try:
            with torch.set_grad_enabled("gradients" in self.needs):
                return self._network(self._batch.images), record
        finally:
            for hook in hooks:
                hook.remove()

    @property
    def logits(self) -> torch.Tensor:
        """[B, K]"""
        self._require("forward")
        return self._pass[0].logits.detach()

    @property
    def pooled(self) -> torch.Tensor:
        """[B, C]: the last feature map averaged over space."""
        self._require("forward")
        return self._pass[0].pooled.detach()

    @property
    def features(self) -> list[torch.Tensor]:
        """Feature maps [B, C_s, H_s, W_s] at the end of each stage; the last one is what gets pooled."""
        self._require("forward")
        return [feature.detach() for feature in self._pass[0].features]

    @property
    def relu_codes(self) -> list[ReluCode]:
        """The binary code of every ReLU, in the order of execution."""
        self._require("relu_codes")
        return self._pass[1].codes

    @property
    def relu_kernel(self) -> torch.Tensor:
        """[B, B] float64, whole numbers: on how many units, of all ReLUs with their `uses`, two images' codes agree.

        Sum over ReLUs of c c^T + (1 - c)(1 - c)^T, c the codes. Counted while the codes are at hand, so none is kept.
        """
        self._require("relu_kernel")
        return self._pass[1].kernel()

    @cached_property
    def _loss(self) -> torch.Tensor:
        return F.cross_entropy(self._pass[0].logits, self._batch.labels)

    @property
    def loss(self) -> torch.Tensor:
        """Mean cross-entropy on the batch, a scalar."""
        self._require("forward")
        return self._loss.detach()

    @cached_property
    def gradients(self) -> dict[str, torch.Tensor]:
        """d loss / d parameter by name, zeros for parameters that do not reach the loss."""
        self._require("gradients")
        names, parameters = zip(*self._network.named_parameters(), strict=True)
        with torch.enable_grad():
            gradients = torch.autograd.grad(self._loss, parameters, materialize_grads=True)
        return dict(zip(names, gradients, strict=True))

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The weights of convolutions and linear layers, by the same names; no batch norms, no biases."""
        self._require("weights", *READS_BATCH)
        return self._weights

    @cached_property
    def _weights(self) -> dict[str, torch.Tensor]:
        return {
            f"{name}.weight": module.weight.detach()
            for name, module in self._network.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        }

    @property
    def classifier_weight(self) -> torch.Tensor:
        """[K, C]: the weight of the last linear layer."""
        return list(self.weights.values())[-1]

    @cached_property
    def classifier_gradient(self) -> torch.Tensor:
        """d loss / d classifier weight [K, C] in closed form (`distill.losses`): no backward pass."""
        return classifier_gradient(self.logits, self.pooled, self.labels)
