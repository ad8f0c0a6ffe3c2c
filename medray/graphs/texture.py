"""Texture of regions: what their mean does not say, and ultrasound lives by."""

import math

import numpy as np
from jaxtyping import Float32, Int32

from medray.graphs.features import BAND_SIGMAS, GRADIENT_SIGMAS, HISTOGRAM_EDGES
from medray.graphs.slic_kernels import blur
from medray.graphs.texture_kernels import count_values, sum_band, sum_gradients

Taps = Float32[np.ndarray, " taps"]
Runs = tuple[Int32[np.ndarray, " runs_and_end"], Int32[np.ndarray, " rows_and_end"]]


def gaussian(sigma: float) -> Taps:
    """Weights of distance 0, 1, 2 … up to three standard deviations; both halves together sum to 1."""
    weights = np.exp(-0.5 * (np.arange(math.ceil(3 * sigma) + 1) / sigma) ** 2)
    half: Taps = (weights / (2 * weights.sum() - weights[0])).astype(np.float32)
    return half


def texture_features(
    image: Float32[np.ndarray, "rows columns"], labels: Int32[np.ndarray, "rows columns"], *, runs: Runs, regions: int
) -> Float32[np.ndarray, "regions 22"]:
    """The columns of `features.TEXTURE`."""
    counts = np.zeros((regions, len(HISTOGRAM_EDGES) + 1))
    count_values(image, labels, np.array(HISTOGRAM_EDGES, np.float32), counts)
    area = counts.sum(axis=1, keepdims=True)
    bands: list[np.ndarray] = []
    gradients: list[np.ndarray] = []
    finer, finer_sigma = image, 0.0
    for sigma in BAND_SIGMAS:
        coarser = np.empty_like(image)
        blur(finer, gaussian(math.sqrt(sigma**2 - finer_sigma**2)), coarser)
        band = np.zeros((regions, 2))
        sum_band(finer, coarser, labels, runs, band)
        bands.append(band / area)
        if sigma in GRADIENT_SIGMAS:
            tensor = np.zeros((regions, 4))
            sum_gradients(coarser, labels, runs, tensor)
            gradients += [sigma * tensor[:, :1] / area, _coherence(tensor)]
        finer, finer_sigma = coarser, sigma
    columns: Float32[np.ndarray, "regions 22"] = np.hstack([*bands, *gradients, counts / area]).astype(np.float32)
    return columns


def _coherence(tensor: np.ndarray) -> np.ndarray:
    """(a - b) / (a + b) of the eigenvalues a >= b of each structure tensor; 0 where there is no gradient at all."""
    _, rows, columns, cross = tensor.T
    apart, both = np.hypot(rows - columns, 2 * cross), rows + columns
    coherence: np.ndarray = np.divide(apart, both, out=np.zeros_like(both), where=both > 0)
    return coherence[:, None]
