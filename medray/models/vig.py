"""A vision graph network: patches of a convolutional stem as nodes, each joined to eight others at a fixed distance.

The neighbours are static and sparse, so a layer needs no list of edges: the largest difference to a neighbour is a
dilated maximum over the map less the map itself. Source: Han et al. 2022, Vision GNN, arXiv:2206.00272 (max-relative
graph convolution, feed-forward blocks); Munir et al. 2023, MobileViG, arXiv:2307.00395 (static sparse neighbours).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medray.errors import SettingsError
from medray.models.cnn import ConvBlock

DISTANCES = (1, 2, 4)
"""Patches between a node and its neighbours, block after block."""
LARGEST_SIDE = 20
"""Patches along a side, at the most: the stem halves the image until then."""

Maps = Float[Tensor, "batch width rows columns"]


def max_relative(nodes: Maps, distance: int) -> Maps:
    """The largest difference of each node's eight neighbours (and itself) to it, by feature: 0 or more.

    Neighbours lie `distance` patches away in rows, columns and diagonals; beyond the border there are none.
    """
    padded = functional.pad(nodes, (distance,) * 4, value=torch.finfo(nodes.dtype).min)
    return functional.max_pool2d(padded, 3, stride=1, dilation=distance) - nodes


class GraphBlock(nn.Module):
    """Max-relative graph convolution and a feed-forward block, both residual."""

    def __init__(self, width: int, distance: int) -> None:
        super().__init__()
        self.distance = distance
        self.update = nn.Sequential(nn.Conv2d(2 * width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.feed_forward = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, nodes: Maps) -> Maps:
        """New node features."""
        nodes = nodes + self.update(torch.cat([nodes, max_relative(nodes, self.distance)], dim=1))
        updated: Tensor = nodes + self.feed_forward(nodes)
        return updated


class PatchGraphNet(nn.Module):
    """A convolutional stem, graph blocks on its patches, and a mean and maximum readout.

    Args:
        in_channels: channels of the input.
        num_classes: logits it answers.
        size: rows and columns of the input: they decide how often the stem halves them (28 gives 14 x 14 patches, 128
            and 256 give 16 x 16, 224 gives 14 x 14).
        width: features of a node.
        blocks: graph blocks.
        dropout: in the head.

    Raises:
        SettingsError: a width or number of blocks below 1.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        size: int = 224,
        width: int = 48,
        blocks: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(width, blocks) < 1:
            what = f"--network.width is {width}, --network.blocks is {blocks}, and each must be 1 or more."
            raise SettingsError(what)
        halvings = 0
        while math.ceil(size / 2**halvings) > LARGEST_SIDE:  # a convolution of stride 2 rounds up
            halvings += 1
        widths = [in_channels, *(max(8, width >> left) for left in range(max(halvings, 1), 0, -1)), width]
        strides = [1] * (len(widths) - 1 - halvings) + [2] * halvings
        self.stem = nn.Sequential(
            *(ConvBlock(a, b, stride) for a, b, stride in zip(widths[:-1], widths[1:], strides, strict=True))
        )
        self.blocks = nn.Sequential(*(GraphBlock(width, DISTANCES[k % len(DISTANCES)]) for k in range(blocks)))
        self.head = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    @property
    def cam_layer(self) -> nn.Module:
        """The layer whose maps explanations are drawn from."""
        return self.blocks

    def forward(self, image: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        nodes = self.blocks(self.stem(image))
        logits: Tensor = self.head(torch.cat([nodes.mean((2, 3)), nodes.amax((2, 3))], dim=1))
        return logits
