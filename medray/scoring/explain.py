"""Where a model looks: heat over the pixels of an image, or over the nodes of a region graph.

Heat shows what raised one class's logit, not what a disease looks like.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from medray.errors import SettingsError
from medray.samples.batch import Inputs
from medray.scoring.explain_methods import brightness, integrated_gradients, layer_cam, node_cam, occlusion
from medray.scoring.probe import Probe, evaluating

Method = Literal["cam", "integrated_gradients", "occlusion", "brightness"]
Heat = Float32[np.ndarray, "*places"]

METHODS: dict[str, dict[str, Callable[[Probe, int], Tensor]]] = {
    kind: {"cam": cam, "integrated_gradients": integrated_gradients, "occlusion": occlusion, "brightness": brightness}
    for kind, cam in (("image", layer_cam), ("graph", node_cam), ("regions", node_cam))
}
LARGEST_MAP = 32
"""Rows and columns of an image's heat at the most."""
LEVELS = 255
"""Heat of 1 in the tables."""


def explain(model: nn.Module, inputs: Inputs, method: str = "cam", class_number: int | None = None) -> Heat:
    """Heat of one sample.

    Args:
        model: of images, of region graphs, or of both.
        inputs: one sample on the model's device, as in `Batch.inputs`.
        method: `cam` (LayerCAM of images, node-CAM of graphs), `integrated_gradients`, `occlusion`, or `brightness`,
            which knows nothing of the model: the others must beat it.
        class_number: the class to explain; none = the most probable one.

    Returns:
        Evidence for the class from 0 to 1, the largest, or 0 everywhere where nothing spoke for it: (nodes,) for a
        region graph, with or without its image; for an image (rows, columns), as coarse as the method and LARGEST_MAP
        are.

    Raises:
        SettingsError: no such method.
    """
    probe = Probe(model, inputs)
    if method not in METHODS[probe.kind]:
        raise SettingsError(f"There is no method {method!r}.", f"Choose one of {', '.join(METHODS[probe.kind])}.")
    with evaluating(model):
        if class_number is None:
            class_number = int(probe.logits(probe.values[None])[0].argmax())
        evidence = METHODS[probe.kind][method](probe, class_number)
    return _scaled(evidence if probe.is_graph else _coarse(evidence))


def _coarse(evidence: Tensor) -> Tensor:
    rows, columns = (min(length, LARGEST_MAP) for length in evidence.shape)
    return functional.adaptive_avg_pool2d(evidence[None, None], (rows, columns))[0, 0]


def _scaled(evidence: Tensor) -> Heat:
    heat = evidence.detach().clamp(min=0).float()
    scaled: Heat = (heat / heat.max().clamp(min=torch.finfo(torch.float32).tiny)).cpu().numpy()
    return scaled


def to_levels(heat: Heat) -> UInt8[np.ndarray, "*places"]:
    """Heat as it is stored: 0 … LEVELS."""
    levels: UInt8[np.ndarray, "*places"] = np.rint(heat * LEVELS).astype(np.uint8)
    return levels


def from_levels(levels: UInt8[np.ndarray, "*places"]) -> Heat:
    """Heat from 0 to 1."""
    heat: Heat = levels.astype(np.float32) / np.float32(LEVELS)
    return heat


def enlarge(
    heat: Float32[np.ndarray, "coarse_rows coarse_columns"], shape: tuple[int, int]
) -> Float32[np.ndarray, "rows columns"]:
    """An image's heat at each of its pixels, bilinearly."""
    fine = functional.interpolate(torch.from_numpy(heat)[None, None], size=shape, mode="bilinear", align_corners=False)
    pixels: Float32[np.ndarray, "rows columns"] = fine[0, 0].numpy()
    return pixels


def paint(
    label_map: Int[np.ndarray, "rows columns"], scores: Float32[np.ndarray, " nodes"]
) -> Float32[np.ndarray, "rows columns"]:
    """Each region in the colour of its node's score; pixels outside every region (label below 0) are 0."""
    painted: Float32[np.ndarray, "rows columns"] = np.where(label_map >= 0, scores[label_map], np.float32(0))
    return painted
