"""Scores of networks of one's own: any `torch.nn.Module`, on images and labels that are handed in."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from bench.checks.judge import failure
from common.errors import BadUsage, said
from common.files import content_hash
from images.base import Batch
from probe.module.door import check_seed, checked
from proxies import registry
from proxies.base import NotApplicable, Population, Proxy
from proxies.module import ModuleScore, observed_teacher, score_modules

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def score(
    proxy: str | Proxy,
    model: nn.Module,
    images: torch.Tensor | np.ndarray,
    labels: torch.Tensor | np.ndarray | Sequence[int] | None,
    *,
    teacher: nn.Module | None = None,
    init: str | None = None,
    seed: int = 0,
    stages: Sequence[str] | None = None,
    blocks: Sequence[str] | None = None,
    second: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> float:
    """The score of an nn.Module by a proxy; larger is better. The network is afterwards what it was.

    `images` float [B, C, H, W], normalised as the network wants them, and `labels` int [B] are its batch, None where
    there are none, for proxies that read none; it is observed in training mode, on the device that it is on. `teacher`
    is read as it is, in its own mode: trained ones in evaluation mode.
    `init` draws the weights anew (`default`, `kaiming`, `gaussian`) on a copy, or leaves them for every proxy
    (`given`); None leaves them for proxies that declare no initialisation of their own. `seed` draws those weights,
    noise and dropout. `stages` names the modules whose outputs are feature maps, `blocks` those that are read as blocks
    (None: found by the rules of docs/guides/your-network.md); `second` is another batch, (images, labels), for proxies
    that read two.

    Raises NotApplicable, with the reason, where the proxy has no meaning for the network, BadUsage for an unknown
    name and BadInput for images and labels that do not fit. What else is to be known of a score, a share of weights
    without gradient for instance, is a warning.
    """
    if isinstance(proxy, str) and ("," in proxy or proxy.strip() == "all"):
        raise BadUsage(f"score: {proxy!r} is several proxies: score_all scores by those")
    chosen = registry.create(proxy) if isinstance(proxy, str) else proxy
    if not isinstance(chosen, Proxy):
        raise BadUsage(f"score: {chosen!r} is no proxy: give a name, or a Proxy")
    batch = _batch(images, labels)
    options = _options(init, seed, stages, blocks, second) | {"teacher": teacher}
    (found,) = score_modules([chosen], model, batch, **options).values()
    if isinstance(found, NotApplicable):
        raise found
    for note in found.notes:
        warnings.warn(f"{chosen.label}: {note}", stacklevel=2)
    return found.value


def score_all(
    proxies: str | Iterable[str | Proxy],
    models: Mapping[str, nn.Module],
    images: torch.Tensor | np.ndarray,
    labels: torch.Tensor | np.ndarray | Sequence[int] | None,
    *,
    teacher: nn.Module | None = None,
    init: str | None = None,
    seed: int = 0,
    stages: Mapping[str, Sequence[str]] | None = None,
    blocks: Mapping[str, Sequence[str]] | None = None,
    second: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> pd.DataFrame:
    """A DataFrame with a row for each (network, proxy): `score`, `status`, `reason`.

    `proxies` as the command line takes them (`nwot,snip`, `all`, a list); `stages` and `blocks` by network; the rest
    as `score`.
    `status` is `ok`, `nonfinite`, `not_applicable`, `oom` or `error`, and `reason` says why there is no score, or what
    is to be known of it. Proxies that rank networks among each other (`vkdnw_aggregate`) rank those handed in.
    `frame["score"].unstack()` is a table of networks and proxies.
    """
    import pandas as pd  # a score alone needs no table

    if not isinstance(models, Mapping) or not models:
        raise BadUsage("score_all: hand in networks by name, {'a': network, ...}")
    chosen = _chosen(proxies)
    parts = [part for one in chosen if isinstance(one, Population) for part in registry.parts(one)]
    read = list({one.label: one for one in (*chosen, *parts) if isinstance(one, Proxy)}.values())
    batch = _batch(images, labels)
    options = _options(init, seed, None, None, second)
    if teacher is not None:
        options["teacher"] = observed_teacher(teacher, batch, read, seed=seed)
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for name, model in models.items():
        own = options | {"stages": (stages or {}).get(name), "blocks": (blocks or {}).get(name)}
        for label, found in _scored(read, model, batch, own).items():
            rows[str(name), label] = _row(found)
    for one in chosen:
        if isinstance(one, Population):
            rows |= _ranked(one, list(map(str, models)), rows)
    wanted = [(str(name), one.label) for name in models for one in chosen]
    index = pd.MultiIndex.from_tuples(wanted, names=["network", "proxy"])
    return pd.DataFrame([rows[key] for key in wanted], index).astype({"score": float})


def _chosen(proxies: str | Iterable[str | Proxy]) -> list[Proxy | Population]:
    if isinstance(proxies, str):
        return registry.choose(proxies)
    found: list[Proxy | Population] = []
    for one in proxies:
        found += registry.choose(one) if isinstance(one, str) else [one]
    if not found:
        raise BadUsage("no proxy named: give one, several, or all")
    for entry in found:
        if not isinstance(entry, Proxy | Population):
            raise BadUsage(f"score_all: {entry!r} is no proxy: give names, or Proxy objects")
    return found


def _batch(images: Any, labels: Any) -> Batch:
    """The batch of images and labels, under the hash of what they hold. Raises BadInput."""
    made = checked(Batch(images, labels, ""))
    return replace(made, hash=content_hash([made.images.detach().cpu().numpy(), made.labels.cpu().numpy()]))


def _options(
    init: str | None,
    seed: int,
    stages: Sequence[str] | None,
    blocks: Sequence[str] | None,
    second: tuple[torch.Tensor, torch.Tensor] | None,
) -> dict[str, Any]:
    check_seed(seed)
    if second is not None and not (isinstance(second, Sequence) and len(second) == 2):
        raise BadUsage(f"second is a {type(second).__name__}: give a pair, (images, labels)")
    other = None if second is None else _batch(*second)
    return {"init": init, "seed": seed, "stages": stages, "blocks": blocks, "second": other}


Found: TypeAlias = ModuleScore | NotApplicable | tuple[str, str]
"""A score, why there is none, or (status, reason) of a failure."""


def _scored(proxies: Sequence[Proxy], model: nn.Module, batch: Batch, options: dict[str, Any]) -> dict[str, Found]:
    """By label; where something fails, one proxy at a time, so that it fails alone."""
    try:
        return dict(score_modules(proxies, model, batch, **options))
    except (BadUsage, KeyboardInterrupt):
        raise
    except BaseException as error:  # a proxy may fail in any way, and a network too
        if len(proxies) == 1:
            return {proxies[0].label: failure(error)}
    return {label: found for proxy in proxies for label, found in _scored([proxy], model, batch, options).items()}


def _row(found: Found) -> dict[str, object]:
    if isinstance(found, NotApplicable):
        return {"score": math.nan, "status": "not_applicable", "reason": said(found)}
    if not isinstance(found, ModuleScore):
        status, reason = found
        return {"score": math.nan, "status": status, "reason": reason}
    if not math.isfinite(found.value):
        return {"score": math.nan, "status": "nonfinite", "reason": str(found.value)}
    return {"score": found.value, "status": "ok", "reason": "; ".join(found.notes)}


def _ranked(
    population: Population, names: Sequence[str], rows: Mapping[tuple[str, str], Mapping[str, object]]
) -> dict[tuple[str, str], dict[str, object]]:
    """The rows of a proxy that ranks networks among each other: of those that all of its parts have a score of.

    One network has nothing to be ranked among.
    """
    import pandas as pd

    labels = [part.label for part in registry.parts(population)]
    columns = pd.DataFrame({label: [rows[name, label]["score"] for name in names] for label in labels}, names)
    combined = population.combine(columns.dropna()).reindex(names)
    alone = "it ranks networks among each other: hand in more than one" if combined.notna().sum() < 2 else ""
    found: dict[tuple[str, str], dict[str, object]] = {}
    for name in names:
        lacking = [label for label in labels if rows[name, label]["status"] != "ok"]
        reason = f"no score of its part {lacking[0]}: {rows[name, lacking[0]]['reason']}" if lacking else alone
        value, status = (math.nan, "not_applicable") if reason else (combined[name], "ok")
        found[name, population.label] = {"score": value, "status": status, "reason": reason}
    return found
