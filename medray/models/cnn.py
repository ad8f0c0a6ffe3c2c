"""A small convolutional network: about 15,000 parameters, for inputs of 28 to 256 pixels."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

SMALLEST_MAP = 3
"""Rows and columns that the feature map keeps at the least: pooling stops there."""


class ConvBlock(nn.Module):
    """3 x 3 convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, image: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch out r c"]:
        """Feature map; with stride 1 of the same rows and columns."""
        return functional.relu(self.norm(self.conv(image)))


def halve(maps: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch channels r c"]:
    """2 x 2 maximum pooling, where at least SMALLEST_MAP rows and columns stay."""
    return functional.max_pool2d(maps, 2) if min(maps.shape[2:]) // 2 >= SMALLEST_MAP else maps


class SmallCNN(nn.Module):
    """Convolution blocks with pooling between them, then the mean and maximum of each channel and a small head.

    The head sees no position, so any input of 3 x 3 pixels or more goes.

    Attributes:
        cam_layer: the last-but-one block, whose map explanations are drawn from.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        widths: tuple[int, ...] = (8, 16, 24, 32),
        hidden: int = 48,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        inputs = (in_channels, *widths[:-1])
        self.blocks = nn.ModuleList(ConvBlock(a, b) for a, b in zip(inputs, widths, strict=True))
        self.head = nn.Sequential(
            nn.Linear(2 * widths[-1], hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, num_classes)
        )

    @property
    def cam_layer(self) -> nn.Module:
        """The layer whose maps explanations are drawn from."""
        return self.blocks[-2]

    def forward(self, image: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        maps = image
        for block in self.blocks:
            maps = halve(block(maps))
        logits: Tensor = self.head(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))
        return logits
