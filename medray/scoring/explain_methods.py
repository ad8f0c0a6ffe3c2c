"""How much each place of a sample raised one class's logit: four ways, and brightness as what they must beat.

Each takes a probe and a class number and gives evidence, above zero for the class and below zero against it: (nodes,)
for a region graph, a map of rows and columns for an image, as coarse as the way is.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from medray.graphs.features import STATISTICS
from medray.scoring.probe import COPIES, Probe

STEPS = 32
"""Points on the path of integrated gradients."""
PATCHES = 16
"""Patches along each side of an image that occlusion hides one after the other, at the most."""

Evidence = Float[Tensor, "*places"]


class GraphModel(Protocol):
    """What node-CAM asks of a graph network; `embed` takes those of the inputs that it names."""

    embed: Callable[..., Tensor]

    def read_out(self, embedding: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
        """Logits of each graph."""


@contextmanager
def _captured(layer: nn.Module) -> Iterator[list[Tensor]]:
    """The layer's output as a leaf of the gradient graph: nothing before the layer is differentiated."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0].clone()

    handle = layer.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def layer_cam(probe: Probe, class_number: int) -> Evidence:
    """LayerCAM: positive gradients x activations of `model.cam_layer`, summed over channels, as fine as that layer.

    Source: Jiang et al. 2021, IEEE TIP 30:5875, eq. 4 and 5.
    """
    layer = probe.model.cam_layer
    assert isinstance(layer, nn.Module)
    with _captured(layer) as kept:
        logit = probe.logits(probe.values[None])[0, class_number]
        (gradient,) = torch.autograd.grad(logit, kept[0])
    return (gradient.clamp(min=0) * kept[0])[0].sum(0).detach()


def node_cam(probe: Probe, class_number: int) -> Evidence:
    """Node-CAM: gradient x last embedding, summed over features.

    Source: Pope et al. 2019, CVPR, "Explainability methods for graph convolutional neural networks".
    """
    model = cast(GraphModel, probe.model)
    named = inspect.signature(model.embed).parameters
    embedding = model.embed(**{name: probe.inputs[name] for name in named}).detach().requires_grad_()
    logit = model.read_out(embedding, probe.tensor("batch"), 1)[0, class_number]
    (gradient,) = torch.autograd.grad(logit, embedding)
    return (gradient * embedding).sum(1).detach()


def integrated_gradients(probe: Probe, class_number: int) -> Evidence:
    """Gradients along the straight path from the blank sample, times the way, summed over channels or features.

    The evidence of all places sums to the logit less that of the blank sample, up to the sum over STEPS points that
    stands for the integral. A graph's edges stay as they are on the path. Where the model reads both, features and
    pixels take the path together, and a node has the evidence of its features and of its pixels.

    Source: Sundararajan et al. 2017 (arXiv:1703.01365), eq. 1 and 3, by the midpoint rule.
    """
    blanks, samples = zip(*probe.ends, strict=True)
    ways = [sample - blank for blank, sample in zip(blanks, samples, strict=True)]
    totals = [torch.zeros_like(way) for way in ways]
    for shares in torch.split((torch.arange(STEPS, device=ways[0].device) + 0.5) / STEPS, COPIES):
        points = [
            (blank + shares.view(-1, *[1] * way.dim()) * way).requires_grad_()
            for blank, way in zip(blanks, ways, strict=True)
        ]
        gradients = torch.autograd.grad(probe.logits(*points)[:, class_number].sum(), points)
        totals = [total + gradient.sum(0) for total, gradient in zip(totals, gradients, strict=True)]
    return probe.over_places([total / STEPS * way for total, way in zip(totals, ways, strict=True)])


def occlusion(probe: Probe, class_number: int) -> Evidence:
    """What the logit loses when one node, or one of at most PATCHES x PATCHES patches of an image, is blank.

    Source: Zeiler and Fergus 2014 (arXiv:1311.2901), 4.2.
    """
    parts, shape = _parts(probe)
    whole = probe.answers(torch.zeros(1, *probe.places, dtype=torch.bool, device=parts.device))
    numbers = torch.arange(int(parts.max()) + 1, device=parts.device)
    drops = [
        whole[0, class_number] - probe.answers(parts == some.view(-1, *[1] * parts.dim()))[:, class_number]
        for some in torch.split(numbers, COPIES)
    ]
    return torch.cat(drops).view(shape)


def _parts(probe: Probe) -> tuple[Int64[Tensor, "*places"], tuple[int, ...]]:
    """The part of each place, and the shape that the parts have."""
    device = probe.values.device
    if probe.is_graph:
        return torch.arange(probe.places[0], device=device), probe.places
    shape = tuple(length // -(-length // PATCHES) for length in probe.places)
    row, column = (
        torch.arange(length, device=device) * count // length for length, count in zip(probe.places, shape, strict=True)
    )
    return row[:, None] * shape[1] + column, shape


def brightness(probe: Probe, _class_number: int) -> Evidence:
    """The image's mean channel, or the mean of each region, above the darkest: it knows nothing of the model."""
    bright = probe.values[:, STATISTICS.index("mean")] if probe.is_graph else probe.values.mean(0)
    return bright - bright.min()
