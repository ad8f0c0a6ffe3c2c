"""Images whose class is a bright square, and batches of them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from medray.samples.batch import Batch

SIDE = 5


def square_images(count: int, *, size: int = 28, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, with a bright square of SIDE pixels in every second image.

    Returns:
        Images (count, 1, size, size), labels (count,), and the (row, column) of each square's first pixel.
    """
    drawn = torch.Generator().manual_seed(seed)
    images = 0.5 * torch.randn(count, 1, size, size, generator=drawn)
    corners = torch.randint(size - SIDE, (count, 2), generator=drawn)
    labels = torch.arange(count) % 2
    for image, label, (row, column) in zip(images, labels, corners.tolist(), strict=True):
        image[0, row : row + SIDE, column : column + SIDE] += 3.0 * label
    return images, labels, corners


def image_batches(images: Tensor, labels: Tensor, batch_size: int = 16) -> Iterator[Batch]:
    """Batches in order; sample ids are the numbers of the images."""
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        yield Batch({"image": images[part]}, labels[part], [str(k) for k in range(len(images))[part]])
