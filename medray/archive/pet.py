"""What turns a PET image's values into SUV by body weight. Weight, dose and dates stay in this room.

Source: DICOM PS3.3 C.8.9.1 (PET Series), C.8.9.2 (PET Isotope), C.8.9.4 (PET Image); the vendor-neutral pseudo-code of
RSNA's QIBA; the SUV manual of IBSI for series whose date and time are not those of the scan.
"""

import math

from medray.archive.headers import Header
from medray.archive.instance import SuvScale
from medray.archive.values import (
    DAY_S,
    code,
    date_time_s,
    decimal,
    moment_s,
    private_tag,
    private_tags,
    raw_text,
    text,
    time_s,
)

CORRECTED_IMAGE, UNITS, SUV_TYPE, DECAY_CORRECTION = 0x00280051, 0x00541001, 0x00541006, 0x00541102
SERIES, ACQUISITION = (0x00080021, 0x00080031), (0x00080022, 0x00080032)
TIMEZONE, MANUFACTURER, WEIGHT = 0x00080201, 0x00080070, 0x00101030
FRAME_REFERENCE_TIME, FRAME_DURATION = 0x00541300, 0x00181242
ISOTOPES, DOSE, HALF_LIFE = 0x00540016, 0x00181074, 0x00181075
START_TIME, START_DATE_TIME = 0x00181072, 0x00181078
GE, GE_GROUP, GE_SCAN_DATE_TIME = "GEMS_PETD_01", 0x0009, 0x0D
PHILIPS, PHILIPS_GROUP, PHILIPS_SUV, PHILIPS_ACTIVITY = "Philips PET Private Group", 0x7053, 0x00, 0x09
PET_TAGS = frozenset((CORRECTED_IMAGE, UNITS, SUV_TYPE, DECAY_CORRECTION, *SERIES, *ACQUISITION)).union(
    (TIMEZONE, MANUFACTURER, WEIGHT, FRAME_REFERENCE_TIME, FRAME_DURATION, ISOTOPES),
    private_tags(GE_GROUP, GE_SCAN_DATE_TIME),
    private_tags(PHILIPS_GROUP, PHILIPS_SUV, PHILIPS_ACTIVITY),
)
HEAVIEST_KG = 1000.0
LEAST_BQ = 1e4  # a dose below it is in MBq
HALF_LIVES_AT_MOST = 10
FACTOR_AT_MOST = 1e6


class _MissingError(Exception):
    """Why there is no factor; names attributes and no value."""


def suv_scale(header: Header) -> SuvScale:
    """The factor from modality values to SUV by body weight, or why there is none: it is never assumed to be 1."""
    try:
        factor = _factor(header)
    except _MissingError as missing:
        return SuvScale(None, str(missing))
    return SuvScale(factor) if factor < FACTOR_AT_MOST else SuvScale(None, "the factor is larger than any can be")


def _factor(header: Header) -> float:
    corrections = {part.strip().upper() for part in (raw_text(header, CORRECTED_IMAGE) or "").split("\\")}
    if not corrections.issuperset(("ATTN", "DECY")):
        raise _MissingError("Corrected Image (0028,0051) does not list ATTN and DECY")
    units = code(header, UNITS)
    if units == "BQML":
        return _per_becquerel(header)
    if units == "CNTS":
        return _per_count(header)
    if units != "GML":
        raise _MissingError("Units (0054,1001) are not BQML, CNTS or GML")
    if code(header, SUV_TYPE) not in (None, "BW"):  # absent means BW
        raise _MissingError("SUV Type (0054,1006) is not BW")
    return 1.0


def _per_count(header: Header) -> float:
    """Philips: a factor to SUV, else one to Bq/ml."""
    if (factor := _philips(header, PHILIPS_SUV)) is not None:
        return factor
    if (factor := _philips(header, PHILIPS_ACTIVITY)) is not None:
        return factor * _per_becquerel(header)
    raise _MissingError("Units (0054,1001) are CNTS, and neither (7053,xx00) nor (7053,xx09) of Philips has a factor")


def _philips(header: Header, element: int) -> float | None:
    """A private factor; 0 means that there is none."""
    tag = private_tag(header, PHILIPS_GROUP, PHILIPS, element)
    factor = decimal(header, tag) if tag is not None else None
    return factor if factor is not None and factor > 0 else None


