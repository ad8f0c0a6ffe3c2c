"""VOI windows. Source: DICOM PS3.3 C.11.2.1.2 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT)."""

import numpy as np
from jaxtyping import Float32, Real

from medray.archive.instance import WindowFunction
from medray.errors import SettingsError

FARTHEST = 1e30
"""Centers and widths beyond it, and widths below its inverse, are no windows: float32 could not hold the ramp."""
Values = Real[np.ndarray, "*shape"]
Shares = Float32[np.ndarray, "*shape"]


def apply_window(values: Values, center: float, width: float, function: WindowFunction = "LINEAR") -> Shares:
    """Map modality values, float32 or of 8 or 16 bits, to 0 … 1.

    Args:
        function: LINEAR is the standard's default, on integers: 0 at `center - 0.5 - (width - 1) / 2`, 1 at
            `center - 0.5 + (width - 1) / 2`, and with width 1 a threshold. LINEAR_EXACT runs from `center - width / 2`
            to `center + width / 2`. SIGMOID is 1 / (1 + exp(-4 (x - center) / width)).

    Raises:
        SettingsError: a width below 1 (LINEAR) or not above 0 (the others), or a window that is not finite.
    """
    check_window(center, width, function)
    if function == "SIGMOID":
        exponent: Shares = np.clip((values - np.float32(center)) * np.float32(-4 / width), -80, 80)
        np.exp(exponent, out=exponent)
        exponent += 1
        np.reciprocal(exponent, out=exponent)
        return exponent
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
        if width == 0:
            return (values > np.float32(center)).astype(np.float32)
    ramp: Shares = np.subtract(values, np.float32(center))
    ramp *= np.float32(1 / width)
    ramp += np.float32(0.5)
    np.clip(ramp, 0, 1, out=ramp)
    return ramp


def check_window(center: float, width: float, function: WindowFunction) -> None:
    """Refuse a window that PS3.3 does not allow.

    Raises:
        SettingsError: as `apply_window`.
    """
    lowest = "at least 1" if function == "LINEAR" else "above 0"
    good = width >= 1 if function == "LINEAR" else width > 0
    if not (good and abs(center) < FARTHEST and 1 / FARTHEST < width < FARTHEST):
        what = f"window (center {center:g}, width {width:g}) for {function}: Window Width (0028,1051) must be {lowest}."
        raise SettingsError(what, "Give center and width in modality values, for example [40, 400] for CT.")
