import io
import struct
import warnings
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.processing import apply_modality_lut
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from medray.archive.instance import LookupTable
from medray.archive.reading import read_instance
from medray.errors import Reason, SampleError
from medray.pixels.values import frame_values
from tests.archive.makers import SHIPPED, dicom_bytes, dicom_dataset, image, index_folder, saved, shipped
from tests.archive.test_images import encoded

JPEG = b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x04\x00\x06\x01\x01\x11\x00" + b"\xff\xda" + bytes(8) + b"\xff\xd9\x00"


def module(pixels=None, **tags):
    return read_instance(dicom_bytes(image() if pixels is None else pixels, **tags), "dicom").pixels


def refusal(data: bytes) -> SampleError:
    with pytest.raises(SampleError) as caught:
        read_instance(data, "dicom")
    return caught.value


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_native_frames_hold_the_pixels(syntax):
    pixels = np.arange(48, dtype=np.uint16).reshape(2, 4, 6)
    instance = read_instance(dicom_bytes(pixels, syntax), "dicom")
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    assert instance.pixels.transfer_syntax_uid == syntax and instance.pixels.frames == 2
    for frame, expected in zip(instance.encoded_frames, pixels, strict=True):
        assert (np.frombuffer(frame, order).reshape(4, 6) == expected).all()


def assert_frames_of_pydicom(data: bytes) -> bool:
    instance = read_instance(data, "dicom")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        syntax = dataset.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)
        if syntax.is_encapsulated:
            expected = list(generate_frames(dataset.PixelData, number_of_frames=instance.pixels.frames))
            assert [frame if frame is None else bytes(frame) for frame in instance.encoded_frames] == expected
            return True
    raw = dataset.get("PixelData") or dataset.get("FloatPixelData") or dataset.get("DoubleFloatPixelData")
    if instance.pixels.bits_allocated >= 8 and syntax != ExplicitVRBigEndian:
        assert raw.startswith(b"".join(instance.encoded_frames))
    return True


def test_the_frames_of_every_file_of_pydicom_are_those_of_pydicom():
    rows = [row for row in index_folder(SHIPPED) if row["status"] == "ok" and "pixels_truncated" not in row["flags"]]
    assert len(rows) >= 90
    assert all(assert_frames_of_pydicom(open_bytes(row["uri"])) for row in rows)


def open_bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("name", ["encapsulated", "wg04", "dcmqi", "multiframe"])
def test_the_frames_of_real_archives_are_those_of_pydicom(medray_data, name):
    for row in index_folder(medray_data / name):
        if row["status"] == "ok" and row["format"] == "dicom":
            assert assert_frames_of_pydicom(open_bytes(row["uri"]))


@pytest.mark.parametrize("name", ["SC_rgb_small_odd_big_endian.dcm", "MR_small_bigendian.dcm", "ExplVR_BigEnd.dcm"])
def test_big_endian_frames_read_as_pydicom_reads_them(name):
    instance = read_instance(shipped(name), "dicom")
    pixels = instance.pixels
    expected = pydicom.dcmread(SHIPPED / name).pixel_array.ravel()
    kind = f">{'i' if pixels.pixel_representation else 'u'}{pixels.bits_allocated // 8}"
    found = np.frombuffer(instance.encoded_frames[0], kind)
    assert (np.sort(found[: expected.size]) == np.sort(expected)).all()
    assert pixels.planar_configuration or (found[: expected.size] == expected).all()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, ()),
        ({"RescaleSlope": 2, "RescaleIntercept": -1024}, ((2.0, -1024.0),)),
        ({"RescaleSlope": 2}, ((2.0, 0.0),)),
        ({"RescaleIntercept": 5}, ((1.0, 5.0),)),
        ({"RescaleSlope": None, "RescaleIntercept": None}, ()),
    ],
)
def test_a_missing_half_of_the_rescale_is_one_or_zero(tags, expected):
    found = module(**tags)
    assert found.rescale == expected
    assert ("empty_rescale" in found.flags) == (None in tags.values())


def test_a_slope_of_zero_is_flagged_and_no_number_is_refused():
    assert "rescale_slope_zero" in module(RescaleSlope=0, RescaleIntercept=1).flags
    data = dicom_bytes(image(), RescaleSlope="1.25", RescaleIntercept="0")
    assert refusal(data.replace(b"1.25", b"1,25")).reason is Reason.BAD_RESCALE


def groups(*pairs: tuple[float, float]) -> Sequence:
    items = []
    for slope, intercept in pairs:
        transformation, measures, item = Dataset(), Dataset(), Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept = slope, intercept
        measures.PixelSpacing = [0.5, 0.4]
        item.PixelValueTransformationSequence = Sequence([transformation])
        item.PixelMeasuresSequence = Sequence([measures])
        items.append(item)
    return Sequence(items)


