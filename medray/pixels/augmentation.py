"""Random changes of prepared images: numbers are drawn first and applied second, here to arrays.

`training.augment` applies the same numbers to tensors. Places are shares of the side, from the image's centre.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int16
from scipy import ndimage

from medray.image_settings import AugmentSettings
from medray.pixels.placement import NOWHERE
from medray.pixels.warp_kernels import warp

CELLS = 4
"""Of the elastic bend along a side; cubic B-splines have CELLS + 3 control points."""

Image = Float32[np.ndarray, "channels size size"]
Mask = Int16[np.ndarray, "size size"]


@dataclass(frozen=True)
class Augmentation:
    """What is done to one sample in one epoch, in this order.

    Attributes:
        flips: upside down, and left to right.
        matrix: where an output pixel reads its value: matrix @ place + offset + bend.
        offset: (row, column).
        bend: displacement (row, column) of each control point.
        gamma: exponent.
        contrast: factor.
        brightness: added.
        blur_px: standard deviation of a Gaussian.
        noise: standard deviation.
        noise_seed: of the noise's own field.
        cut_out: row, column and side of the hidden square.
    """

    flips: tuple[bool, bool] = (False, False)
    matrix: Float64[np.ndarray, "2 2"] = field(default_factory=lambda: np.eye(2))
    offset: Float64[np.ndarray, "2"] = field(default_factory=lambda: np.zeros(2))
    bend: Float64[np.ndarray, "2 points points"] = field(default_factory=lambda: np.zeros((2, CELLS + 3, CELLS + 3)))
    gamma: float = 1.0
    contrast: float = 1.0
    brightness: float = 0.0
    blur_px: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0
    cut_out: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def moves(self) -> bool:
        """Whether pixels are read from elsewhere (a flip is no reading)."""
        return bool((self.matrix != np.eye(2)).any() or self.offset.any() or self.bend.any())


def draw_augmentation(settings: AugmentSettings, seed: int) -> Augmentation:
    """The changes of one sample. All numbers are drawn, also those of changes that are off.

    So switching one change on leaves the others as they were.

    Args:
        settings: largest changes.
        seed: of this sample in this epoch.
    """
    draw = np.random.default_rng(seed)
    turn, zoom, down, right, gamma, contrast, brightness = draw.uniform(-1, 1, 7)
    cut, cut_row, cut_column, blur, noise, hidden, row, column = draw.random(8)
    coins, bend = draw.random(2) < 0.5, draw.uniform(-1, 1, (2, CELLS + 3, CELLS + 3))
    angle, kept = math.radians(turn * settings.rotate_degrees), 1 - cut * settings.crop
    cosine, sine = math.cos(angle), math.sin(angle)
    matrix = np.array([[cosine, -sine], [sine, cosine]]) / (1 + settings.scale) ** zoom
    window = (np.array([cut_row, cut_column]) - 0.5) * (1 - kept)
    return Augmentation(
        flips=(bool(coins[0]) and settings.flip_up_down, bool(coins[1]) and settings.flip_left_right),
        matrix=matrix * kept,
        offset=matrix @ (window - settings.shift * np.array([down, right])),
        bend=bend * settings.elastic,
        gamma=(1 + settings.gamma) ** gamma,
        contrast=(1 + settings.contrast) ** contrast,
        brightness=settings.brightness * brightness,
        blur_px=settings.blur_px * blur,
        noise=settings.noise * noise,
        noise_seed=int(draw.integers(2**63)),
        cut_out=(row - 0.5, column - 0.5, settings.cut_out * hidden),
    )


def apply_augmentation(image: Image, drawn: Augmentation) -> Image:
    """The changed image, a new array. What is read from outside of it is its minimum."""
    image = image[:, :: -1 if drawn.flips[0] else 1, :: -1 if drawn.flips[1] else 1].copy()
    if drawn.moves:
        image = _warped(image, drawn)
    if drawn.gamma != 1:
        image = _to_the_power(image, drawn.gamma)
    image *= np.float32(drawn.contrast)
    image += np.float32(drawn.brightness)
    if drawn.blur_px:
        weights = blur_weights(drawn.blur_px, image.shape[1])
        for axis in (1, 2):
            image = ndimage.correlate1d(image, weights, axis, mode="mirror")
    if drawn.noise:
        image += noise_field(drawn, image.shape)
    if drawn.cut_out[2]:
        rows, columns = (hidden(place, drawn.cut_out[2], image.shape[1]) for place in drawn.cut_out[:2])
        image[:, rows[:, None] & columns] = 0
    return image


def augment_mask(mask: Mask, drawn: Augmentation) -> Mask:
    """The mask of the changed image, a new array: read at the nearest pixel, -1 outside. A hidden square keeps it."""
    mask = mask[:: -1 if drawn.flips[0] else 1, :: -1 if drawn.flips[1] else 1].copy()
    if not drawn.moves:
        return mask
    size = len(mask)
    nearest = np.floor(_positions(size, drawn) + np.float32(0.5)).astype(np.int64)
    inside = ((nearest >= 0) & (nearest < size)).all(axis=0)
    rows, columns = np.clip(nearest, 0, size - 1)
    moved: Mask = np.where(inside, mask[rows, columns], np.int16(NOWHERE))
    return moved


def _warped(image: Image, drawn: Augmentation) -> Image:
    out = np.empty_like(image)
    warp(image, _positions(image.shape[1], drawn), image.min(), out)
    return out


def _positions(size: int, drawn: Augmentation) -> Float32[np.ndarray, "2 size size"]:
    """Row and column, in pixels, that each pixel of the changed image is read at."""
    along = places(size)
    rows, columns = along[:, None], along[None, :]
    spline = bend_weights(size)
    positions = np.empty((2, size, size), np.float32)
    for axis in (0, 1):
        (by_row, by_column), offset = drawn.matrix[axis], drawn.offset[axis]
        read = by_row * rows + by_column * columns + offset
        if drawn.bend.any():
            read += spline @ drawn.bend[axis] @ spline.T
        positions[axis] = (read + 0.5) * size - 0.5
    return positions


def _to_the_power(image: Image, gamma: float) -> Image:
    """Values between the image's minimum and maximum, taken as 0 … 1, to a power."""
    low, high = image.min(), image.max()
    if low == high:
        return image
    changed: np.ndarray = ((image - low) / (high - low)) ** np.float32(gamma) * (high - low) + low
    return changed


