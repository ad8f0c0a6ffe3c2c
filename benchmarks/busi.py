"""Breast ultrasound (BUSI), three classes, five folds: CNN and graph network, each with its interval over the folds.

MEDRAY_DATA=… python benchmarks/busi.py
"""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results_writer import write_result
from benchmarks.road import ROOT, manifest, medray, real_archive, work_folder, write_split
from medray.training.summary import mean_interval

FOLDS = 5


def model_figures(work: Path, archive: Path, model: str) -> dict[str, Any]:
    """Mean over the folds, with Student's interval."""
    folds = []
    for fold in range(FOLDS):
        labels, out = work / f"labels-{fold}.csv", work / f"{model}-{fold}"
        write_split(archive, labels, lambda row, name=f"fold{fold}": row["split"] == name)  # type: ignore[misc]
        recipe = ROOT / "docs" / "recipes" / f"busi-{model}.yaml"
        seconds = medray("train", config=recipe, source=work / "index", labels__file=labels, out=out)
        folds.append({"fold": fold, "seconds": seconds, **manifest(out)["seeds"][0]})
    names = ("accuracy", "auroc")
    intervals = {name: mean_interval([fold[f"test_{name}"] for fold in folds]) for name in names}
    return {
        **{name: intervals[name].mean for name in names},
        "interval": {name: [intervals[name].low, intervals[name].high] for name in names},
        "accuracy_sd": float(np.std([fold["test_accuracy"] for fold in folds], ddof=1)),
        "folds": folds,
    }


def main() -> None:
    """Run both models and write the table."""
    work = work_folder("busi")
    archive = real_archive("busi", work / "archives")
    medray("index", archive=archive, out=work / "index")
    write_result("busi", {model: model_figures(work, archive, model) for model in ("cnn", "gatedgcn")})


if __name__ == "__main__":
    main()
