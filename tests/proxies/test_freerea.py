"""FreeREA's parts, against the original network and the cell's own string; its sum, against a loop over cells."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from proxies import registry
from proxies.base import NotApplicable
from proxies.freerea import FreeREA, LogSynflow, SkipSpan
from proxies.module import score_module
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, check_proxy, make_batch, make_probe
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.xautodl_backbone import XautodlNetwork

SAMPLE = [*ORDINARY, *DEGENERATE[1:], *(str(cells()[index]) for index in (777, 4321, 9999, 15000))]


def score(name: str, cell: str) -> float:
    proxy = registry.create(name)
    probe = make_probe(cell, make_batch(6), proxy.needs, proxy.init, proxy.sees)
    return proxy.score(probe, probe)


@pytest.mark.parametrize("cell", SAMPLE)
def test_the_flow_is_that_of_the_original_network_without_its_norms(cell: str) -> None:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    network = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0)).inner.double()
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    for parameter in network.parameters():
        parameter.data.abs_()
    network(torch.ones(1, 3, SKELETON.size, SKELETON.size, dtype=torch.float64))[1].sum().backward()
    layers = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    expected = sum((w * torch.log(w.grad + 1)).abs().sum().item() for w in layers if w.grad is not None)
    assert score("logsynflow", cell) == pytest.approx(expected, rel=1e-6)


def test_spans_are_those_of_the_string() -> None:
    for index in range(0, len(cells()), 97):
        cell, spans = str(cells()[index]), []
        for level, node in enumerate(cell.split("+")):
            spans += [level - place for place, part in enumerate(node.strip("|").split("|")) if "skip" in part]
        assert score("skip_span", cell) == (np.mean(spans) if spans else 0)


def test_who_is_no_cell_has_no_spans() -> None:
    with pytest.raises(NotApplicable, match="made of none"):
        score_module(SkipSpan(), nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5)), make_batch(6))


def test_the_sum_is_of_shares_of_the_largest() -> None:
    columns = pd.DataFrame({"nwot": [1.0, -4.0, 2.0], "logsynflow": [1e9, 1e3, 5e8], "skip_span": [0.0, 0.0, 0.0]})
    expected = [1 / 4 + 1, -1 + 1e-6, 1 / 2 + 1 / 2]
    assert FreeREA().combine(columns).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("proxy", [LogSynflow, SkipSpan])
def test_the_contract_is_kept(proxy: type[LogSynflow | SkipSpan]) -> None:
    check_proxy(proxy)


def test_without_a_path_nothing_flows() -> None:
    assert score("logsynflow", DEGENERATE[0]) == 0
    assert math.isfinite(score("logsynflow", ORDINARY[0]))
