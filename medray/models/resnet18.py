"""ResNet-18 of torchvision, with a stem that fits medical images."""

from jaxtyping import Float
from torch import Tensor, nn

SMALL_INPUT = 64
"""Inputs up to this size keep their resolution in the stem, as in the CIFAR variant (He et al. 2016, 4.2)."""


class ResNet18(nn.Module):
    """Residual network of 11 million parameters (He et al. 2016, arXiv:1512.03385).

    Args:
        in_channels: channels of the input.
        num_classes: logits it answers.
        size: rows and columns of the input; up to SMALL_INPUT the stem neither strides nor pools.
    """

    def __init__(self, in_channels: int, num_classes: int, *, size: int = 224) -> None:
        super().__init__()
        from torchvision.models import resnet18  # its import takes 4 s, and no other model needs it

        self.network = resnet18(weights=None, num_classes=num_classes)
        small = size <= SMALL_INPUT
        kernel, stride = (3, 1) if small else (7, 2)
        self.network.conv1 = nn.Conv2d(in_channels, 64, kernel, stride, padding=kernel // 2, bias=False)
        nn.init.kaiming_normal_(self.network.conv1.weight, mode="fan_out", nonlinearity="relu")
        if small:
            self.network.maxpool = nn.Identity()

    @property
    def cam_layer(self) -> nn.Module:
        """The last-but-one stage, whose maps explanations are drawn from."""
        layer: nn.Module = self.network.layer3
        return layer

    def forward(self, image: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        logits: Tensor = self.network(image)
        return logits
