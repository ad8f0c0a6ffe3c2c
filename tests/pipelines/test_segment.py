"""A segmentation on the one road: labels that name masks → training → masks on the images' own pixels → report."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medray import storage, tables
from medray.archive.identity import keyed_hash
from medray.errors import LabelError, SettingsError
from medray.image_settings import AugmentSettings, GraphRecipe
from medray.label_settings import LabelSettings
from medray.pipelines import ranks
from medray.pipelines.index import index
from medray.pipelines.report import report
from medray.pipelines.score import score
from medray.pipelines.train import train
from medray.pipelines.verify import verify
from medray.result_settings import ReportSettings
from medray.scoring.segmentations import mask_of
from medray.settings import IndexSettings, OptimizerSettings, Recipe, ScoreSettings, TrainSettings
from medray.training.bundle import load_bundle
from tests.discs import BAD, COLUMNS, ROWS, SIDES, disc, make_discs

SEED_0 = "bundles/seed-0"


@pytest.fixture(scope="module")
def discs(ray_local, tmp_path_factory) -> Path:
    """A folder with an archive of discs and its index."""
    folder = tmp_path_factory.mktemp("discs")
    index(IndexSettings(str(make_discs(folder / "archive")), str(folder / "index")))
    return folder


@pytest.fixture(scope="module")
def labels(discs) -> LabelSettings:
    return LabelSettings(
        str(discs / "archive" / "labels.csv"),
        mask_column="mask",
        mask_classes={"ground": 0, "disc": 9},
        region_column="region",
    )


@pytest.fixture(scope="module")
def masking(discs, labels) -> Callable[..., TrainSettings]:
    """`masking(out, **changed)`: settings of a small training; `epochs` is one of them."""
    recipe = Recipe(size=32, graph=GraphRecipe(regions=60))

    def changed(out: Path, epochs: int = 20, **more: Any) -> TrainSettings:
        optimizer = OptimizerSettings(epochs=epochs, batch_size=4, learning_rate=0.01)
        settings = TrainSettings(str(discs / "index"), str(out), model="gatedgcn", labels=labels, recipe=recipe)
        return replace(settings, **({"optimizer": optimizer} | more))

    return changed


@pytest.fixture(scope="module")
def segmented(masking, tmp_path_factory) -> Path:
    """A finished training."""
    out = tmp_path_factory.mktemp("segmented") / "run"
    train(masking(out))
    return out


@pytest.fixture(scope="module")
def predictions(discs, segmented, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("segmented") / "predictions"
    score(ScoreSettings(str(discs / "index"), str(out), str(segmented / SEED_0), actors=1, probabilities=True))
    return out


def _reporting(predictions: Path, out: Path, labels: LabelSettings, **more: Any) -> ReportSettings:
    return ReportSettings(str(predictions), str(out), labels=labels, bootstrap=50, **more)


def test_bad_masks_cost_a_row_each_and_are_said(segmented, masking, tmp_path, capfd):
    manifest = tables.read_manifest(str(segmented / "_cache"))
    assert manifest["failures"] == dict.fromkeys(BAD.values(), 1)
    assert manifest["counts"] == {
        "train": SIDES.count("train"),
        "validation": SIDES.count("val"),
        "test": SIDES.count("test"),
        "failed": len(BAD),
        "train_classes": manifest["counts"]["train_classes"],
    }
    assert sum(manifest["counts"]["train_classes"]) < 8 * 32 * 32 and min(manifest["counts"]["train_classes"]) > 500
    train(masking(tmp_path / "run", epochs=1, model="deepsets"))
    said = capfd.readouterr().err
    assert "4 of 20 samples cannot be used" in said and all(f"{reason} 1" in said for reason in BAD.values())


def test_a_training_leaves_a_bundle_that_segments_and_a_history_with_dice(segmented):
    bundle = load_bundle(str(segmented / SEED_0))
    assert (bundle.task, bundle.classes, bundle.threshold) == ("segment", ("ground", "disc"), None)
    history = tables.read_table(str(segmented)).to_pylist()
    assert len(history) == 20 and history[-1]["validation_dice"] > max(0.9, history[0]["validation_dice"])
    assert bundle.metrics["test_dice_disc"] > 0.88 and bundle.metrics["test_auroc"] > 0.97
    split = storage.read_parquet(str(segmented / "split.parquet"))
    assert split.num_rows == 20 and set(split["label"].to_pylist()) == {"masked"}


def test_a_training_that_was_killed_goes_on_to_the_same_weights(segmented, masking, tmp_path, monkeypatch):
    save = ranks.save_checkpoint

    def killed(uri, state):
        save(uri, state)
        if state["epoch"] == 12:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ranks, "save_checkpoint", killed)
        train(masking(tmp_path))
    train(masking(tmp_path))
    weights = [(run / SEED_0 / "weights.safetensors").read_bytes() for run in (tmp_path, segmented)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_the_hybrid_network_trains_on_images_and_masks_changed_together(masking, tmp_path):
    augment = AugmentSettings(flip_left_right=True, rotate_degrees=180.0, elastic=0.05)
    train(masking(tmp_path, model="hybrid", augment=augment))
    assert load_bundle(str(tmp_path / SEED_0)).metrics["test_dice_disc"] > 0.88


@pytest.mark.slow
def test_samples_prepared_in_two_stages_train_the_same_weights(segmented, masking, tmp_path):
    train(masking(tmp_path, stages="actors"))
    weights = [(run / SEED_0 / "weights.safetensors").read_bytes() for run in (tmp_path, segmented)]
    assert weights[0] == weights[1]


def test_every_sample_has_a_row_and_masks_lie_on_the_images_own_pixels(predictions):
    assert verify(str(predictions))["ok"] == tables.read_manifest(str(predictions))["rows"] - 1  # the torn mask
    rows = {row["object_id"]: row for row in tables.read_table(str(predictions)).to_pylist()}
    key = b"tests-only-0123456789abcdef"
    dice = []
    for number in range(len(SIDES)):
        row = rows[keyed_hash(key, f"images/{number:02d}.png")]
        mask, truth = mask_of(row), disc(number)[1] > 0
        assert mask.shape == (ROWS, COLUMNS) and mask.min() >= 0
        assert row["area_fractions"] == pytest.approx([(mask == 0).mean(), (mask == 1).mean()])
        dice.append(2 * (mask & truth).sum() / ((mask == 1).sum() + truth.sum()))
    assert np.mean(dice) > 0.88


def test_the_report_measures_shows_and_says_what_it_could_not_read(predictions, segmented, labels, tmp_path):
    more = {"bundle": str(segmented / SEED_0), "history": str(segmented), "split": "all", "examples": 6}
    manifest = report(_reporting(predictions, tmp_path, labels, **more))
    found = {(row["label"], row["metric"]): row for row in tables.read_table(str(tmp_path)).to_pylist()}
    dice = found["disc", "dice"]
    assert dice["samples"] == 16 and dice["patients"] == 9 and 0.88 < dice["low"] < dice["value"] < dice["high"]
    assert found["disc", "auroc"]["value"] > 0.97
    page = storage.read_bytes(manifest["page"]).decode()
    assert page.count("<img") == 18 and all(f"<code>{reason}</code>" in page for reason in BAD.values())
    assert "no probabilities" not in page and "Validation Dice" in page


def test_without_probabilities_there_is_no_auroc_and_the_page_says_so(discs, segmented, labels, tmp_path):
    bundle = str(segmented / SEED_0)
    score(ScoreSettings(str(discs / "index"), str(tmp_path / "predictions"), bundle, actors=1))
    manifest = report(_reporting(tmp_path / "predictions", tmp_path / "report", labels, bundle=bundle))
    rows = tables.read_table(str(tmp_path / "report")).to_pylist()
    found = {(row["label"], row["metric"]): row["value"] for row in rows}
    assert found["disc", "auroc"] is None and found["disc", "dice"] > 0.88
    assert "the predictions hold no probabilities" in storage.read_bytes(manifest["page"]).decode()


def test_labels_that_are_no_masks_or_of_other_classes_are_refused(predictions, labels, tmp_path):
    with pytest.raises(LabelError, match="Give --labels.mask_column"):
        report(_reporting(predictions, tmp_path, LabelSettings(labels.file, column="split")))
    other = replace(labels, mask_classes={"ground": 0, "ring": 9})
    with pytest.raises(LabelError, match="names ground, ring. The model knows ground, disc"):
        report(_reporting(predictions, tmp_path, other))


def test_what_a_task_does_not_have_is_refused_before_any_work(discs, segmented, trained, masking, tmp_path):
    source, bundle = str(discs / "index"), str(segmented / SEED_0)
    with pytest.raises(SettingsError, match="a bundle here segments"):
        score(ScoreSettings(source, str(tmp_path / "out"), bundle, explain="top"))
    with pytest.raises(SettingsError, match="--probabilities is of masks"):
        score(ScoreSettings(source, str(tmp_path / "out"), str(trained / SEED_0), probabilities=True))
    with pytest.raises(SettingsError, match="cnn answers for whole images and cannot segment"):
        train(masking(tmp_path / "out", model="cnn"))
    assert not (tmp_path / "out").exists()