def test_functional_groups_give_each_frame_its_rescale():
    pixels = np.zeros((2, 4, 6), np.uint16)
    found = module(pixels, PerFrameFunctionalGroupsSequence=groups((2, 1), (3, -1)))
    assert found.rescale == ((2.0, 1.0), (3.0, -1.0))
    assert (found.spacing_mm, found.spacing_source) == ((0.5, 0.4), "functional_groups")
    assert module(pixels, SharedFunctionalGroupsSequence=groups((2, 1))).rescale == ((2.0, 1.0),)
    assert module(pixels, PerFrameFunctionalGroupsSequence=groups((2, 1), (2, 1))).rescale == ((2.0, 1.0),)


def test_rescales_for_two_of_three_frames_are_refused():
    data = dicom_bytes(np.zeros((3, 4, 6), np.uint16), PerFrameFunctionalGroupsSequence=groups((2, 1), (3, 1)))
    assert refusal(data).detail == "rescale of 2 frames of 3"


def modality_table(bits: int, top: int, syntax=ExplicitVRLittleEndian) -> Sequence:
    """Four entries from stored value -2 on."""
    table = Dataset()
    implicit = syntax == ImplicitVRLittleEndian
    table.add_new(0x00283002, "US" if implicit else "SS", [4, 65534 if implicit else -2, bits])
    table.ModalityLUTType = "HU"
    table.add_new(0x00283006, "US", [0, 10, 100, top])
    return Sequence([table])


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_modality_lut_is_read_exactly(syntax, bits):
    table = modality_table(bits, 2**bits - 1, syntax)
    found = module(image(dtype="int16"), syntax=syntax, ModalityLUTSequence=table)
    assert found.modality_lut == LookupTable(-2, bits, (0, 10, 100, 2**bits - 1))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_modality_lut_gives_what_pydicom_gives(bits):
    stored = np.array([[-9, -2, -1, 0, 1, 9]], np.int16)
    data = dicom_bytes(stored, ModalityLUTSequence=modality_table(bits, 200))
    expected = apply_modality_lut(stored, pydicom.dcmread(io.BytesIO(data)))
    assert frame_values(read_instance(data, "dicom"), 0).values.tolist() == expected.tolist()


@pytest.mark.parametrize("bits", [1, 7, 17, 32])
def test_a_modality_lut_of_no_depth_there_is_is_refused(bits):
    data = dicom_bytes(image(dtype="int16"), ModalityLUTSequence=modality_table(bits, 1))
    assert refusal(data).detail == f"LUT of {bits} bits an entry"


@pytest.mark.parametrize(("bits", "dtype", "name"), [(32, "f", "Float"), (64, "d", "DoubleFloat")])
def test_float_pixels_have_a_float_padding_value(bits, dtype, name):
    padding = {f"{name}PixelPaddingValue": -1.5, f"{name}PixelPaddingRangeLimit": -0.5}
    dataset = dicom_dataset(image(), BitsAllocated=bits, **padding)
    del dataset.PixelData
    setattr(dataset, f"{name}PixelData", image().astype(f"<{dtype}").tobytes())
    found = read_instance(saved(dataset), "dicom").pixels
    assert (found.padding_value, found.padding_range_limit) == (-1.5, -0.5)


def test_a_palette_in_bytes_or_words_has_its_entries():
    dataset = pydicom.dcmread(SHIPPED / "examples_palette.dcm")
    found = read_instance(shipped("examples_palette.dcm"), "dicom").pixels.palette
    assert found is not None
    for name, table in (("Red", found.red), ("Green", found.green), ("Blue", found.blue)):
        entries, first, bits = dataset[f"{name}PaletteColorLookupTableDescriptor"].value
        raw = dataset[f"{name}PaletteColorLookupTableData"].value
        assert (table.first_mapped, len(table.entries), table.bits) == (first, entries, bits)
        width = "B" if len(raw) == entries else "H"
        assert table.entries == struct.unpack(f"<{entries}{width}", raw[: entries * struct.calcsize(width)])


def test_padding_and_aspect_are_read():
    found = module(image(dtype="int16"), PixelPaddingValue=-2000, PixelAspectRatio=[2, 1])
    assert (found.padding_value, found.pixel_aspect_ratio, found.modality) == (-2000, (2, 1), "CT")


