"""SUV by body weight, by hand: 70 kg, 350 MBq of fluorine-18 (half life 110 min) an hour before the scan.

70,000 g / 350e6 Bq = 2.0000e-4; an hour leaves 2^(-60/110) = 0.68517 of the dose, so 2.9190e-4 g/ml for each Bq/ml.
"""

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medray.archive.headers import read_header
from medray.archive.pet import FRAME_REFERENCE_TIME, HALF_LIFE, ISOTOPES, MANUFACTURER, PET_TAGS, _frame_offset_s
from medray.archive.reading import read_instance
from medray.archive.values import decimal
from tests.archive.makers import dicom_dataset, image, saved

UNDECAYED, AFTER_AN_HOUR = 2.0e-4, 2.0e-4 / 0.685175
SERIES: dict[str, Any] = {
    "Modality": "PT",
    "CorrectedImage": ["DECY", "ATTN", "SCAT"],
    "Units": "BQML",
    "DecayCorrection": "START",
    "PatientWeight": 70,
    "SeriesDate": "20240310",
    "SeriesTime": "110000",
    "AcquisitionDate": "20240310",
    "AcquisitionTime": "110600.00",
}
ISOTOPE: dict[str, Any] = {
    "RadionuclideTotalDose": 350e6,
    "RadionuclideHalfLife": 6600,
    "RadiopharmaceuticalStartTime": "100000",
}
DECAY_FACTOR = 0x00541321
LATE_SERIES = {"SeriesTime": "183000"}
Private = tuple[int, str, int, str, str]


def pet(
    series: dict[str, Any] | None = None,
    isotope: dict[str, Any] | None = None,
    *private: tuple[int, str, int, int, str, str],
    syntax: str = ExplicitVRLittleEndian,
) -> bytes:
    """A PET object; what is None is left out. Private: group, creator, block, element, VR, value."""
    item = Dataset()
    for name, value in (ISOTOPE | (isotope or {})).items():
        if value is not None:
            setattr(item, name, value)
    tags = SERIES | {"RadiopharmaceuticalInformationSequence": Sequence([item])} | (series or {})
    dataset = dicom_dataset(image(), syntax, **{name: value for name, value in tags.items() if value is not None})
    for group, creator, block, element, vr, value in private:
        dataset.add_new((group, block), "LO", creator)
        dataset.add_new((group, block << 8 | element), vr, value)
    return saved(dataset)


def philips(element: int, value: str, block: int = 0x10, creator: str = "Philips PET Private Group"):
    return 0x7053, creator, block, element, "DS", value


def ge(value: str, block: int = 0x10):
    return 0x0009, "GEMS_PETD_01", block, 0x0D, "DT", value


def scale(data: bytes):
    pixels = read_instance(data, "dicom").pixels
    return pixels.suv, pixels.flags


def factor(data: bytes) -> float:
    suv, flags = scale(data)
    assert (suv.problem, flags) == ("", ())
    return suv.factor


def problem(data: bytes) -> str:
    suv, _ = scale(data)
    assert suv.factor is None
    return suv.problem


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_an_hour_of_fluorine_18_leaves_0_6852_of_the_dose(syntax):
    assert factor(pet(syntax=syntax)) == pytest.approx(AFTER_AN_HOUR, rel=1e-5)
    assert factor(pet(syntax=syntax)) == pytest.approx(2.9190e-4, rel=2e-5)


def test_a_dose_corrected_to_its_administration_has_not_decayed():
    assert factor(pet({"DecayCorrection": "ADMIN"})) == pytest.approx(UNDECAYED)
    nothing_else = {"DecayCorrection": "ADMIN", "SeriesTime": None, "AcquisitionTime": None}
    assert factor(pet(nothing_else, {"RadionuclideHalfLife": None})) == pytest.approx(UNDECAYED)


