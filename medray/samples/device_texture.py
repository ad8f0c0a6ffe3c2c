"""Texture of regions for a batch of label maps, on any device: `graphs.texture`."""

import math

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from medray.graphs.features import BAND_SIGMAS, GRADIENT_SIGMAS, HISTOGRAM_EDGES
from medray.graphs.texture import gaussian
from medray.samples.device_connectivity import Planes
from medray.samples.device_regions import Regions, central_differences
from medray.samples.device_slic import blur_on


def texture_features_on(planes: Planes, regions: Regions) -> Float32[Tensor, "regions 22"]:
    """The columns of `features.TEXTURE`."""
    counts = _histograms(planes, regions)
    area = counts.sum(1, keepdim=True)
    bands: list[Tensor] = []
    gradients: list[Tensor] = []
    finer, finer_sigma = planes, 0.0
    for sigma in BAND_SIGMAS:
        coarser = blur_on(finer, gaussian(math.sqrt(sigma**2 - finer_sigma**2)))
        band = (finer - coarser).double()
        bands.append(regions.of_pixels(torch.stack([band, band.abs()], dim=-1)) / area)
        if sigma in GRADIENT_SIGMAS:
            gradients += _gradients(coarser, regions, sigma / area)
        finer, finer_sigma = coarser, sigma
    return torch.cat([*bands, *gradients, counts / area], dim=1).float()


def _histograms(planes: Planes, regions: Regions) -> Float64[Tensor, "regions bins"]:
    """Pixels between two edges; a value at an edge counts above it."""
    edges = torch.tensor(HISTOGRAM_EDGES, dtype=planes.dtype, device=planes.device)
    bins = len(HISTOGRAM_EDGES) + 1
    place = torch.bucketize(planes, edges, right=True)
    codes = (regions.numbers * bins + place).flatten()
    return torch.bincount(codes, minlength=regions.count * bins).view(regions.count, bins).double()


def _gradients(planes: Planes, regions: Regions, scale: Tensor) -> list[Tensor]:
    """Scaled length of the gradient, and (a - b) / (a + b) of the eigenvalues a >= b of each structure tensor."""
    down, across = ((0.5 * part).double() for part in central_differences(planes))
    length = (across * across + down * down).sqrt()
    tensor = regions.of_pixels(torch.stack([length, down * down, across * across, across * down], dim=-1))
    size, rows, columns, cross = tensor[..., None].unbind(1)
    apart, both = torch.hypot(rows - columns, 2 * cross), rows + columns
    return [scale * size, torch.where(both > 0, apart / both, 0)]
