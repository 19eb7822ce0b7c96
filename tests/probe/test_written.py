"""Every pass starts from what was handed in, whatever a network writes into: its images, its weights, what it holds."""

from __future__ import annotations

import pickle
import random
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.errors import BadInput
from images.base import Batch
from probe.module.examples import CLASSES, SIZE
from probe.module.probe import module_probe
from proxies import registry
from proxies.module import score_module, score_modules

EVERY = registry.create_all("all")


def batch() -> Batch:
    images = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(6) % CLASSES, "")


class Small(nn.Module):
    """A network that does something to its images, or to itself, before it runs."""

    def __init__(self, first: Callable[[Small, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.conv, self.norm = first, nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.blocks = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1)])
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.conv(self.first(self, x))))
        return self.fc(F.relu(self.blocks[0](x)).mean((2, 3)))


# images


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (lambda _, x: x.sub_(0.5).div_(0.25), lambda _, x: x.sub(0.5).div(0.25)),
        (lambda _, x: x.clamp_(min=0), lambda _, x: x.clamp(min=0)),
        (lambda _, x: F.relu(x, inplace=True), lambda _, x: F.relu(x)),
        (lambda _, x: x.copy_(x.flip(3)), lambda _, x: x.flip(3)),
    ],
    ids=["normalised", "clamped", "relu", "flipped"],
)
def test_a_network_that_writes_into_its_images_scores_as_one_that_does_not(
    inside: Callable[[Small, torch.Tensor], torch.Tensor], outside: Callable[[Small, torch.Tensor], torch.Tensor]
) -> None:
    given = batch()
    expected = score_modules(EVERY, Small(outside), given, teacher=Small(outside))
    found = score_modules(EVERY, Small(inside), given, teacher=Small(inside))
    assert given.images.equal(batch().images)
    for label, one in expected.items():
        assert str(found[label]) == str(one), label


# weights


def renormed(network: Small, x: torch.Tensor) -> torch.Tensor:
    network.fc.weight.data = torch.renorm(network.fc.weight.data, 2, 0, 0.05)
    return x


def halved(network: Small, x: torch.Tensor) -> torch.Tensor:
    network.conv.weight.data = network.conv.weight.data / 2
    return x


