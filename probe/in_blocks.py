"""In which block of a network a call is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from probe.calls import Call, Each, Watch


@contextmanager
def watched(blocks: Sequence[nn.Module], each: Each) -> Iterator[None]:
    """Hands the calls of a network to `each`, as `Watch`, with the numbers of their blocks.

    `blocks` are the stem and those behind it, as the network lists them; without any, no call gets a number.
    """
    ended = -1  # the first to end is the stem

    def end(*_: Any) -> None:
        nonlocal ended
        ended += 1

    def told(call: Call) -> Any:
        call.block = max(ended, 0) if blocks else None
        return each(call)

    hooks = [block.register_forward_hook(end) for block in blocks]
    try:
        with Watch(told):
            yield
    finally:
        for hook in hooks:
            hook.remove()