@pytest.mark.parametrize(
    ("series", "isotope"),
    [
        ({}, {"RadiopharmaceuticalStartDateTime": "20240310100000", "RadiopharmaceuticalStartTime": "030000"}),
        ({}, {"RadiopharmaceuticalStartDateTime": "202403101000", "RadiopharmaceuticalStartTime": None}),
        (
            {"TimezoneOffsetFromUTC": "+0100"},
            {"RadiopharmaceuticalStartDateTime": "20240310100000.00+0100"},
        ),
        (
            {
                "SeriesDate": "20240311",
                "AcquisitionDate": "20240311",
                "SeriesTime": "003000",
                "AcquisitionTime": "003000",
            },
            {"RadiopharmaceuticalStartTime": "233000"},
        ),
        (
            {
                "SeriesDate": "20240301",
                "AcquisitionDate": "20240301",
                "SeriesTime": "003000",
                "AcquisitionTime": "003000",
            },
            {"RadiopharmaceuticalStartDateTime": "20240229233000"},
        ),
    ],
    ids=["date_time_first", "date_time_alone", "equal_time_zones", "midnight_inferred", "midnight_of_a_leap_day"],
)
def test_the_administration_is_an_hour_before_the_scan(series, isotope):
    assert factor(pet(series, isotope)) == pytest.approx(AFTER_AN_HOUR, rel=1e-5)


@pytest.mark.parametrize("block", [0x10, 0x11, 0x9F, 0xFF])
def test_a_series_made_after_the_scan_takes_its_start_from_ge_in_any_block(block):
    assert factor(pet(LATE_SERIES, {}, ge("20240310110000.00", block))) == pytest.approx(AFTER_AN_HOUR, rel=1e-5)


def test_ges_element_counts_only_under_its_creator_and_only_where_the_series_is_late():
    assert factor(pet({}, {}, ge("20240310090000"))) == pytest.approx(AFTER_AN_HOUR, rel=1e-5)
    other = (0x0009, "OTHER VENDOR", 0x10, 0x0D, "DT", "20240310110000")
    assert "later than the acquisition" in problem(pet(LATE_SERIES, {}, other))


def test_the_start_of_the_scan_is_computed_from_the_frame_where_nothing_says_it():
    # Of a frame of 240 s and a half life of 6588 s, GE's own headers have the decay factor 1.01268: its average count
    # rate is ln(1.01268) / ln(2) x 6588 s = 119.76 s after its start.
    frame = {"AcquisitionTime": "110600", "FrameReferenceTime": 360e3 + 119.76e3, "ActualFrameDuration": 240_000}
    half_life = {"RadionuclideHalfLife": 6588}
    expected = 2e-4 / 2 ** (-3600 / 6588)
    for vendor in (frame | {"Manufacturer": "SIEMENS"}, frame | {"Manufacturer": None}):
        suv, flags = scale(pet(LATE_SERIES | vendor, half_life))
        assert suv.factor == pytest.approx(expected, rel=5e-6)
        assert flags == ("scan_start_from_frame_time",)
    of_ge = frame | {"FrameReferenceTime": 360e3, "Manufacturer": "GE MEDICAL SYSTEMS"}
    assert scale(pet(LATE_SERIES | of_ge, half_life))[0].factor == pytest.approx(expected, rel=1e-6)


def test_the_average_count_rate_is_that_of_the_decay_factors_in_real_headers(medray_data):
    """Decay Factor (0054,1321) of GE: from the start of the scan to the average count rate of the frame."""
    paths = sorted((medray_data / "ibsi/dicom").glob("*/PET/image/*.dcm"))[::8]
    for path in paths:
        header = read_header(path.read_bytes(), whole=True, wanted=PET_TAGS | {DECAY_FACTOR})
        half_life, start = decimal(header.items(ISOTOPES)[0], HALF_LIFE), decimal(header, FRAME_REFERENCE_TIME) / 1000
        header.values.pop(MANUFACTURER)
        average = start - _frame_offset_s(header, half_life)
        assert 2 ** ((start + average) / half_life) == pytest.approx(decimal(header, DECAY_FACTOR), abs=6e-6)
    assert len(paths) == 51


@pytest.mark.parametrize("block", [0x10, 0x42, 0xFF])
def test_counts_of_philips_take_its_factor_in_any_block(block):
    counts = {"Units": "CNTS"}
    assert factor(pet(counts, {}, philips(0x00, "0.00025", block))) == pytest.approx(2.5e-4)
    suv_first = philips(0x00, "0.00025", block), philips(0x09, "7", block)
    assert factor(pet(counts, {}, *suv_first)) == pytest.approx(2.5e-4)


