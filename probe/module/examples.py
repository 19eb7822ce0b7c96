"""Small networks of the kinds that people bring: what a proxy makes of each is a table of docs/guides/your-network.md.

All take images [B, 3, 16, 16], tell five classes apart, and have weights as PyTorch draws them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

CLASSES, SIZE = 5, 16


class Residual(nn.Module):
    """x + inner(x), then an activation; a projection of x where the shape changes."""

    def __init__(self, inner: nn.Module, after: nn.Module, beside: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.after = after
        self.beside = beside or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.after(self.inner(x) + self.beside(x))
        return result


def _conv(
    i: int, o: int, kernel: int, norm: Callable[[int], nn.Module], *behind: nn.Module, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, norm(o), *behind)


def _residual_network(norm: Callable[[int], nn.Module]) -> nn.Module:
    relu = nn.ReLU(inplace=True)  # one for all
    wider = nn.Sequential(_conv(8, 16, 3, norm, relu, stride=2), _conv(16, 16, 3, norm))
    same = nn.Sequential(_conv(16, 16, 3, norm, relu), _conv(16, 16, 3, norm))
    blocks = nn.Sequential(Residual(wider, relu, _conv(8, 16, 1, norm, stride=2)), Residual(same, relu))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES))
    return nn.Sequential(_conv(3, 8, 3, norm, relu), blocks, head)


def resnet() -> nn.Module:
    """Residual blocks of convolution, batch norm and ReLU."""
    return _residual_network(nn.BatchNorm2d)


def group_norm_resnet() -> nn.Module:
    """The same with group norms."""
    return _residual_network(lambda channels: nn.GroupNorm(4, channels))


def vgg() -> nn.Module:
    """Convolutions without norm, and hidden layers with dropout in front of the classifier."""
    maps = [
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(True),
    ]
    hidden = [nn.Flatten(), nn.Linear(16 * 8 * 8 // 4, 32), nn.ReLU(True), nn.Dropout(0.2), nn.Linear(32, CLASSES)]
    return nn.Sequential(*maps, nn.MaxPool2d(2), *hidden)


def mobilenet() -> nn.Module:
    """Inverted residual blocks of depth-wise convolutions with ReLU6."""

    def inverted(i: int, o: int, stride: int) -> nn.Module:
        wide, relu6 = 3 * i, nn.ReLU6(inplace=True)
        inner = nn.Sequential(
            _conv(i, wide, 1, nn.BatchNorm2d, relu6),
            _conv(wide, wide, 3, nn.BatchNorm2d, relu6, groups=wide, stride=stride),
            _conv(wide, o, 1, nn.BatchNorm2d),
        )
        return Residual(inner, nn.Identity()) if stride == 1 else inner

    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, CLASSES))
    stem = _conv(3, 8, 3, nn.BatchNorm2d, nn.ReLU6(inplace=True))
    return nn.Sequential(stem, inverted(8, 8, 1), inverted(8, 16, 2), inverted(16, 16, 1), head)


class _Excited(nn.Module):
    """Squeeze and excitation: each channel times a sigmoid of all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 4, 1), nn.SiLU(), nn.Conv2d(4, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


def efficientnet() -> nn.Module:
    """SiLU, and gates by squeeze and excitation."""
    inner = nn.Sequential(
        _conv(8, 16, 3, nn.BatchNorm2d, nn.SiLU(), groups=8), _Excited(16), _conv(16, 8, 1, nn.BatchNorm2d)
    )
    stem, last = _conv(3, 8, 3, nn.BatchNorm2d, nn.SiLU(), stride=2), _conv(8, 16, 1, nn.BatchNorm2d, nn.SiLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES))
    return nn.Sequential(stem, Residual(inner, nn.Identity()), last, head)


class _ConvNeXtBlock(nn.Module):
    """Depth-wise convolution, then layer norm and two linear layers on each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.mix(pixels)).permute(0, 3, 1, 2)


class _Pooled(nn.Module):
    """The mean over pixels, layer norm, classifier."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.norm(x.mean((2, 3))))
        return scores


def convnext() -> nn.Module:
    """Layer norms, GELU, and linear layers on maps."""
    stages = nn.Sequential(_ConvNeXtBlock(8), nn.Conv2d(8, 16, 2, stride=2), _ConvNeXtBlock(16))
    return nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), stages, _Pooled(16))


