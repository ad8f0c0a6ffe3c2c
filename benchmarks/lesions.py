"""Generated lesions of four classes on a textured background: none, a nodule, a ring, a cluster of dots.

Position, size and contrast are drawn; what tells the classes apart is shape alone, and each has a mask.
"""

import numpy as np
from scipy import ndimage

CLASSES = ("none", "nodule", "ring", "dots")
NOISE = 0.05
"""Standard deviation, where the background's is about 0.15 and a lesion's contrast 0.1 to 0.25."""


def draw_lesions(
    count: int, seed: int, size: int = 96, *, lesion_size: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images float32 (count, 1, size, size), class numbers and masks (count, size, size).

    Each image is z-scored, as the recipe does it. The same arguments give the same images.

    Args:
        count: of the images.
        seed: of everything that is drawn.
        size: rows and columns.
        lesion_size: lesions are as large in pixels as in an image of this size; none = they grow with the image.
    """
    drawn = np.random.default_rng([seed, size])
    labels = drawn.integers(0, len(CLASSES), count)
    images, masks = np.empty((count, 1, size, size), np.float32), np.zeros((count, size, size), bool)
    for number, label in enumerate(labels):
        image, masks[number] = _draw(drawn, int(label), size, (lesion_size or size) / 96)
        images[number, 0] = (image - image.mean()) / image.std()
    return images, labels, masks


def _draw(drawn: np.random.Generator, label: int, size: int, unit: float) -> tuple[np.ndarray, np.ndarray]:
    background = np.zeros((size, size))
    for sigma, weight in ((16, 0.12), (6, 0.06), (2, 0.03)):
        field = ndimage.gaussian_filter(drawn.normal(size=(size, size)), sigma * size / 96, mode="wrap")
        background += weight * field / field.std()
    lesion = _lesion(drawn, label, size, unit)
    image = background + drawn.uniform(0.1, 0.25) * lesion + drawn.normal(0, NOISE, (size, size))
    return image, lesion > 0.5


def _lesion(drawn: np.random.Generator, label: int, size: int, unit: float) -> np.ndarray:
    """From 0 to 1, edges softened over about a pixel. `unit` is one pixel of a 96 x 96 image."""
    row, column = drawn.uniform(0.2, 0.8, 2) * size
    radius = drawn.uniform(5, 10) * unit
    rows, columns = np.mgrid[:size, :size]
    distance = np.hypot(rows - row, columns - column)
    if label == 1:
        return _soft(radius * 0.8 - distance)
    if label == 2:
        return _soft(1.6 * unit - np.abs(distance - radius))
    lesion = np.zeros((size, size))
    for _ in range(int(drawn.integers(5, 9)) if label == 3 else 0):
        angle, reach = drawn.uniform(0, 2 * np.pi), radius * np.sqrt(drawn.uniform())
        away = np.hypot(rows - row - reach * np.sin(angle), columns - column - reach * np.cos(angle))
        lesion = np.maximum(lesion, _soft(1.5 * unit - away))
    return lesion


def _soft(inside: np.ndarray) -> np.ndarray:
    """1 well inside, 0 well outside."""
    weight: np.ndarray = np.clip(inside + 0.5, 0, 1)
    return weight
