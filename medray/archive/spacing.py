"""What the header says about the distance between pixels, and which attribute says it.

Source: DICOM PS3.3 10.7.1.3 (projection images: Pixel Spacing is calibrated where a calibration type is given or it
differs from Imager Pixel Spacing), C.8.5.5 (ultrasound regions), C.7.6.16.2.1 (Pixel Measures macro).
"""

from medray.archive.headers import Header
from medray.archive.values import binary, decimal, decimals, doubles

PIXEL_SPACING = 0x00280030
PIXEL_SPACING_CALIBRATION_TYPE = 0x00280A02
IMAGER_PIXEL_SPACING = 0x00181164
NOMINAL_SCANNED_PIXEL_SPACING = 0x00182010
MAGNIFICATION = 0x00181114
ULTRASOUND_REGIONS = 0x00186011
REGION_FORMAT, UNITS_X, UNITS_Y, DELTA_X, DELTA_Y = 0x00186012, 0x00186024, 0x00186026, 0x0018602C, 0x0018602E
SHARED_GROUPS, FRAME_GROUPS, PIXEL_MEASURES = 0x52009229, 0x52009230, 0x00289110
CENTIMETRES = 3
LEAST_MM, MOST_MM = 1e-9, 1e6
TAGS = frozenset(
    (
        PIXEL_SPACING,
        PIXEL_SPACING_CALIBRATION_TYPE,
        IMAGER_PIXEL_SPACING,
        NOMINAL_SCANNED_PIXEL_SPACING,
        MAGNIFICATION,
        ULTRASOUND_REGIONS,
        SHARED_GROUPS,
    )
)

Spacing = tuple[tuple[float, float] | None, str | None]


def pixel_spacing(header: Header) -> Spacing:
    """((between rows, between columns) in mm, source), or (None, None): never invented."""
    values = header.values
    calibrated = _pair(header, PIXEL_SPACING)
    imager = _pair(header, IMAGER_PIXEL_SPACING)
    if calibrated and (imager is None or calibrated != imager or PIXEL_SPACING_CALIBRATION_TYPE in values):
        return calibrated, "pixel_spacing"
    if imager:
        magnification = decimal(header, MAGNIFICATION)
        if magnification is not None and magnification > 0:
            imager = _checked(header, (imager[0] / magnification, imager[1] / magnification))
        return imager, "imager_pixel_spacing" if imager else None
    if SHARED_GROUPS in values or SHARED_GROUPS in header.nested:
        measures = [spacing for group in header.items(SHARED_GROUPS) if (spacing := measured(group))]
        if measures:
            return measures[0], "functional_groups"
    if nominal := _pair(header, NOMINAL_SCANNED_PIXEL_SPACING):
        return nominal, "nominal_scanned"
    return _ultrasound(header)


def measured(group: Header) -> tuple[float, float] | None:
    """Pixel Spacing of a functional group's Pixel Measures."""
    return next((found for item in group.items(PIXEL_MEASURES) if (found := _pair(item, PIXEL_SPACING))), None)


def _pair(header: Header, tag: int) -> tuple[float, float] | None:
    if tag not in header.values:
        return None
    numbers = decimals(header, tag, 2)
    return _checked(header, (numbers[0], numbers[1])) if numbers else None


def _checked(header: Header, pair: tuple[float, float]) -> tuple[float, float] | None:
    """The pair, where both can be a distance between pixels, from a picometre to a kilometre."""
    if min(pair) >= LEAST_MM and max(pair) <= MOST_MM:
        return pair
    header.flag("spacing_not_positive" if min(pair) <= 0 else "spacing_implausible")
    return None


def _ultrasound(header: Header) -> Spacing:
    """The spacing that all two-dimensional regions in centimetres agree on."""
    if ULTRASOUND_REGIONS not in header.values and ULTRASOUND_REGIONS not in header.nested:
        return None, None
    found = {spacing for region in header.items(ULTRASOUND_REGIONS) if (spacing := _region(region))}
    if len(found) > 1:
        header.flag("ultrasound_regions_differ")
    return (found.pop(), "ultrasound_region") if len(found) == 1 else (None, None)


def _region(region: Header) -> tuple[float, float] | None:
    if binary(region, REGION_FORMAT) != 1 or {binary(region, UNITS_X), binary(region, UNITS_Y)} != {CENTIMETRES}:
        return None
    across, down = doubles(region, DELTA_X), doubles(region, DELTA_Y)
    if not across or not down or not across[0] or not down[0]:
        return None
    return _checked(region, (abs(down[0]) * 10, abs(across[0]) * 10))
