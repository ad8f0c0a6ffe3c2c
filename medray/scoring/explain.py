"""Where a model looks: maps over the pixels of an image, scores over the nodes of a region graph.

Both are gradient x activation of one class's logit, both cost one forward and half a backward pass. They show what
raised that logit, not what a disease looks like.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from torch.nn import functional

from medray.models.cnn import SmallCNN
from medray.models.graph_network import GraphNetwork
from medray.models.resnet18 import ResNet18
from medray.models.vig import PatchGraphNet


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


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _scaled(scores: Tensor) -> Float32[np.ndarray, "..."]:
    """Scores with a largest value of 1; all zero where nothing spoke for the class."""
    scores = scores.detach().clamp(min=0).float()
    scaled: np.ndarray = (scores / scores.max().clamp(min=torch.finfo(torch.float32).tiny)).cpu().numpy()
    return scaled


def _chosen(logits: Float[Tensor, "1 classes"], class_number: int | None) -> Tensor:
    return logits[0, int(logits[0].argmax()) if class_number is None else class_number]


def layer_cam(
    model: SmallCNN | ResNet18 | PatchGraphNet,
    image: Float[Tensor, "channels rows columns"],
    class_number: int | None = None,
) -> Float32[np.ndarray, "rows columns"]:
    """LayerCAM: positive gradients x activations of `model.cam_layer`, summed over channels.

    Args:
        model: an image model on the image's device.
        image: one prepared image.
        class_number: the class to explain; none = the most probable one.

    Returns:
        Heat from 0 to 1, bilinearly brought to the size of the image.

    Source: Jiang et al. 2021, IEEE TIP 30:5875, eq. 4 and 5.
    """
    with _evaluating(model), torch.enable_grad(), _captured(model.cam_layer) as kept:
        logit = _chosen(model(image=image[None]), class_number)
        (gradient,) = torch.autograd.grad(logit, kept[0])
    heat = (gradient.clamp(min=0) * kept[0]).sum(1, keepdim=True).clamp(min=0)
    heat = functional.interpolate(heat, size=image.shape[1:], mode="bilinear", align_corners=False)
    return _scaled(heat[0, 0])


def node_cam(
    model: GraphNetwork, inputs: dict[str, Tensor | int], class_number: int | None = None
) -> Float32[np.ndarray, " nodes"]:
    """Node-CAM: gradient x last embedding, summed over features.

    Args:
        model: a graph model on the inputs' device.
        inputs: one region graph, as in `Batch.inputs`.
        class_number: the class to explain; none = the most probable one.

    Returns:
        A score from 0 to 1 for each node.

    Source: Pope et al. 2019, CVPR, "Explainability methods for graph convolutional neural networks".
    """
    graph = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
    with _evaluating(model), torch.enable_grad():
        embedding = model.embed(graph["x"], graph["edge_index"], graph["edge_attr"]).detach().requires_grad_()
        logit = _chosen(model.read_out(embedding, graph["batch"], 1), class_number)
        (gradient,) = torch.autograd.grad(logit, embedding)
    return _scaled((gradient * embedding).sum(1))


def paint(
    label_map: Int[np.ndarray, "rows columns"], scores: Float32[np.ndarray, " nodes"]
) -> Float32[np.ndarray, "rows columns"]:
    """Each region in the colour of its node's score; pixels outside every region (label below 0) are 0."""
    painted: Float32[np.ndarray, "rows columns"] = np.where(label_map >= 0, scores[label_map], np.float32(0))
    return painted
