"""Arrays as PNG data addresses: grey images, and heat laid over them."""

import base64
import io

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int16, UInt8
from PIL import Image

_SMALLEST, _LARGEST = 192, 384  # longer side of an example, in pixels: what the page shows, and twice that
_RAMP = (0.5, 0.93)  # the part of Matplotlib's inferno that stands out from black, grey and white: red to yellow
_OPACITY = 0.8
_DIMMED = 0.62  # of the image's brightness under heat, so that heat stands out from white bone as from black air


def grey_levels(image: Float[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows columns"]:
    """Stretch the 0.5 to 99.5 percentiles to 0 … 255; NaN is black and a constant image mid-grey."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0.0, 0.0)
    if high <= low and finite.size:
        low, high = finite.min(), finite.max()
    if high <= low:
        return np.full(image.shape, 128, np.uint8)
    scaled = (np.nan_to_num(image, nan=low) - low) / (high - low)
    return np.asarray(np.clip(np.rint(scaled * 255), 0, 255), dtype=np.uint8)


def heat_colors(heat: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 4"]:
    """Give RGBA for heat in 0 … 1: lightness and opacity rise together, so that no heat shows the bare image."""
    low, high = _RAMP
    colors = mpl.colormaps["inferno"](low + (high - low) * np.clip(heat, 0, 1))
    colors[..., 3] = _OPACITY * np.clip(heat, 0, 1) ** 0.8
    return np.asarray(np.rint(colors * 255), dtype=np.uint8)


def relative_heat(heat: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Divide by the maximum; what is negative or NaN counts as 0, and no heat at all stays 0."""
    positive = np.clip(np.nan_to_num(heat, nan=0.0, posinf=0.0), 0, None)
    return np.asarray(positive / positive.max() if positive.max() > 0 else positive)


def image_png(image: Float[np.ndarray, "rows columns"]) -> str:
    """Give the grey image as `data:image/png;base64,…`."""
    return data_address(_fit(Image.fromarray(grey_levels(image))))


def overlay_png(image: Float[np.ndarray, "rows columns"], heat: Float[np.ndarray, "heat_rows heat_columns"]) -> str:
    """Give the dimmed image under its heat (resized to the image, relative to its maximum) as a data address."""
    grey = _fit(Image.fromarray(np.rint(grey_levels(image) * _DIMMED).astype(np.uint8))).convert("RGBA")
    resized = Image.fromarray(relative_heat(heat).astype(np.float32)).resize(grey.size, Image.Resampling.BILINEAR)
    colors = Image.fromarray(heat_colors(np.asarray(resized)))
    return data_address(Image.alpha_composite(grey, colors).convert("RGB"))


CLASS_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
"""Of the classes from the second on (Okabe and Ito); the first one is the bare image."""
_MASK_OPACITY, _NOT_COUNTED = 0.85, 0.35


def class_colour(number: int) -> tuple[int, int, int]:
    """The colour of a class but the first; after six they come again."""
    return CLASS_COLOURS[(number - 1) % len(CLASS_COLOURS)]


def mask_png(image: Float[np.ndarray, "rows columns"], mask: Int16[np.ndarray, "rows columns"]) -> str:
    """Give the dimmed image under the colours of a mask's classes as a data address; below 0 it is darker still."""
    grey = grey_levels(image)[..., None] * np.where(mask < 0, _NOT_COUNTED, _DIMMED)[..., None]
    colours = np.array([(0, 0, 0), *(class_colour(number) for number in range(1, max(int(mask.max()), 1) + 1))])
    over = np.where(mask > 0, _MASK_OPACITY, 0)[..., None]
    mixed = (1 - over) * grey + over * colours[np.maximum(mask, 0)]
    return data_address(_fit(Image.fromarray(np.rint(mixed).astype(np.uint8))))


def ramp_css() -> str:
    """Give the heat's colours as a CSS gradient, over the dimmed grey of an image, for the legend."""
    colors = heat_colors(np.linspace(0, 1, 9))
    stops = ", ".join(f"rgb({red} {green} {blue} / {alpha / 255:.2f})" for red, green, blue, alpha in colors)
    return f"linear-gradient(90deg, {stops}), linear-gradient(#555, #555)"


def _fit(picture: Image.Image) -> Image.Image:
    """Shrink what is large; enlarge what is small, so that heat is not drawn in the image's coarse pixels."""
    side = max(picture.size)
    factor = min(max(side, _SMALLEST), _LARGEST) / side
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC)


def data_address(picture: Image.Image) -> str:
    """Give a picture as `data:image/png;base64,…`."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
