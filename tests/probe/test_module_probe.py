"""A probe of somebody's network sees what is in it, and leaves it as it was."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.errors import BadInput, BadUsage
from images.base import Batch
from probe.calls import Kind
from probe.module.examples import CLASSES, KINDS, SIZE, example
from probe.module.probe import ModuleProbe, module_probe
from probe.module.subject import Subject
from probe.module.survey import Survey
from probe.needs import BACKWARD, READS_BATCH, NotApplicable
from spaces.output import Output


def batch(count: int = 6, shape: Sequence[int] = (3, SIZE, SIZE)) -> Batch:
    images = torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(count) % CLASSES, "")


def probe(network: nn.Module, *needs: str, of: Batch | None = None, **options: Any) -> ModuleProbe:
    return module_probe(network, of or batch(), needs or ("forward", "weights"), **options)


def read_everything(found: ModuleProbe) -> None:
    """Every record that a probe has, or the reason why it has none."""
    for name in ("logits", "pooled", "features", "loss", "classifier_gradient", "relu_codes", "relu_kernel"):
        read(found, name)
    for name in ("gradients", "gate_gradients", "input_gradients", "hessian_gradient", "blocks", "block_gradients"):
        read(found, name)
    for name in ("sign_sums", "run", "logit_jacobian"):
        with suppress(NotApplicable):
            getattr(found, name)(*{"sign_sums": (), "run": (found.images,), "logit_jacobian": (4,)}[name])


def read(found: ModuleProbe, name: str) -> None:
    with suppress(NotApplicable):
        assert getattr(found, name) is not None


# what it leaves behind


class Diary(nn.Module):
    """Counts its passes, keeps what it saw, draws in three ways, and has statistics and a buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.classifier = nn.Linear(8, CLASSES)
        self.passes, self.last = 0, None
        self.told, self.means, self.sizes = [0.0], {"first": 0.0}, {0}
        self.recent = deque([0], maxlen=1)
        self.mean: torch.Tensor
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean((0, 2, 3))
        self.mean.mul_(2)
        self.last = x.detach()  # type: ignore[assignment]
        self.told.append(float(self.passes))
        self.means[f"{self.passes}"] = self.told[-1]
        self.sizes.add(self.passes)
        self.recent.append(self.passes)
        if self.training and random.random() + np.random.rand() < 0:
            return torch.zeros(len(x), CLASSES)
        return self.classifier(self.drop(x.mean((2, 3))))


def state_of(network: nn.Module) -> dict[str, Any]:
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return {
        "values": {name: tensor.detach().clone().numpy().tobytes() for name, tensor in tensors},
        "identity": [id(tensor) for _, tensor in tensors],
        "gradients": [tensor.grad for _, tensor in tensors],
        "frozen": [tensor.requires_grad for _, tensor in tensors],
        "modes": [module.training for module in network.modules()],
        "modules": [id(module) for module in network.modules()],
        "attributes": [sorted(vars(module)) for module in network.modules()],
        "hooks": [
            [len(hooks) for name, hooks in sorted(vars(module).items()) if name.endswith("_hooks")]
            for module in network.modules()
        ],
        "passes": getattr(network, "passes", 0),
        "last": getattr(network, "last", None),
        "kept": [repr(getattr(network, name, None)) for name in ("told", "means", "sizes", "recent")],
        "random": (torch.get_rng_state().numpy().tobytes(), random.getstate(), np.random.get_state()[1].tobytes()),
        "gradient mode": torch.is_grad_enabled(),
    }


EVERYTHING = (*READS_BATCH, "weights")


@pytest.mark.slow
@pytest.mark.parametrize("make", [Diary, *KINDS.values()])
def test_a_network_is_afterwards_what_it_was(make: Callable[[], nn.Module]) -> None:
    network = make()
    next(network.parameters()).requires_grad_(False)
    list(network.modules())[-1].eval()
    heard: list[int] = []
    handle = network.register_forward_hook(lambda *_: heard.append(1))
    before = state_of(network)
    for init in (None, "gaussian"):
        read_everything(probe(network, *EVERYTHING, init=init))
    after = state_of(network)
    for promise, value in before.items():
        assert after[promise] == value, promise
    assert heard  # its own hooks are part of it
    handle.remove()


