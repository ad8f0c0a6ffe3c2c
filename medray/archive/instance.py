"""An image as the archive hands it out: its pixel module and its encoded frames, and no patient."""

from dataclasses import dataclass, field
from typing import Literal

PNG, JPEG, TIFF = "image/png", "image/jpeg", "image/tiff"
"""What stands in `transfer_syntax_uid` for images that are not DICOM: their media type."""

WindowFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True)
class LookupTable:
    """A modality, VOI or palette lookup table. No entries: the header's table cannot be used.

    Source: DICOM PS3.3 C.11.1.1.1 and C.11.2.1.1 (LUT Descriptor, LUT Data).
    """

    first_mapped: int
    bits: int
    entries: tuple[int, ...]
    explanation: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Window:
    """A VOI window, in modality values. Source: DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3 (VOI LUT Function)."""

    center: float
    width: float
    function: WindowFunction = "LINEAR"
    explanation: str | None = field(default=None, repr=False)


Voi = tuple[Window | LookupTable, ...]
"""What the header offers to show a frame with: its windows, then its VOI lookup tables."""


@dataclass(frozen=True)
class SuvScale:
    """What turns a PET image's modality values into SUV by body weight (g/ml).

    Attributes:
        factor: to multiply by; None where the header does not hold all that it takes.
        problem: what is missing or wrong then; names attributes and no value.
    """

    factor: float | None
    problem: str = ""


@dataclass(frozen=True)
class Palette:
    """Red, green and blue lookup tables of PALETTE COLOR. Source: DICOM PS3.3 C.7.6.3.1.5."""

    red: LookupTable
    green: LookupTable
    blue: LookupTable


@dataclass(frozen=True)
class PixelModule:
    """What the numbers in a frame mean. Source: DICOM PS3.3 C.7.6.3 (Image Pixel Module).

    Attributes:
        rescale: (slope, intercept) once for all frames or once a frame; empty where the header has none.
        voi: windows and VOI tables, once for all frames or once a frame; empty where the header has none.
        suv: of PET only.
        spacing_mm: (between rows, between columns); None where the header does not say, never 1.0.
        spacing_source: `pixel_spacing`, `imager_pixel_spacing`, `nominal_scanned`, `functional_groups`,
            `ultrasound_region` or `resolution` (PNG, TIFF); None without spacing.
        float_bits: 32 or 64 for Float or Double Float Pixel Data, else None.
        flags: what had to be recovered or guessed, e.g. `missing_preamble`, `odd_length`.
    """

    transfer_syntax_uid: str
    rows: int
    columns: int
    frames: int = 1
    samples_per_pixel: int = 1
    bits_allocated: int = 8
    bits_stored: int = 8
    high_bit: int = 7
    pixel_representation: int = 0
    photometric_interpretation: str = "MONOCHROME2"
    planar_configuration: int = 0
    float_bits: Literal[32, 64] | None = None
    modality: str | None = None
    rescale: tuple[tuple[float, float], ...] = ()
    modality_lut: LookupTable | None = None
    palette: Palette | None = None
    voi: tuple[Voi, ...] = ()
    suv: SuvScale | None = None
    padding_value: int | float | None = None
    padding_range_limit: int | float | None = None
    spacing_mm: tuple[float, float] | None = None
    spacing_source: str | None = None
    pixel_aspect_ratio: tuple[int, int] | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Instance:
    """One image object, read whole.

    Attributes:
        encoded_frames: one entry a frame: the frame's bytes as stored (native or compressed, fragments
            joined), or None where the object does not hold the frame. A PNG, JPEG or TIFF has one: the file.
    """

    pixels: PixelModule
    encoded_frames: tuple[bytes | memoryview | None, ...] = field(repr=False)
