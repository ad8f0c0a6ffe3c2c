"""Texture of regions: what their mean does not say, and ultrasound lives by."""

import math

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from medray.graphs.blur_kernels import blur_inside
from medray.graphs.features import BAND_SIGMAS, GRADIENT_SIGMAS, HISTOGRAM_EDGES, PATTERN
from medray.graphs.texture_kernels import count_patterns, count_values, sum_band, sum_gradients

Taps = Float32[np.ndarray, " taps"]
Plane = Float32[np.ndarray, "rows columns"]
Labels = Int32[np.ndarray, "rows columns"]
Inside = Bool[np.ndarray, "rows columns"] | None
Runs = tuple[Int32[np.ndarray, " runs_and_end"], Int32[np.ndarray, " rows_and_end"]]

EVERYWHERE = np.empty((0, 0), np.bool_)
"""The mask, for kernels, of an image without one."""
BINS = len(HISTOGRAM_EDGES) + 1


def gaussian(sigma: float) -> Taps:
    """Weights of distance 0, 1, 2 … up to three standard deviations; both halves together sum to 1."""
    weights = np.exp(-0.5 * (np.arange(math.ceil(3 * sigma) + 1) / sigma) ** 2)
    half: Taps = (weights / (2 * weights.sum() - weights[0])).astype(np.float32)
    return half


def blurred(plane: Plane, sigma: float, inside: Inside) -> Plane:
    """A Gaussian blur; under a mask of the pixels inside alone, whose weights then sum to 1, and 0 outside.

    Args:
        plane: 0 outside the mask.
        sigma: standard deviation in pixels.
        inside: the mask, None = everywhere.
    """
    out = np.empty_like(plane)
    blur_inside(plane, gaussian(sigma), EVERYWHERE if inside is None else inside, out)
    return out


def texture_sums(
    image: Plane, labels: Labels, *, runs: Runs, regions: int, inside: Inside
) -> Float64[np.ndarray, "regions sums"]:
    """Raw sums behind the columns of `features.TEXTURE`; those of merged regions are sums of these.

    Columns: the histogram; band sums by `BAND_SIGMAS`, two each; gradient sums by `GRADIENT_SIGMAS`, four each.
    """
    counts = np.zeros((regions, BINS))
    count_values(image, labels, np.array(HISTOGRAM_EDGES, np.float32), counts)
    bands: list[np.ndarray] = []
    tensors: list[np.ndarray] = []
    finer, finer_sigma = image, 0.0
    for sigma in BAND_SIGMAS:
        coarser = blurred(finer, math.sqrt(sigma**2 - finer_sigma**2), inside)
        bands.append(np.zeros((regions, 2)))
        sum_band(finer, coarser, labels, runs, bands[-1])
        if sigma in GRADIENT_SIGMAS:
            tensors.append(np.zeros((regions, 4)))
            sum_gradients(coarser, labels, runs, inside is not None, tensors[-1])
        finer, finer_sigma = coarser, sigma
    sums: Float64[np.ndarray, "regions sums"] = np.hstack([counts, *bands, *tensors])
    return sums


def describe_texture(sums: Float64[np.ndarray, "regions sums"]) -> Float32[np.ndarray, "regions 22"]:
    """The columns of `features.TEXTURE` from the sums of `texture_sums`."""
    cut = BINS + 2 * len(BAND_SIGMAS)
    counts, bands, tensors = sums[:, :BINS], sums[:, BINS:cut], sums[:, cut:]
    area = counts.sum(axis=1, keepdims=True)
    gradients: list[np.ndarray] = []
    for number, sigma in enumerate(GRADIENT_SIGMAS):
        tensor = tensors[:, 4 * number : 4 * number + 4]
        gradients += [sigma * tensor[:, :1] / area, _coherence(tensor)]
    columns: Float32[np.ndarray, "regions 22"] = np.hstack([bands / area, *gradients, counts / area]).astype(np.float32)
    return columns


def _coherence(tensor: np.ndarray) -> np.ndarray:
    """(a - b) / (a + b) of the eigenvalues a >= b of each structure tensor; 0 where there is no gradient at all."""
    _, rows, columns, cross = tensor.T
    apart, both = np.hypot(rows - columns, 2 * cross), rows + columns
    coherence: np.ndarray = np.divide(apart, both, out=np.zeros_like(both), where=both > 0)
    return coherence[:, None]


def _pattern_bins() -> UInt8[np.ndarray, " patterns"]:
    """The bin of each of the 256 patterns: how many bits are set, or the last one where they change more than twice."""
    bins = np.empty(256, np.uint8)
    for pattern in range(256):
        turned = (pattern << 1 | pattern >> 7) & 255
        changes = (pattern ^ turned).bit_count()
        bins[pattern] = pattern.bit_count() if changes <= 2 else len(PATTERN) - 1
    return bins


PATTERN_BINS = _pattern_bins()


def pattern_counts(image: Plane, labels: Labels, regions: int) -> Float64[np.ndarray, "regions patterns"]:
    """How many of each region's pixels have each pattern of `features.PATTERN`."""
    counts = np.zeros((regions, len(PATTERN)))
    count_patterns(image, labels, PATTERN_BINS, counts)
    return counts