@lru_cache(maxsize=8)
def places(size: int) -> Float64[np.ndarray, " size"]:
    """Centres of `size` pixels, as shares of the side from the image's centre."""
    centres: np.ndarray = (np.arange(size) + 0.5) / size - 0.5
    return centres


@lru_cache(maxsize=8)
def bend_weights(size: int) -> Float64[np.ndarray, "size points"]:
    """Uniform cubic B-spline weights of the control points at each pixel; rows sum to 1.

    Source: Rueckert et al. 1999, Nonrigid registration using free-form deformations, doi:10.1109/42.796284.
    """
    along = (places(size) + 0.5) * CELLS
    distance = np.abs(along[:, None] + 1 - np.arange(CELLS + 3))
    near, far = 2 / 3 - distance**2 + distance**3 / 2, (2 - distance) ** 3 / 6
    weights: np.ndarray = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    return weights


def blur_weights(sigma: float, size: int) -> Float32[np.ndarray, " taps"]:
    """A Gaussian cut at three standard deviations, or where it would leave a mirrored image; they sum to 1."""
    radius = min(math.ceil(3 * sigma), size - 1)
    weights: np.ndarray = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    return weights.astype(np.float32)


def noise_field(drawn: Augmentation, shape: tuple[int, ...]) -> Float32[np.ndarray, "*shape"]:
    """White Gaussian noise, the same for arrays and tensors."""
    field: np.ndarray = np.random.default_rng(drawn.noise_seed).standard_normal(shape, np.float32)
    field *= np.float32(drawn.noise)
    return field


def hidden(place: float, side: float, size: int) -> np.ndarray:
    """Which rows (or columns) the cut-out covers."""
    covered: np.ndarray = np.abs(places(size) - place) < side / 2
    return covered
