"""`medray train`: the same seed gives the same weights, however the samples were prepared and if it was stopped."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from medray import storage, tables
from medray.archive.splits import check_no_leak
from medray.errors import LabelError, LeakError, OutputError, SettingsError
from medray.label_settings import LabelSettings
from medray.network_settings import NetworkSettings
from medray.pipelines import ranks
from medray.pipelines.index import index
from medray.pipelines.train import labelled_rows, train
from medray.settings import IndexSettings, TrainSettings
from medray.training.bundle import load_bundle

SEED_0 = "bundles/seed-0"


def _weights(run):
    return (Path(run) / SEED_0 / "weights.safetensors").read_bytes()


def _cached(run):
    """Samples of a cache by id, without the order of the units."""
    uri = str(Path(run) / "_cache")
    parts = (storage.read_parquet(storage.join(uri, name)) for name in tables.read_manifest(uri)["files"])
    return {row["sample_id"]: row for part in parts for row in part.to_pylist()}


def _write(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def _labels(archive):
    return list(csv.reader((archive / "labels.csv").read_text().splitlines()))


def test_a_training_leaves_bundle_history_and_split(trained, phantoms):
    bundle = load_bundle(str(trained / SEED_0))
    assert (bundle.classes, bundle.model_name, bundle.recipe.size) == (("clear", "nodule"), "cnn", 28)
    assert 0 < bundle.threshold < 1 and set(bundle.metrics) >= {"test_auroc", "validation_auroc", "test_accuracy"}
    history = tables.read_table(str(trained)).to_pylist()
    assert [(row["seed"], row["epoch"]) for row in history] == [(0, 0), (0, 1)]
    split = storage.read_parquet(str(trained / SEED_0 / "split.parquet"))
    assert split.num_rows == 48 and set(split["split"].to_pylist()) == {"train", "validation", "test"}
    check_no_leak(split.append_column("study_key", split["patient_key"]))


def test_a_second_run_does_nothing(trained, training):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()}
    assert train(training(trained)) == tables.read_manifest(str(trained))
    assert before == {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(trained, training, tmp_path):
    manifest = train(training(tmp_path / "run", seeds=2))
    assert _weights(tmp_path / "run") == _weights(trained)
    ids = [load_bundle(uri).model_id for uri in manifest["bundles"]]
    assert ids[0] == load_bundle(str(trained / SEED_0)).model_id != ids[1]
    summary = manifest["summary"]["test_auroc"]
    assert summary["count"] == 2 and summary["low"] <= summary["mean"] <= summary["high"]


def test_a_training_that_was_killed_goes_on_to_the_same_weights(trained, training, tmp_path, monkeypatch):
    save = ranks.save_checkpoint

    def killed(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ranks, "save_checkpoint", killed)
        train(training(tmp_path))
    assert not (tmp_path / SEED_0 / "bundle.json").exists()
    with pytest.raises(OutputError, match="not finished"):
        tables.read_manifest(str(tmp_path))
    train(training(tmp_path))
    assert _weights(tmp_path) == _weights(trained)
    assert tables.read_table(str(tmp_path)).num_rows == 2


def test_a_graph_network_trains_with_the_options_that_it_was_given(training, tmp_path):
    network = NetworkSettings(width=8, layers=1, readout="attention", encoding_steps=2, heads=2)
    train(training(tmp_path, epochs=1, model="gps", network=network))
    bundle = load_bundle(str(tmp_path / SEED_0))
    assert bundle.options == network.given() and bundle.model_name == "gps"
    assert bundle.build_model().get_submodule("head.0").in_features == 8


def test_an_option_that_a_model_does_not_have_is_refused_before_anything_is_written(training, tmp_path):
    with pytest.raises(SettingsError, match=r"cnn has no option 'width'.*widths, hidden, dropout"):
        train(training(tmp_path / "run", network=NetworkSettings(width=8)))
    with pytest.raises(SettingsError, match="must be a multiple of the 4 heads"):
        train(training(tmp_path / "run", model="gat", network=NetworkSettings(width=10)))
    assert not (tmp_path / "run").exists()


def test_another_training_does_not_go_into_the_same_folder(trained, training):
    with pytest.raises(OutputError, match=r"\(optimizer differ\)"):
        train(training(trained, epochs=7))


@pytest.mark.slow
def test_samples_prepared_in_two_stages_equal_those_of_one(training, tmp_path):
    """Images, graphs and label maps: what the hybrid network reads."""
    for stages in ("fused", "actors"):
        train(training(tmp_path / stages, epochs=1, model="hybrid", stages=stages))
    fused, actors = _cached(tmp_path / "fused"), _cached(tmp_path / "actors")
    assert len(fused) == 48 and fused == actors
    assert _weights(tmp_path / "fused") == _weights(tmp_path / "actors")


def test_resnet18_trains_an_epoch_and_takes_up_the_samples_of_another_training(trained, training, tmp_path, capfd):
    train(training(tmp_path, epochs=1, model="resnet18", cache=str(trained / "_cache")))
    assert load_bundle(str(tmp_path / SEED_0)).model_name == "resnet18"
    assert "prepared samples are there already" in capfd.readouterr().err


@pytest.mark.slow
def test_two_workers_train_a_model_that_ends_like_one(training, tmp_path):
    manifest = train(training(tmp_path, num_workers=2))
    assert len(tables.read_table(str(tmp_path))) == 2
    assert load_bundle(manifest["bundles"][0]).build_model()


def test_a_patient_on_two_sides_is_refused_before_anything_is_written(phantoms, training, tmp_path):
    rows = _labels(phantoms)
    sided = [[*row[:3], ("train", "val", "test")[number % 3]] for number, row in enumerate(rows[1:])]
    labels = LabelSettings(_write(tmp_path / "labels.csv", [rows[0], *sided]))
    with pytest.raises(LeakError, match="stand on two sides"):
        train(training(tmp_path / "run", labels=labels))
    assert not (tmp_path / "run").exists()


def test_sides_named_by_the_labels_are_kept(phantoms, training, medray_key, tmp_path):
    rows = _labels(phantoms)
    side = {patient: ("train", "val", "test")[number % 3] for number, patient in enumerate({r[2]: 0 for r in rows[1:]})}
    named = [[*row[:3], side[row[2]]] for row in rows[1:]]
    settings = training("", labels=LabelSettings(_write(tmp_path / "labels.csv", [rows[0], *named])))
    found = labelled_rows(settings.source, settings, medray_key)["split"].to_pylist()
    wanted = [row[3].replace("val", "validation") for row in named]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("join", ["sop_instance_uid", "patient"])
def test_labels_joined_by_header_are_those_joined_by_path(join, phantoms, training, medray_key, tmp_path):
    headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(phantoms.glob("phantom-*/*"))}
    label_of = {path: "even" if int(header.PatientID[-3:]) % 2 == 0 else "odd" for path, header in headers.items()}
    by_path = [(str(path.relative_to(phantoms)), label_of[path]) for path in headers]
    by_header = {
        "sop_instance_uid": [(header.SOPInstanceUID, label_of[path]) for path, header in headers.items()],
        "patient": sorted({(header.PatientID, label_of[path]) for path, header in headers.items()}),
    }[join]
    name = "patient_id" if join == "patient" else join
    files = (
        _write(tmp_path / "path.csv", [("path", "label"), *by_path]),
        _write(tmp_path / "header.csv", [(name, "label"), *by_header]),
    )
    settings = training("")
    found = []
    for file in files:
        rows = labelled_rows(settings.source, replace(settings, labels=LabelSettings(file)), medray_key)
        found.append({row["object_id"]: (row["label"], row["split"]) for row in rows.to_pylist()})
    assert len(found[0]) == len(headers) and found[0] == found[1]


def test_folder_names_are_classes_where_no_labels_are_given(tmp_path, ray_local):
    draw = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "archive" / ("bright" if number % 2 else "dark") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (20, 20), np.uint8)).save(path)
    settings = TrainSettings(str(tmp_path / "archive"), str(tmp_path / "run"))
    train(replace(settings, recipe=replace(settings.recipe, size=16), optimizer=replace(settings.optimizer, epochs=1)))
    assert load_bundle(str(tmp_path / "run" / SEED_0)).classes == ("bright", "dark")
    assert storage.read_parquet(str(tmp_path / "run" / "split.parquet")).num_rows == 24


def test_an_archive_with_the_wrong_labels_can_be_trained_with_the_right_ones(phantoms, training, tmp_path):
    shutil.copytree(phantoms, tmp_path / "archive", ignore=shutil.ignore_patterns("pydicom", "broken"))
    wrong = LabelSettings(_write(tmp_path / "wrong.csv", [("path", "label"), ("nowhere.dcm", "a"), ("else.dcm", "b")]))
    settings = training(tmp_path / "run", epochs=1, source=str(tmp_path / "archive"))
    with pytest.raises(LabelError, match="None of the 2 labels"):
        train(replace(settings, labels=wrong))
    assert train(settings)["rows"] == 1


def test_an_index_that_grew_asks_for_a_new_folder(phantoms, training, tmp_path):
    archive = tmp_path / "archive"
    shutil.copytree(phantoms, archive, ignore=shutil.ignore_patterns("pydicom", "broken"))
    index(IndexSettings(str(archive), str(tmp_path / "index")))
    settings = training(tmp_path / "run", epochs=1, source=str(tmp_path / "index"))
    train(settings)
    (archive / "more.txt").write_text("new")
    index(IndexSettings(str(archive), str(tmp_path / "index")))
    with pytest.raises(OutputError, match="index_generation differ"):
        train(settings)
