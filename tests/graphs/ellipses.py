"""Images whose regions are known, and how well superpixels keep to them."""

import math

import numpy as np


def ellipses(size: int, seed: int, noise: float = 0.05, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Ellipses of different grey on a grey ground with a slow shade and noise.

    Returns:
        The image, float32 (size, size), mean 0 and standard deviation 1, and the number of the ellipse of each pixel.
    """
    drawn = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    truth = np.zeros((size, size), int)
    for number in range(1, count + 1):
        row, column = drawn.uniform(0, size, 2)
        axes, turn = drawn.uniform(0.04, 0.25, 2) * size, drawn.uniform(0, math.pi)
        along = (rows - row) * math.cos(turn) + (columns - column) * math.sin(turn)
        across = (columns - column) * math.cos(turn) - (rows - row) * math.sin(turn)
        truth[(along / axes[0]) ** 2 + (across / axes[1]) ** 2 < 1] = number
    greys = drawn.permutation(np.linspace(0.1, 0.9, count + 1))
    image = greys[truth] + drawn.normal(0, noise, truth.shape) + 0.08 * np.sin(5 * columns / size)
    return ((image - image.mean()) / image.std()).astype(np.float32), truth


def overlaps(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pixels that each superpixel shares with each true region."""
    shared = np.zeros((labels.max() + 1, truth.max() + 1))
    np.add.at(shared, (labels.ravel(), truth.ravel()), 1)
    return shared


def achievable_accuracy(labels: np.ndarray, truth: np.ndarray) -> float:
    """Achievable segmentation accuracy: the share of pixels right if each superpixel took its commonest region."""
    return float(overlaps(labels, truth).max(axis=1).sum() / labels.size)


def undersegmentation_error(labels: np.ndarray, truth: np.ndarray) -> float:
    """Share of pixels by which superpixels leak over true borders (Neubert and Protzel 2012)."""
    shared = overlaps(labels, truth)
    return float(np.minimum(shared, shared.sum(axis=1, keepdims=True) - shared).sum() / labels.size)
