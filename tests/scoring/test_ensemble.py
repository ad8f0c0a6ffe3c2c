"""Means over flips and over bundles: by hand, whatever their recipes, failed where one of them failed."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmarks.drawn_bundle import drawn_bundle
from medray.errors import BundleError
from medray.image_settings import DecodeSettings, GraphRecipe, StepRecipe
from medray.samples.collate import collate
from medray.samples.inputs import prepare_inputs
from medray.samples.isolated import end_decoding_process
from medray.samples.tables import graph_table, image_batch
from medray.schema import PREDICTIONS, SEGMENTATIONS
from medray.scoring.ensemble import mean_table
from medray.scoring.mean import mean_predictions
from medray.scoring.plan import plan_scoring
from medray.scoring.score import Predictions
from medray.scoring.warm import LOADED, WarmModels
from medray.settings import Recipe, ScoreSettings
from medray.training.bundle import load_bundle
from medray.training.task import Classify
from tests.archive.makers import KEY
from tests.samples.test_prepare import _damaged_unit

IMAGE = Recipe(size=24)
GRAPH = Recipe(size=32, graph=GraphRecipe(regions=16))
SPACED = Recipe(size=24, steps=StepRecipe(spacing_mm=1.0))


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left():
    yield
    end_decoding_process()


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "archive").mkdir()
    return _damaged_unit(tmp_path / "archive")


def _scored(rows, folders, **more):
    """The tables of a run over these bundles, by the names of their folders."""
    settings = ScoreSettings("index", "out", [str(folder) for folder in folders], batch_size=2, **more)
    plan = plan_scoring(settings)
    inputs = prepare_inputs(rows, KEY, plan.inputs, DecodeSettings())
    return plan, [table for _, table in WarmModels(plan, settings, "cpu").answer(inputs, rows, "u")]


def _chances(table):
    return np.array([row for row in table["probabilities"].to_pylist() if row is not None])


def test_a_mean_of_answers_is_their_mean_and_its_logits_give_it_back():
    chances = [np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), np.array([[0.3, 0.7], [0.4, 0.6]], np.float32)]
    several = [Predictions(["a", "b"], np.log(each), each, np.array([0, 1])) for each in chances]
    mean = mean_predictions(several, Classify(("no", "yes"), threshold=0.5))
    np.testing.assert_allclose(mean.probabilities, [[0.6, 0.4], [0.3, 0.7]], atol=1e-6)
    np.testing.assert_allclose(torch.softmax(torch.from_numpy(mean.logits), 1), mean.probabilities, atol=1e-6)
    assert mean.labels.tolist() == [0, 1]
    assert mean_predictions(several, Classify(("no", "yes"), threshold=0.35)).labels.tolist() == [1, 1]
    assert mean_predictions(several[:1], Classify(("no", "yes"))) is several[0]


def test_bundles_of_different_recipes_in_one_pass_answer_as_alone_and_their_mean_is_the_mean(rows, tmp_path):
    folders = [tmp_path / "cnn", tmp_path / "graph"]
    drawn_bundle(folders[0], "cnn", IMAGE, 0, threshold=0.2)
    drawn_bundle(folders[1], "gatedgcn", GRAPH, 1, threshold=0.6)
    plan, tables = _scored(rows, folders, ensemble="mean")
    alone = [_scored(rows, [folder])[1][0] for folder in folders]
    assert [table.equals(other) for table, other in zip(tables[:2], alone, strict=True)] == [True, True]
    mean = tables[2]
    assert mean.schema.equals(PREDICTIONS) and mean.num_rows == alone[0].num_rows > len(_chances(mean)) > 0
    np.testing.assert_allclose(_chances(mean), (_chances(alone[0]) + _chances(alone[1])) / 2, atol=1e-6)
    assert plan.outputs[2].threshold == pytest.approx(0.4)
    answers = ["nodule" if chance[1] >= 0.4 else "clear" for chance in _chances(mean)]
    assert [label for label in mean["label"].to_pylist() if label] == answers
    assert set(mean["model_id"].to_pylist()) == {plan.outputs[2].model_id}
    for name in ("sample_id", "status", "reason", "decoder", "flags", "unit_id", "patient_key"):
        assert mean[name].equals(alone[0][name])


def test_a_sample_that_one_bundle_cannot_take_fails_in_the_mean_for_that_reason(rows, tmp_path):
    drawn_bundle(tmp_path / "cnn", "cnn", IMAGE, 0)
    drawn_bundle(tmp_path / "spaced", "cnn", SPACED, 1)
    _, (plain, spaced, mean) = _scored(rows, [tmp_path / "cnn", tmp_path / "spaced"], ensemble="mean")
    assert "ok" in plain["status"].to_pylist() and set(spaced["status"].to_pylist()) == {"failed"}
    assert set(mean["status"].to_pylist()) == {"failed"} and mean["probabilities"].null_count == mean.num_rows
    wanted = [
        one or other for one, other in zip(plain["reason"].to_pylist(), spaced["reason"].to_pylist(), strict=True)
    ]
    assert sorted(mean["reason"].to_pylist()) == sorted(wanted) and "spacing_missing" in wanted


@pytest.mark.parametrize(("model", "recipe"), [("cnn", IMAGE), ("gatedgcn", GRAPH), ("hybrid", GRAPH)])
def test_flips_are_the_mean_over_images_that_were_flipped_before_their_graphs_were_made(rows, tmp_path, model, recipe):
    drawn_bundle(tmp_path / "bundle", model, recipe, 3)
    _, [flipped] = _scored(rows, [tmp_path / "bundle"], test_time_flips="left_right")
    images = _images(rows, recipe)
    bundle = load_bundle(str(tmp_path / "bundle"))
    by_hand = np.mean([_answer(bundle, view) for view in (images, images[..., ::-1])], axis=0)
    np.testing.assert_allclose(_chances(flipped), by_hand, atol=1e-5)
    _, [plain] = _scored(rows, [tmp_path / "bundle"])
    assert np.abs(_chances(plain) - _chances(flipped)).max() > 1e-6
    assert plain["sample_id"].equals(flipped["sample_id"]) and plain["status"].equals(flipped["status"])


def _images(rows, recipe):
    from medray.samples.prepare import images_of
    from medray.samples.tables import usable

    return image_batch(usable(images_of(rows, KEY, recipe)), recipe)


def _answer(bundle, images):
    """Probabilities of images, their graphs made here."""
    images = np.ascontiguousarray(images)
    table = pa.table({"sample_id": [str(number) for number in range(len(images))]})
    if bundle.input_kind != "graph":
        table = table.append_column(
            "image", pa.array(list(images.reshape(len(images), -1)), pa.large_list(pa.float32()))
        )
    if bundle.input_kind != "image":
        graphs = graph_table(images, bundle.recipe, bundle.input_kind)
        for name in graphs.column_names:
            table = table.append_column(name, graphs[name])
    with torch.inference_mode():
        logits = bundle.build_model()(**collate(table, bundle.recipe).inputs)
    return torch.softmax(logits, 1).numpy()


def test_flags_that_differ_are_united(rows, tmp_path):
    drawn_bundle(tmp_path / "a", "cnn", IMAGE, 0), drawn_bundle(tmp_path / "b", "cnn", IMAGE, 1)
    plan, (one, other, _) = _scored(rows, [tmp_path / "a", tmp_path / "b"], ensemble="mean")
    flags = pa.array([["x"]] * one.num_rows, one["flags"].type)
    marked = one.set_column(one.column_names.index("flags"), "flags", flags)
    united = mean_table([marked, other], plan.outputs[2])["flags"].to_pylist()
    assert united == [sorted({"x", *(row or ())}) for row in other["flags"].to_pylist()]


def test_models_are_loaded_once_however_many_units_they_answer(rows, tmp_path):
    saved = [drawn_bundle(tmp_path / str(seed), "cnn", IMAGE, 10 + seed) for seed in (0, 1)]
    settings = ScoreSettings("index", "out", [str(tmp_path / "0"), str(tmp_path / "1")])
    plan = plan_scoring(settings)
    before = [LOADED[bundle.model_id] for bundle in saved]
    models = WarmModels(plan, settings, "cpu")
    inputs = prepare_inputs(rows, KEY, plan.inputs, DecodeSettings())
    for unit in range(5):
        models.answer(inputs, rows, str(unit))
    assert [now - then for now, then in zip(models.loads(), before, strict=True)] == [1, 1]


def test_a_bundle_that_was_replaced_meanwhile_is_refused(tmp_path):
    drawn_bundle(tmp_path / "a", "cnn", IMAGE, 0)
    settings = ScoreSettings("index", "out", str(tmp_path / "a"))
    plan = plan_scoring(settings)
    drawn_bundle(tmp_path / "a", "cnn", IMAGE, 1)
    with pytest.raises(BundleError, match="is another one now"):
        WarmModels(plan, settings, "cpu")


def test_classes_of_images_and_of_pixels_are_answered_in_one_pass(rows, tmp_path):
    drawn_bundle(tmp_path / "cnn", "cnn", IMAGE, 0)
    drawn_bundle(tmp_path / "masks", "sage", GRAPH, 1, task="segment")
    plan, (classes, masks) = _scored(rows, [tmp_path / "cnn", tmp_path / "masks"])
    assert [output.task for output in plan.outputs] == ["classify", "segment"]
    assert classes.schema.equals(PREDICTIONS) and masks.schema.equals(SEGMENTATIONS)
    assert classes["sample_id"].equals(masks["sample_id"]) and classes["status"].equals(masks["status"])
    assert masks.equals(_scored(rows, [tmp_path / "masks"])[1][0])
