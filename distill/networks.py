"""The networks that teachers can be, by the first word of their names, and those of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from common import modules
from common.errors import BadInput, BadUsage, one_line
from common.files import expanded, size_of
from common.formats import check_tensors
from distill.recipe_name import OWN_TEACHER
from spaces.draw import Draw
from spaces.nb201.cell import cell_at, resolve
from spaces.nb201.network import CellNetwork
from spaces.resnet.network import ResNet, shape_named
from spaces.resnet.resnet9 import ResNet9

Build = Callable[[Draw], nn.Module]
"""Makes the network of a draw."""
Kind = Callable[[str, Any], Build]
"""Takes a network's name and its recipe's skeleton. Raises BadUsage for a wrong name, before anything is built."""


def _cell(name: str, skeleton: Any) -> Build:
    """`nb201-<cell>`: a cell on the recipe's skeleton, by its index or string."""
    if not name.startswith("nb201-"):
        return _residual(name, skeleton)
    return partial(CellNetwork, cell_at(resolve(name.removeprefix("nb201-"))), skeleton)


def _resnet9(name: str, skeleton: Any) -> Build:
    """`resnet9-<channels>`."""
    said = re.fullmatch(r"resnet9-([1-9]\d{0,2})", name, re.ASCII)
    return _residual(name, skeleton) if said is None else partial(ResNet9, int(said[1]), skeleton.classes)


def _residual(name: str, skeleton: Any) -> Build:
    """`resnet<depth>` or `wrn-<depth>-<widen>`."""
    return partial(ResNet, shape_named(name, skeleton.classes))


KINDS: dict[str, Kind] = {
    "nb201": _cell,
    "resnet9": _resnet9,
}
"""By what stands in front of the first dash of a network's name; names of other kinds are those of `shape_named`."""


def network(name: str, skeleton: Any) -> Build:
    """How the network of a name is made. Raises BadUsage where there is none."""
    return KINDS.get(name.partition("-")[0], _residual)(name, skeleton)


def own_function(name: str) -> Callable[[], nn.Module]:
    """The function of `FILE.py:FUNCTION`.

    Raises BadUsage for a name that is not so spelled, BadInput where file or function is missing.
    """
    said = OWN_TEACHER.fullmatch(name)
    if said is None:
        raise BadUsage(f"--teacher {name}: a teacher of one's own is named FILE.py:FUNCTION")
    path, function = expanded(said[1]), said[2]
    if not path.is_file():
        raise BadInput(f"--teacher {name}: there is no file {path}")
    make = getattr(modules.load(path), function, None)
    if not callable(make):
        raise BadInput(f"--teacher {name}: {path} has no function {function}")
    return cast("Callable[[], nn.Module]", make)


def own_network(name: str) -> nn.Module:
    """The nn.Module that the function of `FILE.py:FUNCTION` returns.

    Raises as `own_function`, and BadInput where the function raises an error or returns something else.
    """
    make = own_function(name)
    try:
        network = make()
    except (BadInput, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever the user's function raises, sys.exit() too
        raise BadInput(f"--teacher {name}: {one_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise BadInput(
            f"--teacher {name}: {name.rpartition(':')[2]} returns a {type(network).__name__}, not a torch.nn.Module"
        )
    return network


def load_weights(network: nn.Module, file: str | Path) -> nn.Module:
    """The network with the weights of a file, `.safetensors` or a state dict that `torch.save` wrote, on the CPU.

    Nothing is unpickled but tensors. Raises BadInput where the file cannot be read so, or is of another network.
    """
    path = expanded(file)
    try:
        _check_size(path, network)
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            check_tensors(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except ModuleNotFoundError:
        raise BadInput(f"{path} needs the library 'safetensors': pip install safetensors") from None
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        reason = str(error).split("\n")[0].rstrip(": ") or type(error).__name__
        raise BadInput(f"cannot take the weights of {path} ({reason}): save a state dict of this network") from error
    return network


def _check_size(path: Path, network: nn.Module) -> None:
    """Raises ValueError for a file that holds more than the network's weights, were they twice as precise."""
    most = 2 * sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()) + _BESIDE
    if (size := size_of(path)) > most:
        raise ValueError(f"{size:,} bytes, and the weights of this network have at most {most:,}")


_BESIDE = 16 * 2**20
"""Bytes that a file of weights may have beside them: names, and what its format needs."""