def divided(network: Small, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        network.conv.weight.div_(2)
    return x


def put_out(network: Small, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        torch.mul(network.conv.weight, 0.5, out=network.conv.weight)
    return x


def by_numpy(network: Small, x: torch.Tensor) -> torch.Tensor:
    network.fc.weight.detach().numpy()[...] *= 0.5
    return x


@pytest.mark.slow
@pytest.mark.parametrize("first", [renormed, halved, divided, put_out, by_numpy])
def test_every_pass_starts_from_the_weights_that_were_handed_in(
    first: Callable[[Small, torch.Tensor], torch.Tensor],
) -> None:
    names = "l2_norm,snip,near,flops,synflow,grasp,gradsign,vkdnw,zen"
    network = Small(first)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    readers = registry.create_all(names)
    alone = {one.label: str(score_modules([one], network, batch())[one.label]) for one in readers}
    for order in (readers, readers[::-1]):
        assert {label: str(one) for label, one in score_modules(order, network, batch()).items()} == alone
    (norm,) = score_modules(registry.create_all("l2_norm"), Small(lambda _, x: x), batch()).values()
    assert alone["l2_norm"] == str(norm)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


@pytest.mark.slow
def test_gradients_are_those_at_the_weights_that_were_written() -> None:
    written, network = Small(halved), Small(lambda _, x: x)
    network.conv.weight.data /= 2
    expected = module_probe(network, batch(), ("gradients",)).gradients
    found = module_probe(written, batch(), ("gradients",)).gradients
    assert all(found[name].equal(one) for name, one in expected.items())


# what else it holds


class Holds(nn.Module):
    """A network that holds something and writes into it whenever it runs."""

    def __init__(self, held: object, touch: Callable[[Any], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, CLASSES)
        self.held, self.touch = held, touch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        by = self.touch(self.held)
        return self.fc((F.relu(self.conv(x)) * by).mean((2, 3)))


class Pair(NamedTuple):
    scale: torch.Tensor
    steps: list[float]


class Closed(OrderedDict[str, Any]):
    """As the outputs of `transformers`."""

    def update(self, *_: Any, **__: Any) -> None:
        raise TypeError("no update")


class Stubborn(list[Any]):
    """It refuses every change but by its base class, and says that it is empty."""

    def _refuse(self, *_: Any, **__: Any) -> None:
        raise TypeError("no change")

    clear = extend = __setitem__ = _refuse  # type: ignore[assignment]

    def __len__(self) -> int:
        return 0


def more(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.add_(1)


def longer(held: list[float]) -> float:
    held.append(held[-1] + 1)
    return held[-1]


def silent(module: nn.Module) -> float:
    module(torch.randn(4, 2))
    return float(module.num_batches_tracked)  # type: ignore[arg-type]


HELD: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "tensor": (lambda: torch.ones(6, 1, 1), more),
    "tensor, past its counter": (lambda: torch.ones(6, 1, 1), lambda held: held.data.mul_(2)),
    "torch.Generator": (
        lambda: torch.Generator().manual_seed(1),
        lambda held: float(torch.rand(1, generator=held)),
    ),
    "numpy Generator": (lambda: np.random.default_rng(1), lambda held: float(held.random())),
    "bit generator": (lambda: np.random.PCG64(1), lambda held: float(held.random_raw() % 7 + 1)),
    "RandomState": (lambda: np.random.RandomState(1), lambda held: float(held.rand())),
    "Random": (lambda: random.Random(1), lambda held: held.random()),
    "array": (lambda: np.ones(2), lambda held: float(np.add(held, 1, out=held)[0])),
    "list of lists": (lambda: [[1.0]], lambda held: longer(held[0])),
    "dictionary of lists": (lambda: {"a": {"b": [1.0]}}, lambda held: longer(held["a"]["b"])),
    "list of tensors": (lambda: [torch.ones(6, 1, 1)], lambda held: more(held[0])),
    "outputs": (lambda: Closed([("a", [1.0])]), lambda held: longer(held["a"]) * longer(held.setdefault("b", [1.0]))),
    "counter": (lambda: Counter(a=1), lambda held: float(held.update("ab") or held["a"] + held["b"])),
    "named tuple": (lambda: Pair(torch.ones(6, 1, 1), [1.0]), lambda held: more(held.scale) * longer(held.steps)),
    "tuple of generators": (lambda: ({"a": random.Random(1)},), lambda held: held[0]["a"].random()),
    "deque of arrays": (lambda: deque([np.ones(1)]), lambda held: float(np.add(held[0], 1, out=held[0])[0])),
    "list that refuses": (
        lambda: Stubborn([torch.ones(6, 1, 1), 1.0]),
        lambda held: more(held[0]) * (held.append(2.0) or held[-1]),
    ),
    "module in a list": (lambda: [nn.BatchNorm1d(2, affine=False)], lambda held: silent(held[0])),
}


def shown(held: Any) -> str:
    """All that something holds, as text."""
    if isinstance(held, torch.Generator):
        return str(held.get_state().tolist())
    if isinstance(held, nn.Module):
        return str(held.state_dict())
    if isinstance(held, np.random.Generator | np.random.BitGenerator | np.random.RandomState | random.Random):
        return str(pickle.dumps(held))
    if isinstance(held, dict):
        return str({key: shown(one) for key, one in held.items()})
    return str([shown(one) for one in held]) if isinstance(held, list | tuple | deque) else repr(held)


@pytest.mark.slow
@pytest.mark.parametrize("name", HELD)
def test_what_a_network_holds_is_afterwards_what_it_was(name: str) -> None:
    make, touch = HELD[name]
    network, (snip,) = Holds(make(), touch), registry.create_all("snip")
    held, before = network.held, shown(network.held)
    scores = {score_module(snip, network, batch()).value for _ in range(3)}
    assert len(scores) == 1
    assert network.held is held
    assert shown(held) == before
    assert touch(held) is not None
    assert shown(held) != before  # so that it could have failed


@pytest.mark.slow
def test_what_is_held_by_a_weak_reference_is_put_back_too() -> None:
    owner = nn.Module()
    owner.steps, owner.scale = [1.0], torch.ones(6, 1, 1)

    def touch(held: Any) -> torch.Tensor:
        return more(held.scale) * longer(held.steps)

    network, (snip,) = Holds(weakref.proxy(owner), touch), registry.create_all("snip")
    assert len({score_module(snip, network, batch()).value for _ in range(3)}) == 1
    assert (owner.steps, owner.scale.tolist()) == ([1.0], torch.ones(6, 1, 1).tolist())


class Spent(random.Random):
    """It cannot be set back."""

    def setstate(self, state: object) -> None:
        raise TypeError("no way back")


def test_what_cannot_be_put_back_keeps_nothing_else_from_it() -> None:
    network = Holds([Spent(1), [1.0]], lambda held: longer(held[1])).eval()
    with pytest.raises(BadInput, match="no way back"):
        score_module(registry.create("snip"), network, batch())
    assert not network.training
    assert network.held[1] == [1.0]


def test_gradients_are_those_through_what_was_written_and_not_through_what_is_put_back() -> None:
    written = module_probe(Holds(torch.ones(6, 1, 1), more), batch(), ("gradients",)).gradients
    expected = module_probe(Holds(torch.full((6, 1, 1), 2.0), lambda held: held), batch(), ("gradients",)).gradients
    assert all(written[name].equal(one) for name, one in expected.items())


def test_what_several_modules_hold_is_one_thing_while_they_run() -> None:
    shared = torch.ones(6, 1, 1)
    network = Holds(shared, lambda held: held)
    network.conv.shared, network.itself = shared, [network]  # type: ignore[assignment]
    network.touch = lambda _: network.conv.shared.add_(1) * (network.held is network.conv.shared)  # type: ignore[operator]
    assert module_probe(network, batch(), ("forward",)).logits.std() > 0
    assert shared.equal(torch.ones(6, 1, 1))
