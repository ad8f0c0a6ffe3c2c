"""`medray report`: a metrics table and one page, with labels and without."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medray import storage, tables
from medray.errors import BundleError, LabelError
from medray.label_settings import LabelSettings
from medray.pipelines.report import report
from medray.result_settings import ReportSettings
from medray.training.bundle import load_bundle, save_bundle


@pytest.fixture
def reporting(scored, trained, phantoms, tmp_path):
    def settings(**more):
        given = {"labels": LabelSettings(str(phantoms / "labels.csv")), "bundle": str(trained / "bundles/seed-0")}
        return ReportSettings(
            str(scored), str(tmp_path / "report"), **(given | {"bootstrap": 20, "examples": 2} | more)
        )

    return settings


def _page(settings):
    return storage.read_bytes(storage.join(settings.out, "report.html")).decode()


def test_the_table_holds_the_metrics_with_intervals_over_patients(reporting):
    report(reporting(split="all"))
    rows = tables.read_table(reporting().out).to_pylist()
    overall = {row["metric"]: row for row in rows if row["subgroup"] == "all"}
    assert {"auroc", "average_precision", "accuracy", "f1", "sensitivity", "specificity"} <= overall.keys()
    assert (overall["auroc"]["samples"], overall["auroc"]["patients"]) == (48, 12)
    assert overall["auroc"]["low"] <= overall["auroc"]["value"] <= overall["auroc"]["high"]


def test_the_area_is_that_of_scikit_learn_on_the_same_rows(reporting, training, medray_key, scored):
    from medray.pipelines.train import labelled_rows

    report(reporting(split="all"))
    settings = training("")
    labels = {
        row["object_id"]: row["label"] for row in labelled_rows(settings.source, settings, medray_key).to_pylist()
    }
    rows = [row for row in tables.read_table(str(scored)).to_pylist() if row["object_id"] in labels]
    truth = np.array([labels[row["object_id"]] == "nodule" for row in rows])
    expected = roc_auc_score(truth, [row["probabilities"][1] for row in rows])
    found = [
        row["value"] for row in tables.read_table(reporting().out).to_pylist()
        if row["metric"] == "auroc" and row["subgroup"] == "all" and row["label"] in ("nodule", "macro")
    ]  # fmt: skip
    assert found and found[0] == pytest.approx(expected, abs=1e-9)


def test_the_page_needs_nothing_from_elsewhere(reporting, trained):
    settings = reporting(split="all", history=str(trained))
    report(settings)
    page = _page(settings)
    assert page.lower().startswith("<!doctype html>")
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)|@import|url\(["']?(?!data:|#)""", page) == []
    assert page.count("data:image/") >= 2


def test_without_labels_the_page_shows_scores_and_the_table_is_empty(reporting):
    settings = reporting(labels=LabelSettings(), split="all")
    assert report(settings)["rows"] == 0
    assert "no labels given" in _page(settings)


def test_labels_of_classes_that_the_model_does_not_know_are_refused(reporting, phantoms, tmp_path):
    rows = list(csv.reader((phantoms / "labels.csv").read_text().splitlines()))
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([rows[0], *[[row[0], "fracture", *row[2:]] for row in rows[1:]]])
    settings = reporting(labels=LabelSettings(str(tmp_path / "labels.csv")), split="all")
    with pytest.raises(LabelError, match="1 classes that the model does not: fracture"):
        report(settings)
    assert not storage.exists(storage.join(settings.out, tables.MANIFEST))


def test_a_bundle_that_did_not_make_the_predictions_is_refused(reporting, trained, tmp_path):
    bundle = load_bundle(str(trained / "bundles/seed-0"))
    other = save_bundle(str(tmp_path / "other"), replace(bundle, seed=1), bundle.build_model())
    with pytest.raises(BundleError, match=f"holds model {other.model_id}"):
        report(reporting(bundle=str(tmp_path / "other"), split="all"))


def test_a_corrected_report_goes_into_the_same_folder(reporting):
    with pytest.raises(LabelError):
        report(reporting(labels=LabelSettings(reporting().labels.file, column="nodules")))
    assert report(reporting(split="all"))["generation"] == 1
