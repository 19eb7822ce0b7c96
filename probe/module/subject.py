"""A network of one's own as something to be observed: run without a trace, with every call known in advance."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from common.errors import BadInput
from probe.calls import Call, Each, Kind, Watch, word
from probe.module.counter import Counter
from probe.module.door import check_names, check_seed
from probe.module.outputs import Recording, logits_of
from probe.module.recorder import Node, Recomputed, Recorder, Repeated, tensors, written
from probe.module.redraw import Role, redrawn, restarted
from probe.module.survey import Survey, is_marked, prime_above, survey
from probe.module.untouched import Untouched, one_line, ran_out_of_memory
from probe.needs import NotApplicable

SMALL = 64 * 64
"""Images of more pixels are not computed with to get to know a network: for fewer it is faster."""

OFTEN = 128
"""So often a function may be called where a prime number of images is looked at: a loop over them would take long."""


class Strayed(Exception):
    """What was known of a network is not what it does on images. That is corrected: ask again."""


class Kept:
    """What a call put out: its value, and the place in the graph where it stands even if it is written over."""

    def __init__(self, output: torch.Tensor, copy: bool) -> None:
        self.value = output.detach().clone() if copy else output.detach()
        self._version = self.value._version
        self.edge = torch.autograd.graph.get_gradient_edge(output) if output.requires_grad else None

    @property
    def is_stale(self) -> bool:
        """Whether somebody wrote over the value since."""
        return self.value._version != self._version


class Follow(Watch):
    """A watch that knows what comes, call by call, and keeps what some of them put out."""

    def __init__(
        self, images: torch.Tensor, survey: Survey, each: Each | None, keep: Iterable[int], copy: bool
    ) -> None:
        super().__init__(each or Call.run)
        self._data = {id(images): weakref.ref(images)}
        self.kept: dict[int, Kept] = {}
        self.pooled: torch.Tensor | None = None
        """What the last linear layer read."""
        self._survey = survey
        self._keep = frozenset(keep)
        self._copy = copy
        self._count = 0

    def called(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        read = list(tensors((args, kwargs)))
        if not any(self._is_data(one) for one in read):
            return function(*args, **kwargs)
        number, nodes, name = self._count, self._survey.nodes, word(function)
        self._count += 1
        if number >= len(nodes) or nodes[number].name != name:
            raise Strayed
        node = nodes[number]
        if node.kind is None:
            output = function(*args, **kwargs)
        else:
            images = self._survey.images[number]
            output = self.each(Call(function, args, kwargs, node.kind, number, node.weight, node.channels, images))
        if number == self._survey.reader:
            self.pooled = next(one for one in read if self._is_data(one)).detach()  # not `addmm`'s bias
        if number in self._keep:
            value = written(name, read, output)[0]
            if torch.is_grad_enabled() and not value.requires_grad:  # zeros that nothing reached
                value.requires_grad_()
            self.kept[number] = Kept(value, self._copy)
        self._data |= {id(one): weakref.ref(one) for one in written(name, read, output)}
        return output

    def _is_data(self, value: torch.Tensor) -> bool:
        """Whether a tensor depends on the images."""
        known = self._data.get(id(value))
        return known is not None and known() is value


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python's garbage collector from looking within the block at what lives until its end."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


class Pass(NamedTuple):
    """One run of a network: its logits, what it returned, what was known, what was kept."""

    logits: torch.Tensor
    returned: Any
    survey: Survey
    kept: Mapping[int, Kept]
    pooled: torch.Tensor | None
    """What the last linear layer read, a vector for each image."""


class Subject:
    """A network with the surveys of it, one for each shape of images.

    `training` says in which mode it is observed, `role` what it is besides a network (`the teacher`); `stages` and
    `blocks` name modules, as of `module_probe`.
    """

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        seed: int = 0,
        stages: Sequence[str] | None = None,
        blocks: Sequence[str] | None = None,
        training: bool = True,
        role: str = "",
    ) -> None:
        check_seed(seed)
        check_names("stages", stages)
        check_names("blocks", blocks)
        self.untouched = Untouched(network, seed)
        self.network = self.untouched.network
        self.seed = seed
        self.called = f"{role} {type(self.network).__name__}".strip()
        """What messages call it."""
        self.remarks: dict[str, None] = {}
        """What proxies had to say, each once."""
        self._training = training
        self._stages = stages
        self._blocks = blocks
        self._images = images
        self._shape = tuple(images.shape[1:])
        self._surveys: dict[tuple[int, ...], Survey] = {}
        self._drawn: dict[str, tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = {}
        self._on_shapes = math.prod(self._shape[1:]) > SMALL
        self._roles: dict[str, Role] = {}
        self._products: dict[str, str] = {}
        self._computed: set[str] = set()
        self._aside: set[str] = set()
        self._writes_parameters = False

    def of(self, network: nn.Module) -> Subject:
        """Another network that is observed alike."""
        return Subject(network, self._images, self.seed, self._stages, self._blocks, self._training)

    def survey(self, shape: Sequence[int] | None = None) -> Survey:
        """What is known of a run on images [C, H, W]; those of the batch if no shape is given.

        Raises BadInput where the network does not run on the batch's images, NotApplicable where not on others.
        """
        shape = tuple(shape or self._shape)
        if shape not in self._surveys:
            with _uncollected():
                runs = self._look(shape)
            if (stranger := runs[0].recorder.stranger) is not None:
                raise BadInput(
                    f"{self.called} reads a parameter {list(stranger)} that is not registered, so it is not counted: "
                    "make it an attribute of a module, and a list of layers an nn.ModuleList"
                )
            if runs[0].recorder.hides:
                raise BadInput(
                    f"{self.called} runs functions that cannot be looked into: compiled functions (torch.jit) or those "
                    "of torch.func (vmap): do without"
                )
            if shape == self._shape:
                self._roles, self._writes_parameters = runs[0].recorder.roles, runs[0].recorder.writes_parameters
                self._products, self._computed = runs[0].recorder.products, runs[0].recorder.computed
                self._aside = runs[0].recorder.aside
            self._surveys[shape] = survey(self.network, *runs, self._stages, self._blocks)
        return self._surveys[shape]

    def _look(self, shape: tuple[int, ...]) -> tuple[Recording, Recording | None]:
        """Runs on two and on three images; of large ones one on shapes alone, unless the network looks at values."""
        if self._on_shapes:
            try:
                sizes = (*shape, *(size for one in self.untouched.parameters.values() for size in one.shape))
                marks, two, three = (torch.empty(n, *shape, device="meta") for n in (prime_above(max(sizes)), 2, 3))
                with suppress(Repeated):
                    if is_marked(run := self._record(marks, OFTEN)):
                        return run, None
                return self._record(two), self._record(three)
            except Exception:  # whatever a network does that takes values
                self._on_shapes = False
        try:
            return self._record(self._some(2, shape)), self._record(self._some(3, shape))
        except Recomputed as error:
            raise BadInput(f"{self.called} {error}") from error
        except Exception as error:
            if ran_out_of_memory(error):
                raise
            reason = f"does not run on images {list(shape)}: {one_line(error)}"
            if shape == self._shape:
                raise BadInput(f"{self.called} {reason}") from error
            raise NotApplicable(f"the network {reason}") from error

    def _some(self, count: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Images to look at values with."""
        if shape == self._shape:
            return self._images[torch.arange(count) % len(self._images)]
        return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0)).to(self.untouched.placed)

    def _record(self, images: torch.Tensor, most: float = math.inf) -> Recording:
        images, held = self._placed(images)
        # copies, for a network that writes into its weights; in a graph, so that what was computed unseen is noticed
        held = {name: one.clone().requires_grad_(one.is_floating_point()) for name, one in held.items()}
        recorder = Recorder(images, held, most)
        modules: dict[str, list[tuple[int | None, int | None]]] = {}
        entered: list[int | None] = []

        def enter(_module: nn.Module, args: Any, kwargs: Any) -> None:
            entered.append(recorder.number((args, kwargs)))

        def leave(name: str, _module: nn.Module, _args: Any, output: Any) -> None:
            modules.setdefault(name, []).append((entered.pop(), recorder.number(output)))

        with ExitStack() as hooks, torch.enable_grad():
            for name, module in self.network.named_modules():
                hooks.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(partial(leave, name)).remove)
            returned = self.untouched(images, held, training=self._training, watch=recorder)
        return Recording(len(images), recorder, returned, modules)

    @cached_property
    def roles(self) -> dict[str, Role]:
        """What parameters are for: as the calls of a run show, and of layers that do not run, as their modules say."""
        self.survey()
        found = self._roles
        for name, module in self.network.named_modules():
            # a weight that is computed is no parameter, and asking for it would run what computes it
            weight = module._parameters.get("weight")
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and weight is not None:
                owned = {f"{name}.{part}" if name else part: part for part in ("weight", "bias")}
                fan_in = math.prod(weight.shape[1:])
                found = {each: Role(part, fan_in) for each, part in owned.items()} | found
        return {name: found[name] for name in self.untouched.parameters if name in found}

    @cached_property
    def layers(self) -> list[str]:
        """The names of the weights of convolutions and linear layers, in the order of the modules."""
        found = [name for name, role in self.roles.items() if role.part == "weight"]
        made = [name for name in found if not self.roles[name].fan_in]
        if made:
            raise NotApplicable(f"a layer's weight is made of several parameters, {made[0]} among them: none is its w")
        for name, call in self._products.items():
            if name not in found:
                raise NotApplicable(f"the network multiplies by {name} too, which is no layer's weight (in {call})")
        for name in self._replaced:
            raise NotApplicable(f"a layer's weight is made of {name} (a parametrisation, or pruning): none is its w")
        if not found:
            raise NotApplicable("the network has no convolution and no linear layer")
        return found

    def is_computed_from(self, name: str) -> bool:
        """Whether a layer multiplies by something that is computed from the parameter, and not by it itself."""
        self.survey()
        return name in self._computed

    @property
    def _replaced(self) -> Iterator[str]:
        """Parameters that somebody has put in the places of layers' weights, which are computed from them."""
        for name, module in self.network.named_modules():
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and module._parameters.get("weight") is None:
                held = [part for part, _ in module.named_parameters() if part != "bias"]
                yield f"{name}.{held[0] if held else 'weight'}".lstrip(".")
        for name in sorted(self._computed):
            owner, _, part = name.rpartition(".")
            holds = vars(self.network.get_submodule(owner))  # what is computed lies there as a plain tensor
            if ".parametrizations." in f".{name}" or isinstance(holds.get(part.rpartition("_")[0]), torch.Tensor):
                yield name

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        """The parameters, as they were handed in."""
        self.survey()
        return self.untouched.parameters

    def for_a_pass(self, parameters: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Parameters for one pass: copies, if the network writes into them while it runs, so that each starts alike."""
        if not self._writes_parameters:
            return parameters
        return {name: value.clone() for name, value in parameters.items()}

    @cached_property
    def multiply_adds(self) -> int:
        """Those of convolutions and matrix products for one image in evaluation, on shapes alone where that runs.

        Raises NotApplicable where a layer's product is neither.
        """
        uncounted = [node for node in self.survey().nodes if _is_uncounted(node)]
        if uncounted:
            raise NotApplicable(f"the network calls {uncounted[0].name}, whose multiply-adds are not counted")
        if aside := sorted(self._aside & self._computed):
            raise NotApplicable(f"a layer's weight is computed from {aside[0]}, by products that are none of an image")
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            if self._on_shapes:
                try:
                    return self._counted(torch.empty(1, *self._shape, device="meta"))
                except Exception:  # in evaluation a network may take values that it does not take in training
                    pass
            return self._counted(self._images[:1])

    def _counted(self, images: torch.Tensor) -> int:
        counter = Counter()
        images, held = self._placed(images)
        try:
            self.untouched(images, self.for_a_pass(held), training=False, watch=counter)
        except Exception as error:
            if isinstance(error, NotApplicable) or ran_out_of_memory(error):
                raise
            raise NotApplicable(f"the network does not run in evaluation: {one_line(error)}") from error
        return counter.multiply_adds

    def _placed(self, images: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Images of the network's type, a copy that it may write into, and its parameters where the images are."""
        held = self.untouched.parameters
        if images.is_meta:
            held = {name: torch.empty_like(value, device="meta") for name, value in held.items()}
        return images.to(self.untouched.placed.dtype, copy=True), held

    def drawn(self, init: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Parameters of another initialisation, and the running statistics that networks start from."""
        if init not in self._drawn:
            self._drawn[init] = redrawn(self.parameters, self.roles, self.seed, init), restarted(self.network)
        return self._drawn[init]

    def _why_other_calls(self, known: Survey) -> str:
        if known.loops:
            return (
                "the network calls other functions for other numbers of images, as one does that loops over them: "
                "have it compute with all images at once"
            )
        if any(module._backward_hooks or module._backward_pre_hooks for module in self.network.modules()):
            return (
                "the network has backward hooks, and calls other functions where nothing is differentiated: remove them"
            )
        return "the network calls other functions from run to run"

    def follow(
        self,
        images: torch.Tensor,
        parameters: Mapping[str, torch.Tensor],
        buffers: Mapping[str, torch.Tensor],
        each: Each | None = None,
        keep: Callable[[Survey], Iterable[int]] = lambda _: (),
        copy: bool = True,
    ) -> Pass:
        """Run the network; `each` meets its calls, and what those of `keep` put out is kept.

        A copy of it, or where that is too much memory, itself: then `Kept` knows whether it was written over. Raises
        NotApplicable where the network does not run on these images, Strayed where it has to be asked again.
        """
        known = self.survey(tuple(images.shape[1:]))
        images = images.clone()  # a network may write into it
        watch = Follow(images, known, each, keep(known), copy)
        try:
            returned = self.untouched(images, self.for_a_pass(parameters), buffers, self._training, watch)
        except NotApplicable:
            raise
        except Strayed as strayed:
            if not self._on_shapes:
                raise NotApplicable(self._why_other_calls(known)) from strayed
            self._on_shapes = False  # what runs may hang on values, or on the device
            self._surveys.clear()
            raise
        except Exception as error:
            if ran_out_of_memory(error):
                raise
            count, *shape = images.shape
            what = f"{count} image{'s' if count > 1 else ''} {shape} of {str(images.dtype).removeprefix('torch.')}"
            raise NotApplicable(f"the network does not run on {what}: {one_line(error)}") from error
        return Pass(logits_of(returned, known.choice), returned, known, watch.kept, watch.pooled)


_COUNTED = ("matmul", "mm", "bmm", "addmm", "baddbmm", "bilinear")


def _is_uncounted(node: Node) -> bool:
    """Whether a call multiplies in a way that the counter does not see."""
    return node.name.startswith("sparse") or (node.kind is Kind.PRODUCT and node.name not in _COUNTED)