def test_a_failing_pass_leaves_nothing_behind_either() -> None:
    class Fails(Diary):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            super().forward(x)
            raise ValueError("never mind\nwhy")

    network = Fails()
    before = state_of(network)
    with pytest.raises(BadInput, match=r"Fails does not run on images \[3, 16, 16\]: ValueError: never mind why"):
        assert probe(network).logits is not None
    assert state_of(network) == before


@pytest.mark.slow
def test_a_network_that_writes_into_its_weights_keeps_them() -> None:
    class Bounded(Diary):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.classifier.weight.data.clamp_(-0.01, 0.01)
            return super().forward(x)

    network = Bounded()
    before = state_of(network)
    logits = probe(network).logits
    assert state_of(network) == before
    assert logits.std() < probe(Diary()).logits.std()


@pytest.mark.slow
def test_gradients_are_those_in_training_mode_though_it_was_in_evaluation() -> None:
    network = example("MobileNet")
    training = probe(network, "gradients").gradients
    network.eval().requires_grad_(False)
    again = probe(network, "gradients").gradients
    assert training.keys() == dict(network.named_parameters()).keys()
    assert all(torch.equal(training[name], again[name]) for name in training)


# what it returns


class Pair(NamedTuple):
    features: torch.Tensor
    logits: torch.Tensor