@pytest.mark.parametrize("absent", [(), (philips(0x00, "0"),), (philips(0x00, ""),)], ids=["absent", "zero", "empty"])
def test_counts_of_philips_become_becquerel_where_it_has_no_factor_to_suv(absent):
    data = pet({"Units": "CNTS"}, {}, *absent, philips(0x09, "3.5"))
    assert factor(data) == pytest.approx(3.5 * AFTER_AN_HOUR, rel=1e-5)


def test_grams_a_millilitre_are_suv_already_unless_they_say_of_what():
    for kind in ({}, {"SUVType": "BW"}):
        assert factor(pet({"Units": "GML", "PatientWeight": None} | kind)) == 1.0
    for kind in ("LBM", "BSA", "LBMJANMA", "IBW"):
        assert "SUV Type (0054,1006)" in problem(pet({"Units": "GML", "SUVType": kind}))


def test_a_dose_in_megabecquerel_is_recovered_and_flagged():
    suv, flags = scale(pet({}, {"RadionuclideTotalDose": 350}))
    assert suv.factor == pytest.approx(AFTER_AN_HOUR, rel=1e-5)
    assert flags == ("dose_in_mbq",)


@pytest.mark.parametrize(
    ("series", "isotope", "named"),
    [
        ({"CorrectedImage": ["DECY"]}, {}, "(0028,0051)"),
        ({"CorrectedImage": ["ATTN"]}, {}, "(0028,0051)"),
        ({"CorrectedImage": None}, {}, "(0028,0051)"),
        ({"CorrectedImage": ["ATTN"], "Units": "GML"}, {}, "(0028,0051)"),
        ({"Units": None}, {}, "(0054,1001)"),
        ({"Units": "PROPCNTS"}, {}, "(0054,1001)"),
        ({"Units": "CNTS"}, {}, "(7053,xx00)"),
        ({"PatientWeight": None}, {}, "(0010,1030)"),
        ({"PatientWeight": 0}, {}, "(0010,1030)"),
        ({"PatientWeight": -70}, {}, "(0010,1030)"),
        ({"PatientWeight": 70_000}, {}, "(0010,1030)"),
        ({}, {"RadionuclideTotalDose": None}, "(0018,1074)"),
        ({}, {"RadionuclideTotalDose": 0}, "(0018,1074)"),
        ({}, {"RadionuclideHalfLife": None}, "(0018,1075)"),
        ({}, {"RadionuclideHalfLife": 0}, "(0018,1075)"),
        ({}, {"RadiopharmaceuticalStartTime": None}, "(0018,1078)"),
        ({"DecayCorrection": None}, {}, "(0054,1102)"),
        ({"DecayCorrection": "NONE"}, {}, "(0054,1102)"),
        ({"AcquisitionTime": None}, {}, "(0008,0032)"),
        (LATE_SERIES, {}, "later than the acquisition"),
        ({}, {"RadiopharmaceuticalStartDateTime": "20240311100000"}, "half lives"),
        ({}, {"RadiopharmaceuticalStartDateTime": "20140310100000"}, "half lives"),
        ({}, {"RadiopharmaceuticalStartDateTime": "20240310100000+0500"}, "time zone"),
        ({"RadiopharmaceuticalInformationSequence": None}, {}, "(0054,0016)"),
        ({"RadiopharmaceuticalInformationSequence": Sequence([Dataset(), Dataset()])}, {}, "(0054,0016)"),
    ],
)
def test_what_is_missing_zero_or_impossible_is_named_and_never_taken_for_one(series, isotope, named):
    assert named in problem(pet(series, isotope))


def test_what_says_why_there_is_no_suv_and_what_is_printed_name_no_value():
    data = pet({"PatientWeight": 70_000})
    assert "70" not in problem(data).replace("(0010,1030)", "")
    shown = repr(read_instance(pet(), "dicom"))
    assert all(secret not in shown for secret in ("20240310", "350000000", "110600"))


def test_only_pet_has_a_scale():
    assert scale(pet({"Modality": "CT"}))[0] is None
