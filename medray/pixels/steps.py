"""The recipe's optional steps on modality values, before window and resize. Each is pure, and none reads padding."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

from medray.errors import Reason, SampleError
from medray.image_settings import StepRecipe
from medray.pixels import step_kernels

PATCH_REACH, SEARCH_REACH = 2, 5
"""Of non-local means: patches of 5 x 5 pixels, looked for in 11 x 11."""
TILES, BINS = 8, 256
"""Of CLAHE."""
SMALLEST_SPAN = 1e-30
"""What float32 can divide by."""
SQUARABLE = 1e-15, 1e15
"""Between these, float32 holds a number's square."""

Planes = Float32[np.ndarray, "planes rows columns"]
Mask = Bool[np.ndarray, "rows columns"]
Box = tuple[slice, slice]
"""Rows and columns that a crop kept."""
Cropped = tuple[
    Float32[np.ndarray, "planes out_rows out_columns"], Bool[np.ndarray, "out_rows out_columns"] | None, Box
]
EVERYTHING: Box = (slice(None), slice(None))


@dataclass(frozen=True)
class Scene:
    """What the steps must know of an image.

    Attributes:
        dark_is_high: MONOCHROME1.
        window: (center, width) that will be applied, where there is one.
    """

    dark_is_high: bool = False
    window: tuple[float, float] | None = None


def apply_steps(planes: Planes, mask: Mask | None, recipe: StepRecipe, scene: Scene) -> Cropped:
    """Crop, median, non-local means and CLAHE, in this order, as far as the recipe asks for them.

    Args:
        planes: modality values; they stay as they are.
        mask: true where a pixel is real; None = everywhere.
        recipe: which, and how strong.
        scene: polarity and window.

    Returns:
        The new planes, their mask, and where they lie in the old ones.

    Raises:
        SampleError: `pixels_missing` where every pixel is padding; `unsupported_pixels` as `non_local_means`.
    """
    if mask is not None and not mask.any():
        raise SampleError(Reason.PIXELS_MISSING, "every pixel is Pixel Padding Value (0028,0120)")
    box = EVERYTHING
    if recipe.crop:
        planes, mask, box = crop_to_content(planes, mask, content_mask(planes, mask, recipe.content, scene))
    if recipe.median_px:
        planes = median(planes, mask, recipe.median_px)
    if recipe.nl_means:
        planes = non_local_means(planes, mask, recipe.nl_means)
    if recipe.clahe:
        window = scene.window
        ends = (window[0] - window[1] / 2, window[0] + window[1] / 2) if window else real_range(planes, mask)
        planes = clahe(planes, mask, recipe.clahe, ends)
    return planes, mask, box


def real_range(planes: Planes, mask: Mask | None) -> tuple[float, float]:
    """Least and greatest value of the real pixels."""
    where = True if mask is None else mask[None]
    return float(planes.min(where=where, initial=np.inf)), float(planes.max(where=where, initial=-np.inf))


def content_mask(planes: Planes, mask: Mask | None, share: float, scene: Scene) -> Mask:
    """Real pixels that are brighter than the darkest one by more than `share` of the image's range, in any colour."""
    light: Planes = -planes if scene.dark_is_high else planes
    low, high = real_range(light, mask)
    content: Mask = np.asarray(light.max(axis=0)) > np.float32(low + share * (high - low))
    return content if mask is None else content & mask


def counted_mask(planes: Planes, mask: Mask | None, recipe: StepRecipe, scene: Scene) -> Mask | None:
    """The pixels whose mean and deviation a z-score takes: the real ones, or of them the content where there is any."""
    if recipe.z_score == "real":
        return mask
    content = content_mask(planes, mask, recipe.content, scene)
    return content if content.any() else mask


def crop_to_content(planes: Planes, mask: Mask | None, content: Mask) -> Cropped:
    """The smallest rectangle that holds the content; everything where there is none."""
    if not content.any():
        return planes, mask, EVERYTHING
    box = _extent(content, 1), _extent(content, 0)
    cut = np.ascontiguousarray(planes[:, *box])
    return cut, None if mask is None else np.ascontiguousarray(mask[box]), box


def _extent(content: Mask, along: int) -> slice:
    """The rows (or columns) from the first to the last that hold content; `along` is the axis that is looked along."""
    places = np.flatnonzero(content.any(axis=along))
    return slice(int(places[0]), int(places[-1]) + 1)


