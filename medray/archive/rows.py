"""A header to a row of schema.INDEX: identifiers hashed, numbers checked, dates left out."""

from typing import Any

import pyarrow as pa

from medray import schema
from medray.archive import spacing
from medray.archive.headers import Header
from medray.archive.identity import keyed_hash
from medray.archive.values import (
    SPECIFIC_CHARACTER_SET,
    age_years,
    bad,
    binary,
    code,
    decimal,
    decimals,
    integer_text,
    raw_text,
    text,
    time_s,
    uid,
)

Row = dict[str, Any]

EMPTY_ROW: Row = dict.fromkeys(schema.INDEX.names)
SOP_CLASS_UID, SOP_INSTANCE_UID, MEDIA_SOP_CLASS_UID, MEDIA_SOP_INSTANCE_UID = 0x80016, 0x80018, 0x20002, 0x20003
PATIENT_ID, STUDY_UID, SERIES_UID = 0x00100020, 0x0020000D, 0x0020000E
PATIENT_SEX, LATERALITY, IMAGE_LATERALITY = 0x00100040, 0x00200060, 0x00200062
NUMBER_OF_FRAMES, LOSSY, BURNED_IN = 0x00280008, 0x00282110, 0x00280301
UNITS, RESCALE_TYPE = 0x00541001, 0x00281054
SLICE_THICKNESS, POSITION, ORIENTATION = 0x00180050, 0x00200032, 0x00200037
PLANE_ORIENTATION, MEASURES = 0x00209116, spacing.PIXEL_MEASURES
BINARIES = {
    "rows": 0x00280010,
    "columns": 0x00280011,
    "samples_per_pixel": 0x00280002,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "high_bit": 0x00280102,
    "pixel_representation": 0x00280103,
}
TEXTS = {"manufacturer": 0x00080070, "model_name": 0x00081090}
CODES = {"modality": 0x80060, "photometric_interpretation": 0x280004, "body_part": 0x180015, "view_position": 0x185101}
TIMES = {"acquisition_time_s": 0x00080032, "content_time_s": 0x00080033}
INTEGERS = {"instance_number": 0x00200013, "acquisition_number": 0x00200012}
RESCALES = {"rescale_slope": 0x00281053, "rescale_intercept": 0x00281052}
INDEX_TAGS = frozenset(
    [0x00020010, SPECIFIC_CHARACTER_SET, SOP_CLASS_UID, SOP_INSTANCE_UID, MEDIA_SOP_CLASS_UID, MEDIA_SOP_INSTANCE_UID]
    + [PATIENT_ID, 0x00101010, STUDY_UID, SERIES_UID, PATIENT_SEX, LATERALITY, IMAGE_LATERALITY, NUMBER_OF_FRAMES]
    + [LOSSY, BURNED_IN, UNITS, RESCALE_TYPE, SLICE_THICKNESS, POSITION, ORIENTATION]
    + [tag for group in (BINARIES, TEXTS, CODES, TIMES, INTEGERS, RESCALES) for tag in group.values()]
).union(spacing.TAGS)
SEXES = ("M", "F", "O")
LARGEST = {item.name: 2 ** (item.type.bit_width - 1) - 1 for item in schema.INDEX if pa.types.is_integer(item.type)}


def dicom_fields(header: Header, key: bytes) -> Row:
    """The columns of schema.INDEX that a DICOM header fills; `flags` lists what was bad or guessed."""
    row: Row = {name: binary(header, tag) for name, tag in BINARIES.items()}
    row |= {name: text(header, tag) for name, tag in TEXTS.items()}
    row |= {name: code(header, tag) for name, tag in CODES.items()}
    row |= {name: time_s(header, tag) for name, tag in TIMES.items()}
    row |= {name: integer_text(header, tag) for name, tag in INTEGERS.items()}
    row |= {name: decimal(header, tag) for name, tag in RESCALES.items()}
    row |= _keys(header, key) | _geometry(header) | _description(header)
    row["transfer_syntax_uid"] = header.transfer_syntax_uid
    row["frames"] = number_of_frames(header)
    row["flags"] = header.flags
    return row


def number_of_frames(header: Header) -> int:
    """(0028,0008); 1 where it is absent, and, flagged, where it is no positive number."""
    frames = integer_text(header, NUMBER_OF_FRAMES)
    if frames is None or frames < 1:
        if frames is not None:
            bad(header, NUMBER_OF_FRAMES)
        return 1
    return frames


def sop_class_uid(header: Header) -> str | None:
    """(0008,0016), else the meta group's (0002,0002)."""
    return uid(header, SOP_CLASS_UID) or uid(header, MEDIA_SOP_CLASS_UID)


def _keys(header: Header, key: bytes) -> Row:
    patient, study, series = raw_text(header, PATIENT_ID), uid(header, STUDY_UID), uid(header, SERIES_UID)
    instance = uid(header, SOP_INSTANCE_UID) or uid(header, MEDIA_SOP_INSTANCE_UID)
    if patient is None:
        header.flag("patient_id_missing")
        patient = study or series or instance
    names = {"patient_key": patient, "study_key": study, "series_key": series, "instance_key": instance}
    return {name: keyed_hash(key, value) if value else None for name, value in names.items()}


def _geometry(header: Header) -> Row:
    distance, source = spacing.pixel_spacing(header)
    position, orientation = decimals(header, POSITION, 3), decimals(header, ORIENTATION, 6)
    thickness = decimal(header, SLICE_THICKNESS)
    for group in header.items(spacing.SHARED_GROUPS) if spacing.SHARED_GROUPS in header.values else ():
        orientation = orientation or next((decimals(i, ORIENTATION, 6) for i in group.items(PLANE_ORIENTATION)), None)
        if thickness is None:
            thickness = next((decimal(item, SLICE_THICKNESS) for item in group.items(MEASURES)), None)
    return {
        "row_spacing_mm": distance[0] if distance else None,
        "column_spacing_mm": distance[1] if distance else None,
        "spacing_source": source,
        "slice_thickness_mm": thickness,
        "position_mm": position,
        "orientation": orientation,
    }


def _description(header: Header) -> Row:
    sex, lossy, burned_in = code(header, PATIENT_SEX), code(header, LOSSY), code(header, BURNED_IN)
    if sex is not None and sex not in SEXES:
        bad(header, PATIENT_SEX)
    return {
        "sop_class_uid": sop_class_uid(header),
        "laterality": code(header, IMAGE_LATERALITY) or code(header, LATERALITY),
        "patient_sex": sex if sex in SEXES else None,
        "patient_age_years": age_years(header, 0x00101010),
        "units": code(header, UNITS) or code(header, RESCALE_TYPE),
        "lossy": {"01": True, "1": True, "00": False, "0": False}.get(lossy or ""),
        "burned_in_annotation": {"YES": True, "NO": False}.get(burned_in or ""),
    }


def within_columns(row: Row) -> Row:
    """The row without numbers that no column can hold, each flagged: 32768 Bits Allocated, 2^32 columns of a PNG."""
    beyond = [name for name, largest in LARGEST.items() if row[name] is not None and abs(row[name]) > largest]
    if not beyond:
        return row
    flags = [*(row["flags"] or ()), *(f"bad_value:{name}" for name in beyond)]
    return row | dict.fromkeys(beyond) | {"flags": flags}


def rows_to_table(rows: list[Row]) -> pa.Table:
    """Rows as a table of schema.INDEX."""
    return pa.Table.from_pylist(rows, schema=schema.INDEX)