def _per_becquerel(header: Header) -> float:
    """g/ml for each Bq/ml: body weight in grams by the dose that is left at the time the values stand for."""
    weight = _positive(header, WEIGHT, "Patient's Weight (0010,1030)")
    if weight > HEAVIEST_KG:
        raise _MissingError("Patient's Weight (0010,1030) cannot be in kg")
    isotopes = header.items(ISOTOPES)
    if len(isotopes) != 1:
        raise _MissingError("Radiopharmaceutical Information Sequence (0054,0016) does not hold one item")
    dose = _positive(isotopes[0], DOSE, "Radionuclide Total Dose (0018,1074)")
    if dose < LEAST_BQ:
        header.flag("dose_in_mbq")
        dose *= 1e6
    if dose < LEAST_BQ:
        raise _MissingError("Radionuclide Total Dose (0018,1074) is too small for any unit")
    return weight * 1000 / (dose * _decay(header, isotopes[0]))


def _positive(place: Header, tag: int, name: str) -> float:
    value = decimal(place, tag)
    if value is None or value <= 0:
        raise _MissingError(f"{name} is missing or not above 0")
    return value


def _decay(header: Header, isotope: Header) -> float:
    """Share of the administered dose that the values are corrected to."""
    correction = code(header, DECAY_CORRECTION)
    if correction == "ADMIN":
        return 1.0
    if correction != "START":
        raise _MissingError("Decay Correction (0054,1102) is neither START nor ADMIN")
    half_life = _positive(isotope, HALF_LIFE, "Radionuclide Half Life (0018,1075)")
    scan = _scan_start_s(header, half_life)
    half_lives = (scan - _administration_s(header, isotope, scan)) / half_life
    if not 0 <= half_lives <= HALF_LIVES_AT_MOST:
        raise _MissingError(f"the scan is not within {HALF_LIVES_AT_MOST} half lives after the administration")
    return math.exp2(-half_lives)


def _scan_start_s(header: Header, half_life_s: float) -> float:
    """The start of the scan: of the series, unless that was made after the acquisition; then GE's own, or computed."""
    series, acquisition = moment_s(header, *SERIES), moment_s(header, *ACQUISITION)
    if acquisition is None:
        raise _MissingError("Acquisition Date (0008,0022) or Time (0008,0032) is missing")
    if series is not None and series <= acquisition:
        return series
    tag = private_tag(header, GE_GROUP, GE, GE_SCAN_DATE_TIME)
    if tag is not None and (found := date_time_s(header, tag)) is not None:
        return found[0]
    return acquisition - _frame_offset_s(header, half_life_s)


def _frame_offset_s(header: Header, half_life_s: float) -> float:
    """Seconds from the start of the scan to that of the frame.

    Frame Reference Time is that of the frame's average count rate; GE writes the frame's start there.
    """
    reference, duration = decimal(header, FRAME_REFERENCE_TIME), decimal(header, FRAME_DURATION)
    if reference is None or duration is None or reference < 0 or duration <= 0:
        raise _MissingError("the series is later than the acquisition, and nothing else says when the scan began")
    header.flag("scan_start_from_frame_time")
    if (text(header, MANUFACTURER) or "").upper().startswith("GE"):
        return reference / 1000
    decayed = math.log(2) * duration / 1000 / half_life_s
    return reference / 1000 - half_life_s / math.log(2) * math.log(decayed / -math.expm1(-decayed))


def _administration_s(header: Header, isotope: Header, scan_s: float) -> float:
    """The administration by its date and time, else by its time within the day before the scan."""
    found = date_time_s(isotope, START_DATE_TIME)
    if found is not None:
        if found[1] not in ("", text(header, TIMEZONE)):
            raise _MissingError("Radiopharmaceutical Start DateTime (0018,1078) is of a time zone of its own")
        return found[0]
    time = time_s(isotope, START_TIME)
    if time is None:
        raise _MissingError("Radiopharmaceutical Start DateTime (0018,1078) and Time (0018,1072) are missing")
    same_day = scan_s // DAY_S * DAY_S + time
    return same_day if same_day <= scan_s else same_day - DAY_S
