"""Small networks of the families of the package `transformers`, built from their configurations: nothing is downloaded.

All take images [B, 3, 32, 32], but LeViT 64 x 64, tell five classes apart, and drop nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import nn

CLASSES = 5


class Words(nn.Module):
    """A language model that reads the patches of an image as words, and says the class as its next."""

    def __init__(self, patches: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.patches, self.model = patches, model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        words = self.patches(images).flatten(2).transpose(1, 2)
        logits: torch.Tensor = self.model(inputs_embeds=words).logits
        return logits if logits.ndim == 2 else logits[:, -1]


def _of(name: str, model: str = "", **config: Any) -> nn.Module:
    """A model for image classification by the name of its classes."""
    made = getattr(transformers, f"{name}Config")(num_labels=CLASSES, **config)
    network: nn.Module = getattr(transformers, model or f"{name}ForImageClassification")(made)
    for module in network.modules():
        for share in ("p", "drop_prob"):
            if isinstance(getattr(module, share, None), float):
                setattr(module, share, 0.0)
    return network


_PLAIN = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_VIT = {**_PLAIN, "image_size": 32, "patch_size": 8}
_STAGES = {"num_encoder_blocks": 2, "depths": [1, 1], "hidden_sizes": [8, 16], "num_attention_heads": [1, 2]}


def _bert() -> nn.Module:
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = _of("Bert", "BertForSequenceClassification", vocab_size=7, max_position_embeddings=16, **_PLAIN, **none)
    return Words(nn.Conv2d(3, 16, 8, 8), model)


def _gpt2() -> nn.Module:
    """Its words' embedding is the classifier's weight too."""
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    none |= {"bos_token_id": None, "eos_token_id": None}
    model = _of("GPT2", "GPT2LMHeadModel", vocab_size=CLASSES, n_embd=16, n_layer=2, n_head=2, n_positions=16, **none)
    return Words(nn.Conv2d(3, 16, 8, 8), model)


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "ResNet": lambda: _of(
        "ResNet", embedding_size=8, hidden_sizes=[8, 16, 24], depths=[1, 2, 1], layer_type="basic"
    ),
    "RegNet": lambda: _of("RegNet", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], groups_width=4),
    "ConvNeXt": lambda: _of("ConvNext", hidden_sizes=[8, 16], depths=[1, 1], num_stages=2),
    "MobileNetV2": lambda: _of("MobileNetV2", depth_multiplier=0.25, image_size=32, finegrained_output=False),
    "EfficientNet": lambda: _of(
        "EfficientNet", image_size=32, width_coefficient=0.25, depth_coefficient=0.2, hidden_dim=320,
        dropout_rate=0.0, drop_connect_rate=0.0, initializer_range=0.1,  # by default nothing comes through
    ),
    "PoolFormer": lambda: _of("PoolFormer", depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16]),
    "ViT": lambda: _of("ViT", **_VIT),
    "DeiT": lambda: _of("DeiT", **_VIT),
    "Swin": lambda: _of(
        "Swin", image_size=32, patch_size=2, embed_dim=8, depths=[2, 1], num_heads=[2, 2], window_size=4,
        drop_path_rate=0.0,
    ),
    "SegFormer": lambda: _of(
        "Segformer", sr_ratios=[2, 1], patch_sizes=[7, 3], strides=[4, 2], mlp_ratios=[2, 2], **_STAGES,
        drop_path_rate=0.0, classifier_dropout_prob=0.0,
    ),
    "PVT": lambda: _of(
        "Pvt", image_size=32, sequence_reduction_ratios=[2, 1], patch_sizes=[4, 2], strides=[4, 2],
        mlp_ratios=[2, 2], **_STAGES, hidden_dropout_prob=0.0,
    ),
    "LeViT": lambda: _of(
        "Levit", image_size=64, hidden_sizes=[16, 24, 32], num_attention_heads=[2, 2, 2], depths=[1, 1, 1],
        key_dim=[8, 8, 8],
    ),
    "MobileViT": lambda: _of(
        "MobileViT", image_size=32, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32],
        num_attention_heads=2, hidden_dropout_prob=0.0, classifier_dropout_prob=0.0,
    ),
    "BERT": _bert,
    "GPT-2": _gpt2,
}  # fmt: skip
"""By name."""


def family(name: str, seed: int = 0) -> nn.Module:
    """The network of a family with weights of a seed; the global random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FAMILIES[name]()
