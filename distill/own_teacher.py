"""Teachers of one's own, named `FILE.py:FUNCTION`: a function without arguments that returns a `torch.nn.Module`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from common import modules
from common.errors import BadInput, BadUsage

if TYPE_CHECKING:
    from torch import nn

_SPELLED = re.compile(r"(.+\.py):([A-Za-z_]\w*)")


def is_own(name: str) -> bool:
    """Whether a name is of a teacher of one's own."""
    return _SPELLED.fullmatch(name) is not None


def short_name(name: str) -> str:
    """`FILE.py:FUNCTION` without the folder of the file: what records say, since folders differ between machines."""
    said = _SPELLED.fullmatch(name)
    return f"{Path(said[1]).name}:{said[2]}" if said else name


def own_network(name: str) -> nn.Module:
    """The nn.Module that the function of `FILE.py:FUNCTION` returns.

    Raises BadUsage for a name that is not so spelled, BadInput where file or function is missing, raises an error or
    returns something else.
    """
    from torch import nn

    said = _SPELLED.fullmatch(name)
    if said is None:
        raise BadUsage(f"--teacher {name}: a teacher of one's own is named FILE.py:FUNCTION")
    path, function = Path(said[1]).expanduser(), said[2]
    if not path.is_file():
        raise BadInput(f"--teacher {name}: there is no file {path}")
    make = getattr(modules.load(path), function, None)
    if not callable(make):
        raise BadInput(f"--teacher {name}: {path} has no function {function}")
    try:
        network = make()
    except BadInput:
        raise
    except Exception as error:  # whatever the user's function raises
        raise BadInput(f"--teacher {name}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not isinstance(network, nn.Module):
        raise BadInput(f"--teacher {name}: {function} returns a {type(network).__name__}, not a torch.nn.Module")
    return network


def load_weights(network: nn.Module, file: str | Path) -> nn.Module:
    """The network with the weights of a file, `.safetensors` or a state dict that `torch.save` wrote, on the CPU.

    Nothing is unpickled but tensors. Raises BadInput where the file cannot be read so, or is of another network.
    """
    import torch

    path = Path(file).expanduser()
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except ModuleNotFoundError:
        raise BadInput(f"{path} needs the library 'safetensors': pip install safetensors") from None
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        reason = str(error).split("\n")[0].rstrip(": ") or type(error).__name__
        raise BadInput(f"cannot take the weights of {path} ({reason}): save a state dict of this network") from error
    return network
