"""One X-ray, however it is stored, is one model input."""

import dataclasses
import pathlib
import runpy

import imagecodecs
import numpy as np
import pytest

from medray.archive.reading import read_instance
from medray.pixels.prepare import prepare_image
from medray.pixels.values import frame_values
from medray.settings import Recipe
from tests.pixels.instances import ENCODERS, EXPLICIT, described, encoded_instance, stored_instance

XRAY = (
    np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8),
    np.kron(np.random.default_rng(1).integers(0, 256, (30, 25)), np.ones((8, 10))).astype(np.uint8),
)


def model_input(instance, recipe: Recipe) -> np.ndarray:
    return prepare_image(frame_values(instance, 0), instance.pixels, recipe)


@pytest.mark.parametrize("image", XRAY, ids=["small", "large"])
@pytest.mark.parametrize("size", [28, 64, 128])
def test_depth_polarity_and_syntax_do_not_matter(image: np.ndarray, size: int) -> None:
    recipe = Recipe(size=size)
    expected = model_input(read_instance(bytes(imagecodecs.png_encode(image)), "png"), recipe)
    for syntax in ENCODERS:
        for bits in (8, 12):
            stored = image if bits == 8 else image.astype(np.uint16) * 16
            header = {"bits_stored": bits, "high_bit": bits - 1}
            turned = ((1 << bits) - 1 - stored).astype(stored.dtype)
            for array, photometric in ((stored, "MONOCHROME2"), (turned, "MONOCHROME1")):
                instance = stored_instance(array, syntax, photometric_interpretation=photometric, **header)
                assert np.abs(model_input(instance, recipe) - expected).max() < 1e-5, (syntax, bits, photometric)


@pytest.mark.parametrize("channels", [1, 3])
def test_planes_of_colour_give_the_input_that_pixels_of_colour_give(channels: int) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (31, 40, 3)).astype(np.uint8)
    recipe = Recipe(size=32, channels=channels)
    header = described(rgb) | {"planar_configuration": 1}
    planes = encoded_instance(rgb.transpose(2, 0, 1).tobytes(), (31, 40), EXPLICIT, **header)
    assert np.array_equal(model_input(stored_instance(rgb), recipe), model_input(planes, recipe))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
def test_integers_are_taken_as_they_are(dtype: str) -> None:
    stored = np.random.default_rng(3).integers(-50, 50, (40, 31)).astype(dtype)
    instance = stored_instance(stored)
    frame = frame_values(instance, 0)
    assert frame.values.dtype == dtype
    rounded = dataclasses.replace(frame, values=stored.astype(np.float32))
    for recipe in (Recipe(size=24), Recipe(size=40, window=(10.0, 80.0)), Recipe(size=24, clip_percent=2.0)):
        given, expected = (prepare_image(each, instance.pixels, recipe) for each in (frame, rounded))
        np.testing.assert_allclose(given, expected, rtol=0, atol=2e-6)


def test_real_xrays_as_dicom_equal_the_array_they_were_made_of(medray_data: pathlib.Path) -> None:
    tool = medray_data.parent / "tools" / "make_archives.py"
    if not tool.exists():
        pytest.skip("tools/make_archives.py does not stand beside MEDRAY_DATA")
    maker = runpy.run_path(str(tool))
    images = np.load(medray_data / "pneumoniamnist" / "pneumoniamnist.npz")["test_images"][::10]
    recipe, worst = Recipe(size=28), 0.0
    for number, image in enumerate(images):
        kind = {"monochrome1": number % 2 == 1, "bits": 12 if number % 3 == 0 else 8}
        syntax = maker["SYNTAXES"][number % 4]
        data = maker["dicom"](image, "1.2.840.10008.5.1.4.1.1.1", "CR", "a", f"b{number}", syntax, **kind)
        expected = model_input(read_instance(bytes(imagecodecs.png_encode(image)), "png"), recipe)
        difference = np.abs(model_input(read_instance(data, "dicom"), recipe) - expected)
        worst = max(worst, float(difference.max()))
    assert len(images) > 50
    assert worst < 1e-5
