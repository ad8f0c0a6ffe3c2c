"""Deflated data sets: the fast way must give what zlib gives, or nothing."""

import zlib

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medray.archive import deflated
from medray.archive.deflated import inflate_dataset
from medray.archive.headers import walk_meta
from medray.archive.reading import read_instance
from tests.archive.makers import dicom_bytes, image


def deflated_dataset(**tags: object) -> tuple[bytes, bytes]:
    """The deflate stream of a data set with an image, and what it holds."""
    file = dicom_bytes(image(40, 60), DeflatedExplicitVRLittleEndian, **tags)
    stream = file[walk_meta(file, 132, values={}, wanted=frozenset()) :]
    return stream, zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream)


def test_a_data_set_that_ends_with_its_pixels_is_inflated_at_once(monkeypatch):
    stream, expected = deflated_dataset()
    assert deflated._inflate_at_once(stream) == expected
    monkeypatch.setattr(deflated, "FIRST_BYTES", 100)  # the header is longer, so its end is unknown
    assert deflated._inflate_at_once(stream) is None
    assert inflate_dataset(stream, whole=True) == (expected, True)


@pytest.mark.parametrize("trailing", [64, 2**16])
def test_elements_after_the_pixels_are_inflated_too(trailing: int) -> None:
    stream, expected = deflated_dataset(DataSetTrailingPadding=bytes(trailing))
    assert deflated._inflate_at_once(stream) == (expected if trailing < deflated.TRAILING_BYTES else None)
    assert inflate_dataset(stream, whole=True) == (expected, True)


@pytest.mark.parametrize("kept", [20, 200, -9])
def test_a_cut_stream_gives_what_zlib_finds_in_it(kept: int) -> None:
    stream, expected = deflated_dataset()
    found, _ = inflate_dataset(stream[:kept], whole=True)
    assert expected.startswith(found) and len(found) < len(expected)


def test_a_length_that_no_stream_can_hold_takes_no_memory(monkeypatch):
    stream, _ = deflated_dataset()
    monkeypatch.setattr(deflated, "_dataset_bytes", lambda data: deflated.RATIO_AT_MOST * len(data) + 1)
    assert deflated._inflate_at_once(stream) is None


def test_pixels_of_a_deflated_file_are_those_stored():
    instance = read_instance(dicom_bytes(image(40, 60), DeflatedExplicitVRLittleEndian), "dicom")
    assert bytes(instance.encoded_frames[0]) == image(40, 60).tobytes()
    assert np.frombuffer(instance.encoded_frames[0], np.uint16).max() == 2399
