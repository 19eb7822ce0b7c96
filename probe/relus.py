"""What the rectifiers of a network showed: binary codes, and on how many units two images agree."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import nn

from probe.needs import NotApplicable

_EXACT = 2**24
"""Up to here float32 counts exactly."""
NO_RECTIFIER = "it reads rectifiers, and this network has none"


class ReluCode(NamedTuple):
    """Which inputs of a ReLU are positive."""

    code: torch.Tensor
    """bool [B, D], D the number of units, channels fastest."""
    uses: int
    """How many equal ReLUs of the original network this one stands for."""


class ReluRecord:
    """A forward pre-hook of ReLUs that keeps their codes, or counts how many ones two images share, or both."""

    def __init__(self, codes_wanted: bool, kernel_wanted: bool) -> None:
        self.codes_wanted = codes_wanted
        self.kernel_wanted = kernel_wanted
        self._codes: list[ReluCode] = []
        self._shared: torch.Tensor | None = None
        self._units = 0
        self._buffer = torch.empty(0)

    def __call__(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.add(inputs[0], getattr(module, "uses", 1))

    def add(self, values: torch.Tensor, uses: int) -> None:
        """What a ReLU reads, [B, ...], that stands for `uses` equal ones."""
        values = values.detach()
        if not values.is_contiguous():  # with the channels in front, flattening would copy: in the order of memory
            values = values.movedim(1, -1)
        if self.codes_wanted:
            self._codes.append(ReluCode((values > 0).flatten(1), uses))
        if self.kernel_wanted:
            if self._buffer.numel() < values.numel() or self._buffer.device != values.device:
                self._buffer = torch.empty(values.numel(), device=values.device)
            # straight into floats: making booleans first takes several times as long
            ones = torch.gt(values, 0, out=self._buffer[: values.numel()].view(values.shape)).flatten(1)
            if self._shared is None:
                self._shared = ones.new_zeros(len(ones), len(ones), dtype=torch.float64)
            for part in ones.split(_EXACT, dim=1):
                self._shared += uses * (part @ part.T)
            self._units += uses * ones.shape[1]

    @property
    def codes(self) -> list[ReluCode]:
        if not self._codes:
            raise NotApplicable(NO_RECTIFIER)
        return self._codes

    def kernel(self) -> torch.Tensor:
        if self._shared is None:
            raise NotApplicable(NO_RECTIFIER)
        return agreements(self._shared, self._units)


def agreements(shared: torch.Tensor, units: int) -> torch.Tensor:
    """Of `units`, those on which two images agree, [B, B]: shared ones, and shared zeros, which are
    units - ones_i - ones_j + shared ones."""
    ones = shared.diagonal()
    return 2 * shared - ones[:, None] - ones[None, :] + units


class Relus(Protocol):
    """What the ReLUs of one network showed, as far as it was asked for."""

    @property
    def codes(self) -> list[ReluCode]:
        """In the order of execution. Raises NotApplicable where there are none, as `kernel` does."""
        ...

    def kernel(self) -> torch.Tensor:
        """How many units of all ReLUs agree, [B, B] float64."""
        ...