class Returns(nn.Module):
    """A network of one convolution and two linear layers that returns what is asked for."""

    def __init__(self, wrap: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.hidden = nn.Conv2d(3, 8, 3), nn.Linear(8, 7)
            self.classifier = nn.Linear(7, CLASSES)
        self.wrap = wrap

    def forward(self, x: torch.Tensor) -> Any:
        hidden = F.relu(self.hidden(F.relu(self.conv(x)).mean((2, 3))))
        return self.wrap(hidden, self.classifier(hidden))


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrap",
    [
        lambda _, logits: logits,
        lambda _, logits: (logits,),
        lambda hidden, logits: (hidden, logits),
        lambda hidden, logits: [logits, hidden],
        lambda hidden, logits: {"out": logits, "aux": hidden},
        lambda hidden, logits: {"features": hidden, "logits": logits},
        Pair,
        lambda _, logits: type("Scores", (), {"logits": logits})(),
        lambda hidden, logits: Output(logits, hidden, (hidden[..., None, None],)),
    ],
)
def test_class_scores_are_found_in_what_is_returned(wrap: Callable[..., Any]) -> None:
    found, expected = probe(Returns(wrap)), probe(Returns(lambda _, logits: logits))
    assert found.logits.equal(expected.logits)
    assert found.pooled.equal(expected.pooled)
    assert found.classifier_weight.shape == (CLASSES, 7)


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda hidden, logits: logits.unsqueeze(0), r"returns \[1, 2, 5\] for 2 images"),
        (lambda hidden, logits: (hidden * 2, hidden[:, :CLASSES]), "returns 2 tensors that may be class scores"),
        (lambda hidden, logits: (), "returns tuple without a tensor"),
        (lambda hidden, logits: torch.zeros(len(logits), 5), "that no call of PyTorch makes from the images"),
        (lambda hidden, logits: torch.from_numpy(logits.detach().numpy()), r"alone, without \.numpy\(\)"),
        (lambda hidden, logits: torch.tensor(logits.tolist()), "that no call of PyTorch makes from the images"),
        (lambda hidden, logits: torch.as_tensor(hidden.detach().numpy()) @ torch.ones(7, 5), "no call of PyTorch"),
    ],
)
def test_what_holds_no_class_scores_is_refused(wrap: Callable[..., Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        assert probe(Returns(wrap)).logits is not None


def test_scores_that_no_linear_layer_gives_alone_have_no_classifier() -> None:
    found = probe(Returns(lambda hidden, logits: (logits + hidden[:, :CLASSES]) / 2))
    assert found.logits.shape == (6, CLASSES)
    with pytest.raises(NotApplicable, match="no linear layer alone"):
        assert found.classifier_gradient is not None
    convolutional = nn.Sequential(nn.Conv2d(3, CLASSES, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(NotApplicable, match="no linear layer of this network reads"):
        assert probe(convolutional).pooled is not None
    assert [tuple(map_.shape) for map_ in probe(convolutional).features] == [(6, CLASSES, SIZE, SIZE)]


def test_labels_have_to_be_classes_of_the_network() -> None:
    given = Batch(batch().images, torch.arange(6), "")
    with pytest.raises(BadInput, match="labels are 0 to 5, and Sequential scores 5 classes"):
        assert probe(example("VGG"), of=given).loss is not None


@pytest.mark.slow
def test_what_cannot_be_looked_into_is_refused() -> None:
    network = example("VGG")
    with pytest.raises(BadInput, match="TorchScript"):
        probe(torch.jit.trace(network.eval(), batch().images))
    with pytest.raises(BadInput, match="run it once"):
        probe(nn.Sequential(nn.Flatten(), nn.LazyLinear(CLASSES)))

    @torch.jit.script
    def hidden(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x)

    class Compiled(Diary):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            return self.classifier((x + hidden(x)).mean((2, 3)))

    with pytest.raises(BadInput, match="compiled functions"):
        assert probe(Compiled()).logits is not None


@pytest.mark.slow
def test_a_compiled_network_is_seen_as_it_was() -> None:
    network = example("ResNet")
    assert probe(torch.compile(network)).logits.equal(probe(network).logits)  # type: ignore[arg-type]


# stages, pooled features, blocks


STAGES = {
    "ResNet": [(8, 16, 16), (16, 8, 8)],
    "VGG": [(8, 16, 16), (16, 8, 8), (16, 4, 4)],
    "MobileNet": [(24, 16, 16), (16, 8, 8)],
    "group norm": [(8, 16, 16), (16, 8, 8)],
    "SiLU, SE": [(16, 8, 8)],
    "ConvNeXt": [(8, 8, 8), (16, 4, 4)],
    "ViT": [(16, 4, 4)],
    "Swin": [(16, 4, 4)],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_ends_with_the_last_map_that_everything_passes_through(kind: str) -> None:
    network = example(kind)
    found = probe(network)
    assert [tuple(features.shape[1:]) for features in found.features] == STAGES[kind]
    if kind in ("ResNet", "group norm", "SiLU, SE", "Swin"):  # others read a class token, or normed or dropped means
        torch.testing.assert_close(found.features[-1].mean((2, 3)), found.pooled)


def test_tokens_are_pixels_and_the_class_token_is_none() -> None:
    network = example("ViT")
    with torch.no_grad():
        x = network.patches(batch().images).flatten(2).transpose(1, 2)  # type: ignore[operator]
        x = torch.cat([network.token.expand(6, -1, -1), x], dim=1) + network.positions  # type: ignore[operator]
        tokens = network.norm(network.blocks(x))  # type: ignore[operator]
    found = probe(network)
    torch.testing.assert_close(found.features[0][:, :, 1, 2], tokens[:, 1 + 4 + 2])
    torch.testing.assert_close(found.pooled, tokens[:, 0])
    assert network.token.shape == (1, 1, 16)


@pytest.mark.slow
def test_stages_may_be_named() -> None:
    network = example("ViT")
    found = probe(network, stages=["patches", "blocks.0", "norm"])
    assert [tuple(features.shape) for features in found.features] == [(6, 16, 4, 4)] * 3
    with torch.no_grad():
        torch.testing.assert_close(found.features[0], network.patches(batch().images))  # type: ignore[operator]
    with pytest.raises(BadUsage, match=r"unknown stage .* 'block\.0': did you mean 'blocks\.0'"):
        assert probe(network, stages=["block.0"]).features
    with pytest.raises(BadInput, match=r"stage 'classifier' puts out \[2, 5\]"):
        assert probe(network, stages=["classifier"]).features


def test_an_unpadded_convolution_ends_no_stage_and_padding_begins_none() -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ZeroPad2d(3), nn.Conv2d(4, 5, 3), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES))
    assert [tuple(map_.shape[1:]) for map_ in probe(network).features] == [(5, 18, 18), (6, 7, 7)]


@pytest.mark.slow
def test_blocks_are_found_or_named() -> None:
    network = example("ResNet")
    found = probe(network, "blocks")
    images = batch().images
    stem = network[0].train()(images)  # type: ignore[index]
    assert [tuple(map_.shape[1:]) for map_ in found.blocks] == [(8, 16, 16), (16, 8, 8), (16, 8, 8)]
    torch.testing.assert_close(found.blocks[0], stem.detach())
    named = probe(network, "blocks", blocks=["1.1"])
    assert all(map_.equal(other) for map_, other in zip(named.blocks, found.blocks[1:], strict=True))
    with pytest.raises(NotApplicable, match="name blocks"):
        assert probe(example("VGG"), "blocks").blocks
    with pytest.raises(BadInput, match="name other modules"):
        assert probe(network, "blocks", blocks=["2"]).blocks


@pytest.mark.slow
@pytest.mark.parametrize("held", [[2, 2], [], [nn.ReLU()], [None]], ids=str)
def test_a_list_called_blocks_may_be_about_something_else(held: list[Any]) -> None:
    network = example("ResNet")
    expected = probe(network, "blocks").blocks
    vars(network)["blocks"] = held
    assert all(one.equal(other) for one, other in zip(probe(network, "blocks").blocks, expected, strict=True))


@pytest.mark.parametrize(("kind", "names"), [("ResNet", ["1.0", "1.1"]), ("ViT", ["blocks.0", "blocks.1"])])
def test_block_gradients_are_those_of_each_block_alone(kind: str, names: list[str]) -> None:
    network = example(kind).double()
    given = Batch(batch().images.double(), batch().labels, "")
    found = probe(network, "blocks", "block_gradients", of=given)
    for name, before, after, pair in zip(
        names, found.blocks[:-1], found.blocks[1:], found.block_gradients, strict=True
    ):
        start = before.clone().requires_grad_()

        def lies(map_: torch.Tensor) -> torch.Tensor:
            return map_ if kind == "ResNet" else map_[..., 0].transpose(1, 2)

        output = network.get_submodule(name)(lies(start).clone())
        torch.testing.assert_close(output, lies(after))
        (expected,) = torch.autograd.grad(output, start, lies(pair.output))
        torch.testing.assert_close(pair.input, expected)


# what it looks at


def of_two_images(known: Survey) -> Survey:
    """A survey with the shapes that two images have."""
    count = known.nodes[known.logits].shape[0]  # type: ignore[index]
    shapes = [node.shape and tuple(2 * n // count if n % count == 0 else n for n in node.shape) for node in known.nodes]
    return replace(known, nodes=[replace(node, shape=shape) for node, shape in zip(known.nodes, shapes, strict=True)])


@pytest.mark.slow
def test_what_is_known_on_shapes_alone_is_what_is_known_on_images() -> None:
    for kind in KINDS:
        shapes, values = (Subject(example(kind), batch().images) for _ in range(2))
        shapes._on_shapes = True
        assert of_two_images(shapes.survey()) == of_two_images(values.survey())
        assert shapes._on_shapes
        assert shapes.roles == values.roles
        assert shapes.multiply_adds == values.multiply_adds


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ResNet", "MobileNet"])
def test_batch_norms_on_shapes_are_known_as_on_images(kind: str) -> None:
    large = torch.randn(2, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    shapes, values = Subject(example(kind), large), Subject(example(kind), large)
    values._on_shapes = False
    assert of_two_images(shapes.survey()) == of_two_images(values.survey())
    assert shapes._on_shapes
    assert shapes.roles == values.roles


def test_a_batch_norm_of_other_channels_is_refused_on_shapes_too() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(BadInput, match="does not run on images"):
        assert probe(network.append(nn.Linear(4, CLASSES)), of=LARGE).logits is not None


LARGE = batch(shape=(3, 80, 80))
"""These are looked at as shapes."""


def test_a_network_that_looks_at_values_is_run_on_images() -> None:
    class Looks(Diary):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum().item() < 1e9 else x

    assert probe(Looks(), "relu_kernel", of=LARGE).relu_kernel.shape == (6, 6)


@pytest.mark.slow
def test_a_network_that_does_something_else_on_images_is_asked_again() -> None:
    class Strays(Diary):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if x.is_meta else F.gelu(x))

    found = probe(Strays(), "relu_kernel", of=LARGE)
    with pytest.raises(NotApplicable, match="gelu"):
        assert found.relu_kernel is not None


def test_a_network_that_does_something_else_each_time_is_refused() -> None:
    class Fickle(Diary):
        def __init__(self, others: tuple[int, ...]) -> None:
            super().__init__()
            self.turn, self.others = iter(range(1, 9)), others

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(F.gelu(x) if next(self.turn) in self.others else x)

    # two looks, then a pass; a look at shapes and a pass, and then as before
    for given, passes in ((batch(), (3,)), (LARGE, (2, 5))):
        with pytest.raises(NotApplicable, match="from run to run"):
            assert probe(Fickle(passes), "relu_kernel", of=given).relu_kernel is not None


@pytest.mark.slow
def test_a_network_that_loops_over_its_images_is_told_why_it_is_refused() -> None:
    class Loops(Diary):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.classifier(F.relu(self.conv(image)).mean((2, 3))) for image in x.split(1)])

    for given in (batch(), LARGE):
        with pytest.raises(NotApplicable, match="for other numbers of images, as one does that loops over them"):
            assert probe(Loops(), of=given).logits is not None


@pytest.mark.slow
def test_layers_are_what_multiplies_by_a_parameter() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.filter = nn.Parameter(torch.randn(4, 3, 3, 3))
            self.mix, self.scale = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.ones(6))
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.blur: torch.Tensor
            self.register_buffer("blur", torch.ones(4, 1, 3, 3) / 9)
            self.classifier, self.unused = nn.Linear(6, CLASSES), nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.conv2d(F.conv2d(x, self.filter - self.filter.mean()), self.blur, groups=4)
            tokens = (x.flatten(2).transpose(1, 2) @ self.mix) * self.scale
            return self.classifier(self.attention(tokens, tokens, tokens)[0].mean(1))

    names = ["filter", "mix", "attention.in_proj_weight", "attention.out_proj.weight"]
    subject = Subject(Raw(), batch().images)
    assert subject.layers == [*names, "classifier.weight", "unused.weight"]
    assert subject.roles["mix"].fan_in == 4
    assert subject.roles["attention.in_proj_bias"].part == "bias"
    assert "scale" not in subject.roles
    folded = [node.weight for node in subject.survey().kinds(Kind.LINEAR).values()]
    assert folded == ["mix", "attention.in_proj_weight", "attention.out_proj.weight", "classifier.weight"]


def test_a_weight_that_is_made_of_several_is_no_weight() -> None:
    network = example("VGG")
    nn.utils.parametrizations.weight_norm(network[0])  # type: ignore[index]
    with pytest.raises(NotApplicable, match=r"made of several parameters, 0\.parametrizations"):
        assert probe(network, "weights").weights
    assert probe(network).logits.isfinite().all()


def test_images_of_any_shape_have_noise_of_their_shape() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES))
    given = batch(shape=(1, 10, 14))
    found = probe(network, "noise.forward", "large.forward", of=given)
    assert found.noise.images.shape == (6, 1, 10, 14)
    assert found.large.images.shape == (1, 1, 64, 64)
    values = probe(network, "noise.forward", of=batch(200, (1, 10, 14))).noise.images
    assert abs(values.mean()) < 0.02
    assert values.std() == pytest.approx(1, abs=0.02)
    assert len(values.unique()) > 0.99 * values.numel()


@pytest.mark.parametrize("need", BACKWARD)
def test_only_what_was_declared_is_read(need: str) -> None:
    with pytest.raises(LookupError, match=need):
        getattr(probe(example("ResNet"), "forward", "weights"), need)
