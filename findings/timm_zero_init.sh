#!/usr/bin/env bash
# Tried: the gradient and the SynFlow score of every convolution of an untrained resnet50, as timm 1.0.31 builds it.
# Expected: such a score sums over all weights of the untrained network, and nearly every convolution adds to it.
# What happens: the last batch norm of each residual block starts with weight zero, a choice made for training. It
# multiplies all that reaches the convolutions before it: 48 of 53 convolutions, 88 % of the convolution weights,
# have a gradient and a SynFlow score of exactly zero. With zero_init_last=False none has.
# Why it matters: scores at initialisation then see only the stem and the shortcuts, and whatever a search changes
# inside the blocks leaves them as they were. Who ranks residual networks has to know how they were initialised.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 torchvision==0.28.0 timm==1.0.31

"$tmp/venv/bin/python" -I - <<'PY'
import sys
import types

# timm imports torchvision, of which only Python code is used here: leave out what needs its compiled operators.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("unused")
import timm
import torch


def gradient(model):
    model(torch.randn(2, 3, 32, 32)).logsumexp(1).sum().backward()


def synflow(model):
    model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    model(torch.ones(1, 3, 32, 32, dtype=torch.double)).sum().backward()


def dead(score, **options):
    torch.manual_seed(0)
    model = timm.create_model("resnet50", **options)
    score(model)
    weights = [m.weight for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    zero = [w.numel() for w in weights if not (w * w.grad).any()]
    return len(zero), len(weights), round(sum(zero) / sum(w.numel() for w in weights), 3)


print("timm", timm.__version__)
for score in gradient, synflow:
    default, changed = dead(score), dead(score, zero_init_last=False)
    print(f"{score.__name__}: zero in {default[0]} of {default[1]} convolutions, {default[2]:.1%} of their weights;",
          f"with zero_init_last=False in {changed[0]}")
    assert default == (48, 53, 0.882) and changed == (0, 53, 0)
PY