def median(planes: Planes, mask: Mask | None, side: int) -> Planes:
    """Median over a square of `side` pixels, cut at the image's edges; of an even count, the middle two's mean."""
    out = np.empty_like(planes)
    for plane, target in zip(planes, out, strict=True):
        step_kernels.median(np.ascontiguousarray(plane), _whole(planes, mask), side // 2, target)
    return out


def noise_deviation(planes: Planes, mask: Mask | None) -> float:
    """Standard deviation of the noise: mean |second difference along rows and columns|, over sqrt(2 / pi) * 6.

    It counts the 3 x 3 neighbourhoods whose pixels are all real; edges of objects raise it a little.

    Source: Immerkaer 1996, Fast noise variance estimation, doi:10.1006/cviu.1996.0060.
    """
    if min(planes.shape[1:]) < 3:
        return 0.0
    along = planes[:, :-2] - 2 * planes[:, 1:-1] + planes[:, 2:]
    both = np.abs(along[:, :, :-2] - 2 * along[:, :, 1:-1] + along[:, :, 2:])
    windows = np.lib.stride_tricks.sliding_window_view(_whole(planes, mask), (3, 3))
    real = np.asarray(windows.all(axis=(2, 3)))
    mean = both.mean(where=real[None], dtype=np.float64) if real.any() else 0.0
    return float(mean) * math.sqrt(math.pi / 2) / 6


def non_local_means(planes: Planes, mask: Mask | None, strength: float) -> Planes:
    """Non-local means with weights exp(-max(d^2 - 2 s^2, 0) / (strength s)^2), s being the noise's standard deviation.

    Raises:
        SampleError: `unsupported_pixels` where float32 cannot hold the squares of differences.

    Source: Buades, Coll and Morel 2011, Non-local means denoising, doi:10.5201/ipol.2011.bcm_nlm.
    """
    low, high = real_range(planes, mask)
    if low != high and not SQUARABLE[0] < high - low < SQUARABLE[1]:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"values span {high - low:g}, too far from 1 for non-local means")
    noise = noise_deviation(planes, mask)
    if noise == 0:
        return planes
    out = np.empty_like(planes)
    reaches = PATCH_REACH, SEARCH_REACH
    step_kernels.non_local_means(
        np.ascontiguousarray(planes), _whole(planes, mask), reaches, noise, strength * noise, out
    )
    return out


def clahe(planes: Planes, mask: Mask | None, clip_limit: float, ends: tuple[float, float]) -> Planes:
    """Contrast-limited adaptive histogram equalisation, from `ends` to `ends`; colours share their histograms.

    Values outside are cut. A tile's curve is its cumulative histogram, straight within a bin; each pixel is
    interpolated between the curves of the four nearest tiles. What is cut from full bins is dealt to all bins equally.

    Args:
        planes: modality values.
        mask: true where a pixel is real.
        clip_limit: the most that a bin may hold before the dealing, in means of a bin; towards 0 nothing changes.
        ends: values that 256 bins span.

    Source: Zuiderveld 1994, Contrast limited adaptive histogram equalization, Graphics Gems IV.
    """
    low, high = ends
    if not SMALLEST_SPAN < high - low < 1 / SMALLEST_SPAN:
        return planes
    real = _whole(planes, mask)
    bins = (np.clip(planes, np.float32(low), np.float32(high)) - np.float32(low)) * np.float32(BINS / (high - low))
    down, across = min(TILES, planes.shape[1]), min(TILES, planes.shape[2])
    histograms = np.zeros((down, across, BINS), np.float32)
    step_kernels.tile_histograms(bins, real, _cuts(planes.shape[1], down), _cuts(planes.shape[2], across), histograms)
    curves, held = _curves(histograms.astype(np.float64), clip_limit)
    out = bins.copy()
    step_kernels.equalise(bins, real, curves, held, out)
    out *= np.float32(high - low)
    out += np.float32(low)
    return np.where(real[None], out, planes)


def _curves(
    histograms: Float64[np.ndarray, "down across bins"], clip_limit: float
) -> tuple[Float32[np.ndarray, "down across points"], Float32[np.ndarray, "down across"]]:
    """0 … 1 at the bins' edges, and the pixels of each tile."""
    held = histograms.sum(axis=2, keepdims=True)
    cut = np.minimum(histograms, clip_limit * held / BINS)
    cut += (held - cut.sum(axis=2, keepdims=True)) / BINS
    curves = np.zeros((*held.shape[:2], BINS + 1), np.float32)
    curves[:, :, 1:] = np.cumsum(cut, axis=2) / np.maximum(held, 1)
    return curves, held[:, :, 0].astype(np.float32)


def _cuts(length: int, tiles: int) -> np.ndarray:
    cuts: np.ndarray = np.rint(np.arange(tiles + 1) * (length / tiles)).astype(np.int64)
    return cuts


def _whole(planes: Planes, mask: Mask | None) -> Mask:
    return np.ones(planes.shape[1:], np.bool_) if mask is None else mask