class _Attention(nn.Module):
    """Self-attention of two heads over tokens [B, N, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        result: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result


class _Windows(nn.Module):
    """Attention within windows of 2 x 2 pixels, which stand beside the images."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = _Attention(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = int(x.shape[1] ** 0.5)
        tiles = x.unflatten(1, (side // 2, 2, side // 2, 2)).transpose(2, 3)
        mixed = self.attention(tiles.flatten(0, 2).flatten(1, 2))
        return mixed.view(tiles.shape).transpose(2, 3).flatten(1, 4)


class _TransformerBlock(nn.Module):
    """Attention and two linear layers, each behind a layer norm and beside a skip."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.attention = attention
        self.mix = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norms[0](x))
        return x + self.mix(self.norms[1](x))


class _Transformer(nn.Module):
    """Patches of 4 x 4 pixels, position embeddings, blocks; the class token is read, or the mean of all tokens."""

    def __init__(self, attention: Callable[[int], nn.Module], class_token: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.token = nn.Parameter(torch.full((1, 1, 16), 0.1)) if class_token else None
        self.positions = nn.Parameter(torch.linspace(-1, 1, (16 + class_token) * 16).view(1, -1, 16))
        self.blocks = nn.Sequential(_TransformerBlock(16, attention(16)), _TransformerBlock(16, attention(16)))
        self.norm = nn.LayerNorm(16)
        self.classifier = nn.Linear(16, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        x = self.norm(self.blocks(x + self.positions))
        scores: torch.Tensor = self.classifier(x.mean(1) if self.token is None else x[:, 0])
        return scores


def vit() -> nn.Module:
    """Attention over all tokens, with a class token and position embeddings."""
    return _Transformer(_Attention, class_token=True)


def swin() -> nn.Module:
    """Attention within windows."""
    return _Transformer(_Windows, class_token=False)


def perceptron() -> nn.Module:
    """Two hidden layers of the pixels, with ReLU."""
    hidden = [nn.Linear(3 * SIZE * SIZE, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(16, CLASSES))


class _LanguageModel(nn.Module):
    """Words are the brightnesses of 4 x 4 pixels, as many as classes: the scores are those of the next word.

    A word's embedding is its row of the classifier too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.levels: torch.Tensor
        self.register_buffer("levels", torch.linspace(-0.2, 0.2, CLASSES - 1))
        self.words = nn.Embedding(CLASSES, 16)
        self.positions = nn.Parameter(torch.linspace(-1, 1, 16 * 16).view(1, 16, 16))
        self.blocks = nn.Sequential(_TransformerBlock(16, _Attention(16)), _TransformerBlock(16, _Attention(16)))
        self.norm = nn.LayerNorm(16)
        self.classifier = nn.Linear(16, CLASSES, bias=False)
        self.classifier.weight = self.words.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = F.avg_pool2d(images.mean(1, keepdim=True), SIZE // 4).flatten(1)
        numbers = torch.bucketize(bright, self.levels)
        x = self.norm(self.blocks(self.words(numbers) + self.positions))
        scores: torch.Tensor = self.classifier(x[:, -1])
        return scores


def language_model() -> nn.Module:
    """Attention over words that pixels stand for, the embedding tied to the classifier."""
    return _LanguageModel()


def segmentation() -> nn.Module:
    """Class scores of each pixel."""
    layers = [_conv(3, 8, 3, nn.BatchNorm2d, nn.ReLU(), stride=2), _conv(8, 8, 3, nn.BatchNorm2d, nn.ReLU())]
    return nn.Sequential(*layers, nn.Conv2d(8, CLASSES, 1), nn.Upsample(scale_factor=2))


KINDS: dict[str, Callable[[], nn.Module]] = {
    "ResNet": resnet,
    "VGG": vgg,
    "MobileNet": mobilenet,
    "group norm": group_norm_resnet,
    "SiLU, SE": efficientnet,
    "ConvNeXt": convnext,
    "ViT": vit,
    "Swin": swin,
}
"""By the names of their columns."""
OTHERS: dict[str, Callable[[], nn.Module]] = {
    "MLP": perceptron,
    "language model": language_model,
    "segmentation": segmentation,
}
"""Further kinds: without maps, without derivatives in the images, without class scores of an image."""


def example(kind: str, seed: int = 0) -> nn.Module:
    """The network of a kind with weights of a seed; the global random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return (KINDS | OTHERS)[kind]()
