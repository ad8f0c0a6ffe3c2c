"""Modality values to model input. Training and scoring both come through `prepare_image`; there is no other way."""

import math

import numpy as np
from jaxtyping import Float32

from medray.archive.instance import PixelModule
from medray.errors import Reason, SampleError
from medray.pixels.resize import fit_shape, resize, resize_masked
from medray.pixels.value_kernels import masked_moments, moments
from medray.pixels.values import FrameValues, Mask
from medray.pixels.voi import apply_voi, choose_voi
from medray.pixels.windows import apply_window
from medray.settings import Recipe

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue. Source: ITU-R BT.601, the Y of YBR_FULL (PS3.3 C.7.6.3.1.2)."""
FLAT = 1e-60
"""Variance of an image that is constant as far as float32 can divide by its deviation."""

Planes = Float32[np.ndarray, "planes rows columns"]


def prepare_image(frame: FrameValues, pixels: PixelModule, recipe: Recipe) -> Float32[np.ndarray, "channels size size"]:
    """The model's input: normalised, of one polarity, antialiased to recipe.size, padded.

    A window's ramp 0 … 1 becomes -2 … 2, that is (x - 0.5) / 0.25; the recipe's window is LINEAR_EXACT on modality
    values, the header's (recipe.voi) what its VOI LUT Function says, and a VOI table its entries.
    Without a window: z-score over the real pixels, of all colours together; a constant image becomes 0.
    MONOCHROME1 is turned after the window (PS3.3 C.11.2.1.2), which for both is a change of sign.
    What `pad` adds, and areas without a real pixel, get the minimum of the resized real pixels.

    Raises:
        SampleError: `pixels_missing` where every pixel is padding; `voi_missing` or `bad_voi` where the recipe asks for
            a window or table of the header that is not there or cannot be used.
    """
    planes = _planes(frame, recipe.channels)
    shape = _target_shape(planes, pixels, recipe)
    window = _window(planes, pixels, recipe)
    if recipe.voi is not None:
        planes = apply_voi(planes, choose_voi(frame.voi, recipe.voi))
        center, gain = 0.5, 4.0
    elif window is not None:
        planes = apply_window(planes, float(window[0]), float(window[1]), "LINEAR_EXACT")
        center, gain = 0.5, 4.0
    else:
        planes, center, gain = _z_score(planes, frame.mask, recipe.clip_percent)
    if recipe.invert_monochrome1 and pixels.photometric_interpretation == "MONOCHROME1":
        gain = -gain
    return _place(planes, frame.mask, shape, recipe, center=center, gain=gain)


def _planes(frame: FrameValues, channels: int) -> Planes:
    """Grey as one plane; colour as its luminance, or as three planes."""
    if frame.values.ndim == 2:
        return frame.values[None]
    if channels == 1:
        return (frame.values @ LUMINANCE)[None]
    return np.ascontiguousarray(frame.values.transpose(2, 0, 1))


def _target_shape(planes: Planes, pixels: PixelModule, recipe: Recipe) -> tuple[int, int]:
    if recipe.fit == "stretch":
        return recipe.size, recipe.size
    return fit_shape(planes.shape[1], planes.shape[2], recipe.size, pixel_aspect(pixels))


def pixel_aspect(pixels: PixelModule) -> float:
    """Height of a pixel over its width, from spacing or else Pixel Aspect Ratio (0028,0034); 1 where neither says."""
    for pair in (pixels.spacing_mm, pixels.pixel_aspect_ratio):
        if pair is not None and all(math.isfinite(side) and side > 0 for side in pair):
            return pair[0] / pair[1]
    return 1.0


def _window(planes: Planes, pixels: PixelModule, recipe: Recipe) -> tuple[float, float] | None:
    """The recipe's window; the one for CT only where values are Hounsfield units, not colours."""
    if recipe.window is not None:
        return recipe.window
    is_ct = pixels.modality == "CT" and pixels.samples_per_pixel == 1 and pixels.palette is None
    return recipe.ct_window if is_ct else None


def _z_score(planes: Planes, mask: Mask | None, clip_percent: float) -> tuple[Planes, float, float]:
    """Planes (cut where asked), mean, and 1 / standard deviation of the real pixels."""
    if mask is not None and not mask.any():
        raise SampleError(Reason.PIXELS_MISSING, "every pixel is Pixel Padding Value (0028,0120)")
    if clip_percent > 0:
        real = planes if mask is None else planes[:, mask]
        low, high = np.percentile(real, (clip_percent, 100 - clip_percent))
        planes = np.clip(planes, np.float32(low), np.float32(high))
    if mask is None:
        mean, variance = moments(planes.reshape(-1))
    else:
        _, mean, variance = masked_moments(planes.reshape(-1), np.tile(mask.reshape(-1), len(planes)))
    flat = variance <= max(1e-12 * mean * mean, FLAT)
    return planes, mean, 0.0 if flat else 1 / math.sqrt(variance)


def _place(
    planes: Planes, mask: Mask | None, shape: tuple[int, int], recipe: Recipe, *, center: float, gain: float
) -> Float32[np.ndarray, "channels size size"]:
    """Resize, then normalise: both are linear, and the small image is the cheaper one to normalise."""
    resized = np.empty((len(planes), *shape), np.float32)
    valid: Mask | None = None
    for plane, target in zip(planes, resized, strict=True):
        if mask is None:
            small = resize(plane, *shape)
        else:
            small, valid = resize_masked(plane, mask, *shape)
        np.subtract(small, np.float32(center), out=target)
    resized *= np.float32(gain)
    lowest = _minimum(resized, valid)
    if valid is not None:
        np.copyto(resized, lowest, where=~valid)
    if resized.shape == (recipe.channels, recipe.size, recipe.size):
        return resized
    out = np.full((recipe.channels, recipe.size, recipe.size), lowest, np.float32)
    top, left = (recipe.size - shape[0]) // 2, (recipe.size - shape[1]) // 2
    out[:, top : top + shape[0], left : left + shape[1]] = resized
    return out


def _minimum(resized: Planes, valid: Mask | None) -> np.float32:
    if valid is None:
        return np.float32(resized.min())
    if not valid.any():
        raise SampleError(Reason.PIXELS_MISSING, "every pixel is Pixel Padding Value (0028,0120)")
    return np.float32(resized.min(where=valid, initial=np.inf))
