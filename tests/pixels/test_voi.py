"""The header's windows and tables, applied. Expected numbers: PS3.3 C.11.2, and pydicom where it reads the table."""

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels import processing
from pydicom.uid import ExplicitVRLittleEndian

from medray.archive.instance import LookupTable, PixelModule, Window
from medray.archive.reading import read_instance
from medray.errors import SampleError
from medray.pixels.prepare import prepare_image
from medray.pixels.values import FrameValues, frame_values
from medray.pixels.voi import apply_voi, choose_voi
from medray.settings import Recipe
from tests.archive.makers import SHIPPED, dicom_bytes, image
from tests.archive.test_voi import lut, of_frames, words
from tests.pixels.instances import EXPLICIT

SOFT, LUNG = Window(40.0, 400.0, "LINEAR_EXACT", "Soft tissue"), Window(-600.0, 1500.0, "LINEAR_EXACT", "LUNG")
FILM = LookupTable(-2, 8, (0, 51, 255), "film")
VOI = (SOFT, LUNG, FILM)


def applied(values: list[float], choice: Window | LookupTable) -> list[float]:
    return apply_voi(np.array(values, np.float32), choice).tolist()


def prepared(data: bytes, frame: int = 0, **recipe: Any) -> list[float]:
    instance = read_instance(data, "dicom")
    side = instance.pixels.columns
    recipe = {"size": side, "fit": "stretch"} | recipe
    return prepare_image(frame_values(instance, frame), instance.pixels, Recipe(**recipe)).ravel().tolist()


def test_a_table_gives_its_entries_and_clamps_at_its_ends():
    assert applied([-9, -2, -1, 0, 9, -1.4], FILM) == pytest.approx([0, 0, 0.2, 1, 1, 0.2])
    assert applied([-1e9, 1e9], FILM) == [0, 1]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR", [0.0, 0.5 + 0.5 / 399, 1.0, 1.0]),  # C.11.2.1.2.1: (x - 39.5) / 399 + 0.5
        ("LINEAR_EXACT", [0.0, 0.5, 0.9975, 1.0]),  # C.11.2.1.3.2: (x - 40) / 400 + 0.5
        ("SIGMOID", [0.1192029, 0.5, 0.8797432, 0.8807971]),  # C.11.2.1.3.1: 1 / (1 + exp(-4 (x - 40) / 400))
    ],
)
def test_the_function_is_the_windows_own(function, expected):
    assert applied([-160, 40, 239, 240], Window(40.0, 400.0, function)) == pytest.approx(expected, abs=1e-6)


def test_width_one_is_a_step_and_less_is_refused():
    assert applied([39, 39.5, 40, 41], Window(40.0, 1.0)) == [0, 0, 1, 1]
    for width, function in ((0.0, "LINEAR"), (0.5, "LINEAR"), (0.0, "LINEAR_EXACT"), (-1.0, "SIGMOID")):
        with pytest.raises(SampleError, match=r"bad_voi: .*Window Width \(0028,1051\)"):
            applied([1], Window(40.0, width, function))


def test_a_table_that_could_not_be_read_is_refused():
    with pytest.raises(SampleError, match=r"bad_voi: VOI LUT Sequence \(0028,3010\)"):
        applied([1], LookupTable(0, 16, ()))


@pytest.mark.parametrize(("wanted", "found"), [(0, SOFT), (1, LUNG), (2, FILM), ("lung", LUNG), (" FILM ", FILM)])
def test_a_window_or_table_is_chosen_by_number_or_by_explanation(wanted, found):
    assert choose_voi(VOI, wanted) is found


