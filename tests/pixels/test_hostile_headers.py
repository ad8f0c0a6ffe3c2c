"""Headers whose bytes were flipped, cut or exchanged: an image, or a reason; never another error, never a NaN."""

from dataclasses import replace

import numpy as np
import pytest

from medray.archive.reading import read_instance
from medray.errors import SampleError
from medray.pixels.prepare import prepare_image
from medray.pixels.values import frame_values
from medray.settings import Recipe
from tests.archive.makers import dicom_bytes
from tests.archive.test_pet import LATE_SERIES, ge, pet, philips
from tests.archive.test_reading import groups, modality_table
from tests.archive.test_voi import lut, of_frames, words

MUTATIONS = 40
RECIPE = Recipe(size=8)
STORED = np.arange(24, dtype=np.uint16).reshape(1, 4, 6)
WINDOWS = {"WindowCenter": [40, 50], "WindowWidth": [400, 1], "WindowCenterWidthExplanation": ["A", "B"]}
TABLE = {"VOILUTSequence": lut(4, 0, 16, words(0, 9, 99, 65535))}
OBJECTS = {
    "windows": dicom_bytes(
        STORED, RescaleSlope="1.5", RescaleIntercept="-1024", PixelPaddingValue=3, **WINDOWS, **TABLE
    ),
    "tables": dicom_bytes(STORED, ModalityLUTSequence=modality_table(12, 4095), **TABLE),
    "frames": dicom_bytes(
        np.concatenate([STORED, STORED]),
        PerFrameFunctionalGroupsSequence=groups((2, 1), (3, -1)),
        SharedFunctionalGroupsSequence=of_frames((40, 400)),
    ),
    "becquerel": pet(LATE_SERIES | WINDOWS, {}, ge("20240310110000.00", 0x42)),
    "frame time": pet(LATE_SERIES | {"FrameReferenceTime": 480e3, "ActualFrameDuration": 240_000}),
    "counts": pet({"Units": "CNTS"}, {}, philips(0x00, "0"), philips(0x09, "3.5")),
}
DIGITS = b"0123456789.eE+-\\ "


def mutated(data: bytes, draw: np.random.Generator) -> bytes:
    """A few bytes of the header exchanged: half of them for what can stand in a number."""
    changed = bytearray(data)
    for position in draw.integers(132, len(data), draw.integers(1, 6)):
        changed[position] = DIGITS[draw.integers(len(DIGITS))] if draw.random() < 0.5 else draw.integers(256)
    return bytes(changed[: draw.integers(200, len(data))]) if draw.random() < 0.1 else bytes(changed)


@pytest.mark.parametrize("name", OBJECTS)
def test_mutated_headers_give_finite_images_or_a_reason(name: str) -> None:
    draw, used = np.random.default_rng(11), 0
    recipes = [replace(RECIPE, pet=pet, voi=voi) for pet in ("modality", "suv_bw") for voi in (None, 0, "B")]
    for number in range(MUTATIONS):
        data = mutated(OBJECTS[name], draw) if number else OBJECTS[name]
        try:
            instance = read_instance(data, "dicom")
        except SampleError:
            continue
        for recipe in recipes:
            try:
                frame = frame_values(instance, 0, pet=recipe.pet)
                assert np.isfinite(prepare_image(frame, instance.pixels, recipe)).all()
                used += 1
            except SampleError:
                pass
    assert used > 0
