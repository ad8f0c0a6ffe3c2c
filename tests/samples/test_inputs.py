"""Several inputs of one pass over the pixels: what each would be alone, of frames that were decoded once."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from medray import storage
from medray.image_settings import DecodeSettings, GraphRecipe, StepRecipe
from medray.pixels.augmentation import Augmentation, apply_augmentation
from medray.samples import isolated, prepare
from medray.samples.inputs import ModelInput, flipped, prepare_inputs
from medray.samples.isolated import end_decoding_process, prepare_unit
from medray.samples.prepare import images_of, prepared_frames
from medray.samples.tables import image_batch, usable
from medray.settings import Recipe
from tests.archive.makers import KEY, dicom_bytes
from tests.samples.test_prepare import _damaged_unit, _noise, _unit

DECODE = DecodeSettings()
SMALL = Recipe(size=24)
GRAPHS = [GraphRecipe(regions=12), GraphRecipe(regions=20, texture=True)]
INPUTS = [
    ModelInput(SMALL, "image"),
    ModelInput(replace(SMALL, graph=GRAPHS[0]), "graph"),
    ModelInput(replace(SMALL, graph=GRAPHS[1]), "regions"),
    ModelInput(Recipe(size=32, channels=3, steps=StepRecipe(crop=True, median_px=3, clahe=2.0)), "image"),
    ModelInput(Recipe(size=16, clip_percent=2.0, pet="suv_bw", steps=StepRecipe(contrast=-1.0)), "image"),
]


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    end_decoding_process()


@pytest.fixture
def rows(tmp_path):
    return _damaged_unit(tmp_path)


def test_each_input_is_exactly_what_it_would_be_alone(rows):
    several = prepare_inputs(rows, KEY, INPUTS, DECODE)
    assert len(several) == len(INPUTS) and several[0].num_rows >= 5
    for one, samples in zip(INPUTS, several, strict=True):
        assert samples.equals(prepare_unit(rows, KEY, one.recipe, one.kind))


def test_each_object_is_read_once_and_each_frame_decoded_once(rows, monkeypatch):
    counts = Counter()

    def counted(name, function):
        def call(*given, **more):
            counts[name] += 1
            return function(*given, **more)

        return call

    recipes = list(dict.fromkeys(one.image_recipe for one in INPUTS))
    assert len(recipes) == 3
    monkeypatch.setattr(prepare, "frame_values", counted("decoded", prepare.frame_values))
    monkeypatch.setattr(prepare, "prepare_placed", counted("prepared", prepare.prepare_placed))
    monkeypatch.setattr(storage, "read_bytes", counted("read", storage.read_bytes))
    list(prepared_frames(rows, KEY, recipes[:1], DECODE))
    once = Counter(counts)
    counts.clear()
    frames = list(prepared_frames(rows, KEY, recipes, DECODE))
    assert counts["read"] == once["read"] == 3
    assert counts["decoded"] == once["decoded"] >= 4
    assert counts["prepared"] == 3 * once["prepared"] > 0
    assert {len(samples) for samples in frames} == {3}


def test_a_unit_is_one_request_to_the_decoding_process(rows, monkeypatch):
    asked = []
    make = isolated.Request
    monkeypatch.setattr(isolated, "Request", lambda *given: asked.append(given) or make(*given))
    prepare_inputs(rows, KEY, INPUTS, DECODE)
    assert len(asked) == 1 and len(asked[0][2]) == 3


def test_what_one_recipe_cannot_prepare_the_others_do(tmp_path):
    rows = _unit(tmp_path, a=dicom_bytes(_noise(9, 9)), b=dicom_bytes(_noise(9, 9, top=9)))
    spaced = ModelInput(replace(SMALL, steps=StepRecipe(spacing_mm=1.0)), "image")
    found = prepare_inputs(rows, KEY, [spaced, ModelInput(SMALL, "image")], DECODE)
    assert found[0]["reason"].to_pylist() == ["spacing_missing"] * 2
    assert found[1]["status"].to_pylist() == ["ok"] * 2
    assert found[0]["sample_id"].equals(found[1]["sample_id"])


@pytest.mark.parametrize("flips", [(False, True), (True, False), (True, True)])
def test_flips_are_those_of_the_augmentation_and_failed_rows_stay(rows, flips):
    samples = images_of(rows, KEY, SMALL)
    turned = flipped(samples, SMALL, flips)
    assert turned.drop_columns(["image"]).equals(samples.drop_columns(["image"]))
    assert [len(image) for image in turned["image"].to_pylist()] == [
        len(image) for image in samples["image"].to_pylist()
    ]
    given, found = (image_batch(usable(table), SMALL) for table in (samples, turned))
    for image, other in zip(given, found, strict=True):
        np.testing.assert_array_equal(apply_augmentation(image, Augmentation(flips=flips)), other)
    assert flipped(turned, SMALL, flips).equals(samples)


def test_a_graph_of_a_flip_is_made_of_the_flipped_image(rows):
    recipe = replace(SMALL, graph=GRAPHS[0])
    plain, turned = prepare_inputs(
        rows, KEY, [ModelInput(recipe, "regions"), ModelInput(recipe, "regions", (False, True))], DECODE
    )
    assert not plain["x"].equals(turned["x"])
    alone = flipped(images_of(rows, KEY, recipe), recipe, (False, True))
    assert turned["image"].equals(alone["image"])
