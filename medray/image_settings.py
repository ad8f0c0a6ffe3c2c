"""What decoding one image may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodeSettings:
    """What one frame may take to be decoded, and how many are decoded twice.

    Attributes:
        cross_check: share of the frames (0 to 1) that an independent decoder reads too. Where the two disagree the
            frame fails as `decoders_disagree`; which frames are taken depends on their sample ids alone.
        max_samples: rows x columns x samples a frame may have; one that says more fails as `image_too_large` before
            memory is taken for it. The largest mammogram has a tenth of the default.
        frame_seconds: time in which a frame must be decoded and prepared, or it fails as `decoder_timeout`.
        gibibytes: memory of a decoding process; the frame that wants more fails as `decoder_out_of_memory`.
    """

    cross_check: float = 0.0
    max_samples: int = 2**28
    frame_seconds: float = 60.0
    gibibytes: float = 8.0
