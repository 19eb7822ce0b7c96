"""The words with which a proxy declares what it reads of a probe, and what a probe says where that has no meaning."""

from __future__ import annotations

from collections.abc import Iterable


class NotApplicable(Exception):
    """Raised where a proxy, or what it reads, has no meaning for a network; the reason is stored with the row."""


NO_MAPS = "it reads feature maps, and none was found in this network: name stages"


BACKWARD = ("gradients", "gate_gradients", "input_gradients", "hessian_gradient", "block_gradients")
"""BACKWARD lists the needs that take the autograd graph of the forward pass. `gradients` are those of the loss in the
parameters, `gate_gradients` those in a factor on each channel of each layer (one backward pass computes both).
`input_gradients` are those of the logits in the images, `hessian_gradient` is the loss's Hessian times its gradient,
and `block_gradients` are random signs sent back through each block by itself."""

READS_BATCH = ("forward", "relu_codes", "relu_kernel", "blocks", *BACKWARD)
"""READS_BATCH lists the needs that take the batch of images. `forward` is one forward pass, `relu_codes` are the binary
codes of its ReLUs, `relu_kernel` says on how many ReLUs two images agree, `blocks` are the maps between blocks."""

VIEWS = {
    "second": "the same network on a second batch of the benchmark's images",
    "noise": "the same network on as many N(0, 1) images with random labels",
    "large": "the same network on one N(0, 1) image of 64 x 64 pixels",
    "small": "the cell in a network of 3 channels and one cell a stage, on the batch",
    "thin": "the cell in a network of 1 channel and one cell a stage, on 3,000 N(0, 1) images of 3 x 3 pixels",
}
"""VIEWS names further probes of a cell. A proxy declares `noise.forward` and reads `student.noise` (probe/views.py)."""

_RECORDS = (*READS_BATCH, "weights")
NEEDS = (*_RECORDS, "teacher", *(f"{view}.{record}" for view in VIEWS for record in _RECORDS))
"""NEEDS lists every word that a proxy may declare: each need of READS_BATCH; `weights`, which take no batch; `teacher`,
which gives the teacher's probe with the same records; and each record of a view, such as `noise.forward`."""


READS = {
    **dict.fromkeys(("images", "labels"), READS_BATCH),
    **dict.fromkeys(("logits", "pooled", "features", "loss", "classifier_gradient"), ("forward",)),
    **dict.fromkeys(("network", "run", "sign_sums", "logit_jacobian"), ("weights",)),
    **dict.fromkeys(("parameters", "weights", "classifier_weight"), ("weights", *READS_BATCH)),
    **{need: (need,) for need in READS_BATCH if need != "forward"},
}
"""READS names what a probe hands out, and the needs of which one has to be declared for it."""


def needs_of(view: str, needs: Iterable[str]) -> tuple[str, ...]:
    """What `needs` ask of a view, without its name in front."""
    return tuple(need.removeprefix(f"{view}.") for need in needs if need.startswith(f"{view}."))


def reads_images(needs: Iterable[str]) -> bool:
    """Whether images of the data set are read."""
    needs = tuple(needs)
    asked = (*needs, *needs_of("second", needs), *needs_of("small", needs))
    return any(need in READS_BATCH for need in asked)
