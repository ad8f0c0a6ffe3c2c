"""High-throughput JPEG 2000 by OpenJPH where it can be trusted, else by OpenJPEG, which is two to three times slower.

OpenJPH lets overshoot of the 9-7 wavelet wrap around, and reads cut frames without a word. What it does raise in the
middle of a frame, imagecodecs 2026.3 loses: Python hands such errors to `sys.unraisablehook` and the pixels come out
wrong. The hook set here takes note of them.
"""

import sys
import threading
from typing import Any

import imagecodecs
import numpy as np

from medray.pixels.codestream import Codestream, is_whole

_lost = threading.local()
_previous_hook: Any = sys.unraisablehook


def decode_htj2k(frame: Any, header: Codestream) -> np.ndarray:
    """The frame's samples.

    Raises:
        RuntimeError, ValueError: neither decoder can read the frame.
    """
    if header.reversible and is_whole(frame):
        _watch()
        _lost.error = False
        samples: np.ndarray = imagecodecs.htj2k_decode(frame)
        if not _lost.error:
            return samples
    return imagecodecs.jpeg2k_decode(frame, numthreads=1)


def _watch() -> None:
    global _previous_hook
    if sys.unraisablehook is not _note_lost_error:
        _previous_hook, sys.unraisablehook = sys.unraisablehook, _note_lost_error


def _note_lost_error(unraisable: Any) -> None:
    """Hooks run in the thread whose error was lost."""
    if "imagecodecs._htj2k" in str(unraisable.object):
        _lost.error = True
    else:
        _previous_hook(unraisable)