@pytest.mark.parametrize("wanted", [3, -1, "bone", ""])
def test_what_the_header_does_not_offer_is_missing(wanted):
    with pytest.raises(SampleError, match="voi_missing: the header has 3 windows and tables"):
        choose_voi(VOI, wanted)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_table_gives_what_pydicom_gives(bits):
    pixels = np.array([[0, 5], [61, 65]], np.uint16)
    entries = tuple(np.linspace(2**bits - 1, 0, 64).astype(int).tolist())
    data = dicom_bytes(pixels, VOILUTSequence=lut(64, 2, bits, words(*entries)))
    dataset = pydicom.dcmread(io.BytesIO(data))
    expected = processing.apply_voi(pixels, dataset) / (2**bits - 1)
    instance = read_instance(data, "dicom")
    assert apply_voi(pixels.astype(np.float32), instance.pixels.voi[0][0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("name", "index"), [("MR_small.dcm", 0), ("examples_overlay.dcm", 1), ("wg04/REF/MR4_UNC", 0)])
@pytest.mark.filterwarnings("ignore")
def test_windows_of_real_files_give_what_pydicom_gives(name, index, request):
    path = request.getfixturevalue("medray_data") / name if "/" in name else SHIPPED / name
    dataset, instance = pydicom.dcmread(path), read_instance(path.read_bytes(), "dicom")
    frame, bits = frame_values(instance, 0), dataset.BitsStored
    rescaled = processing.apply_modality_lut(dataset.pixel_array, dataset)
    shown = processing.apply_windowing(rescaled, dataset, index)
    ends = np.array([0, 2**bits - 1]) - (2 ** (bits - 1) if dataset.PixelRepresentation else 0)
    low, high = processing.apply_modality_lut(ends, dataset)
    np.testing.assert_allclose(apply_voi(frame.values, frame.voi[index]), (shown - low) / (high - low), atol=1e-6)


def test_an_eight_bit_table_of_300_entries_is_not_indexed_by_a_byte():
    """pydicom 3.0.2 takes entry 299 - 256 = 43 here."""
    table = read_instance(dicom_bytes(image(), VOILUTSequence=lut(300, 0, 8, words(*[0] * 299, 255))), "dicom")
    assert applied([43, 299], table.pixels.voi[0][0]) == [0, 1]


def test_the_recipe_takes_the_headers_window_only_where_asked():
    pixels = np.array([[0, 100], [200, 300]], np.uint16)
    data = dicom_bytes(pixels, WindowCenter=200, WindowWidth=200, VOILUTFunction="LINEAR_EXACT", Modality="MR")
    assert prepared(data, voi=0) == pytest.approx([-2, -2, 0, 2])
    assert sum(prepared(data)) == pytest.approx(0, abs=1e-5)
    assert prepared(data, voi=0, window=(0.0, 1.0)) == prepared(data, voi=0)


def test_a_table_makes_the_models_input():
    pixels = np.array([[0, 1], [2, 9]], np.uint16)
    data = dicom_bytes(pixels, VOILUTSequence=lut(3, 0, 8, words(0, 51, 255), "FILM"))
    assert prepared(data, voi="film") == pytest.approx([-2, -1.2, 2, 2])
    turned = dicom_bytes(
        pixels, VOILUTSequence=lut(3, 0, 8, words(0, 51, 255), "FILM"), PhotometricInterpretation="MONOCHROME1"
    )
    assert prepared(turned, voi="film") == pytest.approx([2, 1.2, -2, -2])


def test_every_frame_goes_through_its_own_window():
    pixels = np.full((2, 1, 1), 100, np.uint16)
    windows = of_frames((100, 100), (50, 100))
    data = dicom_bytes(pixels, ExplicitVRLittleEndian, PerFrameFunctionalGroupsSequence=windows)
    assert [prepared(data, frame, voi=0)[0] for frame in (0, 1)] == pytest.approx([4 * 0.5 / 99, 2], abs=1e-6)


def test_an_image_without_the_window_asked_for_fails():
    with pytest.raises(SampleError, match="voi_missing: the header has 0"):
        prepared(dicom_bytes(image(4, 4)), voi=0)
    colour = PixelModule(EXPLICIT, 4, 4, samples_per_pixel=3, photometric_interpretation="RGB", voi=(VOI,))
    frame = FrameValues(np.zeros((4, 4, 3), np.float32), None, "numpy", ())
    with pytest.raises(SampleError, match="voi_missing"):
        prepare_image(frame, colour, Recipe(size=4, voi=0))


def test_the_recipes_id_tells_the_windows_apart():
    assert len({Recipe(voi=voi, pet=pet).id() for voi in (None, 0, 1, "LUNG") for pet in ("modality", "suv_bw")}) == 8