@pytest.mark.parametrize(("tag", "bits", "dtype"), [("FloatPixelData", 32, "f4"), ("DoubleFloatPixelData", 64, "f8")])
def test_float_pixel_data_keep_their_bits(tag, bits, dtype):
    dataset = dicom_dataset(image(dtype="uint16"), BitsAllocated=bits)
    del dataset.PixelData, dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit
    setattr(dataset, tag, image().astype(f"<{dtype}").tobytes())
    instance = read_instance(saved(dataset), "dicom")
    assert instance.pixels.float_bits == bits and instance.pixels.flags == ()
    assert (np.frombuffer(instance.encoded_frames[0], f"<{dtype}") == np.arange(24)).all()


def encapsulated(syntax, **tags) -> bytes:
    dataset = dicom_dataset(image(dtype="uint8"), JPEGBaseline8Bit, **tags)
    dataset.PixelData = encapsulate([JPEG])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return saved(dataset).replace(b"1.2.840.10008.1.2.4.50", syntax)


def test_compressed_pixels_under_a_native_syntax_are_recovered_and_flagged():
    instance = read_instance(encapsulated(b"1.2.840.10008.1.2.1\0\0\0"), "dicom")
    assert instance.pixels.transfer_syntax_uid == JPEGBaseline8Bit
    assert instance.pixels.flags == ("encapsulated_despite_transfer_syntax",)
    assert bytes(instance.encoded_frames[0]) == JPEG


def test_native_pixels_under_a_compressed_syntax_are_recovered_and_flagged():
    dataset = dicom_dataset(image())
    data = saved(dataset).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    instance = read_instance(data, "dicom")
    assert instance.pixels.transfer_syntax_uid == ExplicitVRLittleEndian
    assert instance.pixels.flags == ("native_despite_transfer_syntax",)
    dataset.PixelData = bytes(40)
    broken = saved(dataset).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    assert refusal(broken).reason is Reason.UNSUPPORTED_PIXELS


def test_an_icon_is_never_taken_for_the_image():
    icon = dicom_dataset(np.full((2, 2), 7, np.uint8))
    inner = Dataset()
    for name in ("Rows", "Columns", "BitsAllocated", "PixelData"):
        inner.add(icon[name])
    with_pixels = read_instance(dicom_bytes(image(), IconImageSequence=Sequence([inner])), "dicom")
    assert (with_pixels.pixels.rows, len(with_pixels.encoded_frames[0])) == (4, 48)
    dataset = dicom_dataset(image(), IconImageSequence=Sequence([inner]))
    del dataset.PixelData
    assert refusal(saved(dataset)).reason is Reason.PIXELS_MISSING


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535}, Reason.IMAGE_TOO_LARGE),
        ({"NumberOfFrames": 2**30}, Reason.IMAGE_TOO_LARGE),
        ({"Rows": 0}, Reason.CORRUPT_HEADER),
        ({"BitsAllocated": None}, Reason.CORRUPT_HEADER),
        ({"PhotometricInterpretation": None}, Reason.CORRUPT_HEADER),
        ({"Rows": 40}, Reason.PIXEL_LENGTH_MISMATCH),
        ({"PixelData": b""}, Reason.PIXELS_MISSING),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.UNSUPPORTED_PIXELS),
    ],
)
def test_a_header_that_cannot_be_true_is_refused_with_its_reason(tags, reason):
    assert refusal(dicom_bytes(image(), **tags)).reason is reason


def test_lost_frames_of_a_cut_object_are_none():
    pixels = np.arange(72, dtype=np.uint16).reshape(3, 4, 6)
    instance = read_instance(dicom_bytes(pixels)[:-10], "dicom")
    assert [frame is None for frame in instance.encoded_frames] == [False, False, True]
    assert "frames_missing" in instance.pixels.flags


def test_a_number_of_frames_that_lies_by_far_costs_one_row():
    with pytest.raises(SampleError, match="frame_missing: 999997 of 1000000 frames"):
        read_instance(dicom_bytes(np.zeros((3, 4, 6), np.uint16), NumberOfFrames=1000000), "dicom")


@pytest.mark.parametrize(("mode", "format", "media"), [("I;16", "png", "image/png"), ("RGB", "jpeg", "image/jpeg")])
def test_an_image_file_is_its_own_encoded_frame(mode, format, media):
    data = encoded(mode, format.upper())
    instance = read_instance(data, format)
    assert instance.encoded_frames == (data,)
    assert (instance.pixels.transfer_syntax_uid, instance.pixels.rows, instance.pixels.columns) == (media, 5, 7)
    assert instance.pixels.bits_allocated == (16 if mode == "I;16" else 8)


def test_an_instance_shows_no_patient():
    assert "CANARY" not in repr(read_instance(dicom_bytes(image()), "dicom")).upper()
    assert "CANARY" not in repr(replace(module(), flags=())).upper()
