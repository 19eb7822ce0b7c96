#!/usr/bin/env bash
# Tried: five counters (fvcore 0.1.5.post20221221, ptflops 0.7.5, thop 0.1.1.post2209072238, torchprofile 0.1.0, flopth
# 0.1.6) on one small network, with an edge that keeps its input (skip) or is x.mul(0.0), as none often runs.
# Expected: 442,528 multiply-adds from all of them, or one order at least, and a network that is as it was before.
# What happens: five numbers, all larger, each with rules of its own for batch norm, ReLU and pooling. With ptflops and
# torchprofile the edge x.mul(0.0) is dearer than the one that keeps its input. Afterwards the state_dict
# has new entries (thop, flopth), running statistics have moved (fvcore, torchprofile), the network is in eval mode
# (ptflops, flopth), or the random state has moved (flopth).
# Why it matters: FLOPs are the baseline that every score has to beat. A ranking by them depends on the counter, and
# who counts first and scores or trains after works on a changed network or with other random numbers.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet torch==2.13.0 torchvision==0.28.0 fvcore==0.1.5.post20221221 ptflops==0.7.5 \
    thop==0.1.1.post2209072238 torchprofile==0.1.0 flopth==0.1.6

"$tmp/venv/bin/python" -I -W ignore - <<'PY'
import sys, types
from importlib.metadata import version

# flopth imports torchvision, of which nothing is used here: leave out what needs its compiled operators.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("unused")
import flopth, fvcore.nn, ptflops, thop, torch, torchprofile

class Network(torch.nn.Module):
    def __init__(self, edge):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 16, 3, padding=1, bias=False), torch.nn.BatchNorm2d(16)
        self.edge, self.classifier = edge, torch.nn.Linear(16, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return self.classifier((x + self.edge(x)).mean((2, 3)))

def measure(count, edge):
    network, before = Network(edge), torch.get_rng_state()
    entries, counted = -len(network.state_dict()), int(count(network))
    entries += len(network.state_dict())
    left = {f"{entries} entries": entries, "statistics": network.norm.running_mean.any(),
            "eval mode": not network.training, "random state": not torch.equal(before, torch.get_rng_state())}
    return counted, [change for change, seen in left.items() if seen]

image, size = torch.randn(1, 3, 32, 32), (3, 32, 32)
counters = {
    "fvcore": lambda net: fvcore.nn.FlopCountAnalysis(net, image).unsupported_ops_warnings(False).total(),
    "ptflops": lambda net: ptflops.get_model_complexity_info(net, size, False, False)[0],
    "thop": lambda net: thop.profile(net, (image,), verbose=False)[0],
    "torchprofile": lambda net: torchprofile.profile_macs(net, image),
    "flopth": lambda net: flopth.flopth(net, in_size=[size], bare_number=True)[0],
}
skip, none, leaves = {}, {}, {}
for name, count in counters.items():
    (skip[name], leaves[name]), (none[name], _) = (measure(count, e) for e in (lambda x: x, lambda x: x.mul(0.0)))
    print(f"{name} {version(name)}: skip {skip[name]:,}, none {none[name]:,}, leaves {leaves[name]}")
assert len({*skip.values()}) == 5 and min(skip.values()) > 1024 * 16 * 27 + 16 * 10
assert {name for name in skip if none[name] > skip[name]} == {"ptflops", "torchprofile"}
assert leaves == {"fvcore": ["statistics"], "ptflops": ["eval mode"], "thop": ["2 entries"],
                  "torchprofile": ["statistics"], "flopth": ["3 entries", "eval mode", "random state"]}
PY
