"""A frame decoded twice, by two decoders that must agree. Source: the decoders' faults in DICOM's own test images."""

import numpy as np

from medray.archive.instance import JPEG, PNG, TIFF, Instance
from medray.errors import Reason, SampleError
from medray.image_settings import DecodeSettings
from medray.pixels.codecs import find_codec
from medray.pixels.decode import Array, decode_again, decode_frame

LOSSY_LEVELS = 2
"""How far two correct decoders of one lossy frame may lie apart: each rounds its inverse transform in its own way."""


def cross_check(instance: Instance, frame: int, max_samples: int = DecodeSettings.max_samples) -> tuple[str, ...]:
    """Decode a frame by its first and by its second decoder and compare the stored values.

    Returns:
        The flag `cross_checked`; `not_cross_checked` where no second decoder reads the frame, which is no fault of it.

    Raises:
        SampleError: `decoders_disagree`; whatever keeps the first decoder from reading the frame.
    """
    syntax = instance.pixels.transfer_syntax_uid
    if syntax in (PNG, JPEG, TIFF):
        return ("not_cross_checked",)
    first = decode_frame(instance, frame, colour=False, max_samples=max_samples)
    if "second_decoder" in first.flags:
        return ("not_cross_checked",)
    try:
        second = decode_again(instance, frame)
    except SampleError:
        return ("not_cross_checked",)
    allowed = LOSSY_LEVELS if find_codec(syntax).lossy else 0
    apart = differing(first.stored, second.stored, allowed)
    if apart:
        detail = f"{first.decoder} and {second.decoder} differ in {apart} of {first.stored.size} samples"
        raise SampleError(Reason.DECODERS_DISAGREE, detail)
    return ("cross_checked",)


def differing(first: Array, second: Array, allowed: int) -> int:
    """Samples that lie more than `allowed` levels apart; two that are both no number agree."""
    if np.array_equal(first, second):
        return 0
    apart = np.abs(first.astype(np.float64) - second.astype(np.float64)) > allowed
    return int(np.count_nonzero(apart | (np.isnan(first) != np.isnan(second))))


def is_constant(stored: Array) -> bool:
    """All samples are equal; a few of them tell it of almost every image."""
    head = stored.ravel(order="K")[:: max(stored.size // 64, 1)]
    return bool((head == head[0]).all()) and bool((stored == head[0]).all())
