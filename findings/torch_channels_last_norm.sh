#!/usr/bin/env bash
# Tried: BatchNorm2d of torch 2.13.0 in training mode on the CPU, on the same [64, 16, 32, 32] images with mean 3 in
# the contiguous and in the channels_last memory format, against the same in float64.
# Expected: a memory format says where the numbers lie. Results may differ in the last digit, not in exactness.
# What happens: in channels_last the sums of 65,536 numbers seem to run one after the other in float32. The output's
# error is tens of times that of the contiguous format, and it changes with the number of threads.
# Why it matters: channels_last is chosen for speed. Running statistics, and every score and accuracy that rests on
# them, are then less exact and no longer the same on a machine with other cores; close ranks can swap.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

"$tmp/venv/bin/python" -I - <<'PY'
import torch

images = torch.randn(64, 16, 32, 32, generator=torch.Generator().manual_seed(0)) + 3
exact = torch.nn.BatchNorm2d(16, affine=False).double()(images.double())


def run(memory_format, threads):
    torch.set_num_threads(threads)
    output = torch.nn.BatchNorm2d(16, affine=False)(images.contiguous(memory_format=memory_format))
    return output.contiguous(), (output.double() - exact).abs().max().item()


print("torch", torch.__version__)
plain, last = ({n: run(layout, n) for n in (1, 2)} for layout in (torch.contiguous_format, torch.channels_last))
for n in 1, 2:
    print(f"{n} threads: largest error contiguous {plain[n][1]:.1e}, channels_last {last[n][1]:.1e},",
          f"{last[n][1] / plain[n][1]:.0f} times")
    assert last[n][1] > 10 * plain[n][1]
assert torch.equal(plain[1][0], plain[2][0]) and not torch.equal(last[1][0], last[2][0])
print("one and two threads agree: contiguous yes, channels_last no")
PY
