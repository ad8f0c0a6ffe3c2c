"""Modality values to model input. Training and scoring both come through `prepare_image`; there is no other way."""

import math

import numpy as np
from jaxtyping import Float32, Real

from medray.archive.instance import LookupTable, PixelModule, Window
from medray.errors import Reason, SampleError
from medray.image_settings import StepRecipe
from medray.pixels import steps
from medray.pixels.placement import Placement, centred
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

NO_STEPS = StepRecipe()

Planes = Float32[np.ndarray, "planes rows columns"]
Given = Real[np.ndarray, "planes rows columns"]


def prepare_image(frame: FrameValues, pixels: PixelModule, recipe: Recipe) -> Float32[np.ndarray, "channels size size"]:
    """The model's input, without where it lies: `prepare_placed`."""
    return prepare_placed(frame, pixels, recipe)[0]


def prepare_placed(
    frame: FrameValues, pixels: PixelModule, recipe: Recipe
) -> tuple[Float32[np.ndarray, "channels size size"], Placement]:
    """The model's input: normalised, of one polarity, antialiased to recipe.size, padded; and where it lies.

    A window's ramp 0 … 1 becomes -2 … 2, that is (x - 0.5) / 0.25; the recipe's window is LINEAR_EXACT on modality
    values, the header's (recipe.voi) what its VOI LUT Function says, and a VOI table its entries.
    Without a window: z-score over the real pixels, of all colours together; a constant image becomes 0.
    MONOCHROME1 is turned after the window (PS3.3 C.11.2.1.2), which for both is a change of sign.
    What `pad` adds, and areas without a real pixel, get the minimum of the resized real pixels.
    The optional steps come first; contrast and brightness last.

    Raises:
        SampleError: `pixels_missing` where every pixel is padding; `voi_missing` or `bad_voi` where the recipe asks for
            a window or table of the header that is not there or cannot be used; `spacing_missing` where it asks for a
            spacing and the header has none.
    """
    planes, mask = _planes(frame, recipe.channels), frame.mask
    window = _window(pixels, recipe)
    voi = None if recipe.voi is None else choose_voi(frame.voi, recipe.voi)
    counted, box = mask, steps.EVERYTHING
    if recipe.steps != NO_STEPS:
        planes = planes.astype(np.float32, copy=False)
        scene = steps.Scene(pixels.photometric_interpretation == "MONOCHROME1", _spanned(window, voi))
        planes, mask, box = steps.apply_steps(planes, mask, recipe.steps, scene)
        counted = steps.counted_mask(planes, mask, recipe.steps, scene)
    shape = _target_shape(planes, pixels, recipe)
    corner = box[0].start or 0, box[1].start or 0
    kept = planes.shape[1], planes.shape[2]
    placement = Placement((frame.values.shape[0], frame.values.shape[1]), corner, kept, shape, recipe.size)
    if voi is not None:
        planes = apply_voi(planes, voi)
        center, gain = 0.5, 4.0
    elif window is not None:
        planes = apply_window(planes, float(window[0]), float(window[1]), "LINEAR_EXACT")
        center, gain = 0.5, 4.0
    else:
        planes, center, gain = _z_score(planes, counted, recipe.clip_percent)
    if recipe.invert_monochrome1 and pixels.photometric_interpretation == "MONOCHROME1":
        gain = -gain
    return _place(planes, mask, shape, recipe, center=center, gain=gain * recipe.steps.contrast), placement


def _planes(frame: FrameValues, channels: int) -> Given:
    """Grey as one plane; colour as its luminance, or as three planes."""
    if frame.values.ndim == 2:
        return frame.values[None]
    if channels == 1:
        return (frame.values @ LUMINANCE)[None]
    return np.ascontiguousarray(frame.values.transpose(2, 0, 1))


def _target_shape(planes: Given, pixels: PixelModule, recipe: Recipe) -> tuple[int, int]:
    if recipe.steps.spacing_mm is not None:
        return _spaced_shape(planes, pixels.spacing_mm, recipe.steps.spacing_mm)
    if recipe.fit == "stretch":
        return recipe.size, recipe.size
    return fit_shape(planes.shape[1], planes.shape[2], recipe.size, pixel_aspect(pixels))


def _spaced_shape(planes: Given, spacing_mm: tuple[float, float] | None, wanted_mm: float) -> tuple[int, int]:
    """Rows and columns of `wanted_mm` that the imaged area has."""
    if spacing_mm is None or not all(math.isfinite(side) and side > 0 for side in spacing_mm):
        raise SampleError(Reason.SPACING_MISSING, "recipe.steps.spacing_mm needs Pixel Spacing (0028,0030)")
    rows, columns = (
        max(1, round(length * side / wanted_mm)) for length, side in zip(planes.shape[1:], spacing_mm, strict=True)
    )
    return rows, columns


def pixel_aspect(pixels: PixelModule) -> float:
    """Height of a pixel over its width, from spacing or else Pixel Aspect Ratio (0028,0034); 1 where neither says."""
    for pair in (pixels.spacing_mm, pixels.pixel_aspect_ratio):
        if pair is not None and all(math.isfinite(side) and side > 0 for side in pair):
            return pair[0] / pair[1]
    return 1.0


def _window(pixels: PixelModule, recipe: Recipe) -> tuple[float, float] | None:
    """The recipe's window; the one for CT only where values are Hounsfield units, not colours."""
    if recipe.window is not None:
        return recipe.window
    is_ct = pixels.modality == "CT" and pixels.samples_per_pixel == 1 and pixels.palette is None
    return recipe.ct_window if is_ct else None


def _spanned(window: tuple[float, float] | None, voi: Window | LookupTable | None) -> tuple[float, float] | None:
    """Center and width of the window that will be applied; None where there is none, or a table."""
    if voi is None:
        return window
    return (voi.center, voi.width) if isinstance(voi, Window) else None


def _z_score(planes: Given, mask: Mask | None, clip_percent: float) -> tuple[Given, float, float]:
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
    planes: Given, mask: Mask | None, shape: tuple[int, int], recipe: Recipe, *, center: float, gain: float
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
    if recipe.steps.brightness:
        resized += np.float32(recipe.steps.brightness)
    lowest = _minimum(resized, valid)
    if valid is not None:
        np.copyto(resized, lowest, where=~valid)
    if resized.shape == (recipe.channels, recipe.size, recipe.size):
        return resized
    out = np.full((recipe.channels, recipe.size, recipe.size), lowest, np.float32)
    (from_rows, to_rows), (from_columns, to_columns) = (centred(length, recipe.size) for length in shape)
    out[:, to_rows, to_columns] = resized[:, from_rows, from_columns]
    return out


def _minimum(resized: Planes, valid: Mask | None) -> np.float32:
    if valid is None:
        return np.float32(resized.min())
    if not valid.any():
        raise SampleError(Reason.PIXELS_MISSING, "every pixel is Pixel Padding Value (0028,0120)")
    return np.float32(resized.min(where=valid, initial=np.inf))
