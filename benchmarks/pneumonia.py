"""Chest X-rays, DICOM to report: three recipes, three seeds each, on PneumoniaMNIST's official split.

    MEDRAY_DATA=… python benchmarks/pneumonia.py

Index, train, score all 5,856 and report, as a user types it. Then the DICOM-trained CNN scores the same X-rays as PNG
in tar shards: other container, polarity and bit depth, and it must make no difference.
"""

from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from benchmarks.results_writer import write_result
from benchmarks.road import ROOT, manifest, medray, parameters, real_archive, work_folder
from medray import tables

RECIPES = ("cnn", "cnn-augmented", "gatedgcn")


def train(work: Path, index: Path, labels: Path, name: str) -> dict[str, Any]:
    """Three seeds of a recipe; the figures of its summary."""
    recipe = ROOT / "docs" / "recipes" / f"pneumonia-{name}.yaml"
    seconds = medray("train", config=recipe, source=index, labels__file=labels, out=work / name)
    found = manifest(work / name)
    summary = found["summary"]
    return {
        "accuracy": summary["test_accuracy"]["mean"],
        "accuracy_interval": [summary["test_accuracy"]["low"], summary["test_accuracy"]["high"]],
        "accuracy_most_probable_class": summary["test_accuracy_most_probable"]["mean"],
        "auroc": summary["test_auroc"]["mean"],
        "auroc_interval": [summary["test_auroc"]["low"], summary["test_auroc"]["high"]],
        "loss": summary["test_loss"]["mean"],
        "seeds": found["seeds"],
        "train_seconds_all_seeds": seconds,
        "parameters": parameters(work / name / "bundles" / "seed-0"),
    }


def reported(work: Path, name: str, *, source: Path, labels: Path, bundle: Path) -> dict[str, float]:
    """Score everything, prove it, report on the test side: metrics of the positive class."""
    seconds = medray("score", source=source, bundle=bundle, out=work / f"{name}-predictions")
    medray("score", verify=work / f"{name}-predictions")
    medray(
        "report",
        predictions=work / f"{name}-predictions",
        labels__file=labels,
        bundle=bundle,
        out=work / f"{name}-report",
    )
    metrics = tables.read_table(str(work / f"{name}-report"))
    chosen = metrics.filter(
        pc.and_(pc.equal(metrics["label"], "pneumonia"), pc.equal(metrics["subgroup"], "all"))
    ).to_pylist()
    rows = manifest(work / f"{name}-predictions")["rows"]
    return {"rows": rows, "score_seconds": seconds, **{row["metric"]: row["value"] for row in chosen}}


def main() -> None:
    """Run the whole case and write its figures."""
    work = work_folder("pneumonia")
    dicom, shards = (real_archive(name, work / "archives") for name in ("pneumonia_dicom", "pneumonia_shards"))
    index_seconds = medray("index", archive=dicom, out=work / "index")
    figures: dict[str, Any] = {"index_rows": manifest(work / "index")["rows"], "index_seconds": index_seconds}
    for name in RECIPES:
        figures[name] = train(work, work / "index", dicom / "labels.csv", name)
        bundle = work / name / "bundles" / "seed-0"
        figures[name]["scored"] = reported(
            work, name, source=work / "index", labels=dicom / "labels.csv", bundle=bundle
        )
    bundle = work / "cnn" / "bundles" / "seed-0"
    as_png = reported(work, "shards", source=shards, labels=shards / "labels.csv", bundle=bundle)
    figures["shards"] = as_png
    figures["shards_accuracy_difference"] = as_png["accuracy"] - figures["cnn"]["scored"]["accuracy"]
    write_result("pneumonia", figures)


if __name__ == "__main__":
    main()
