"""Tumour in the slice or not, patients kept apart: CT alone and PET alone (8 sarcoma patients, IBSI).

    MEDRAY_DATA=… python benchmarks/tumour.py

Four rounds, each with two patients on the test side: every patient is tested once by models that never saw them;
three seeds a round, and the interval (Student) is over the rounds. The floor is the share of the commoner class.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results_writer import write_result
from benchmarks.road import ROOT, majority, manifest, medray, real_archive, work_folder, write_split
from medray.training.summary import mean_interval

ROUNDS = 4


def patients_of(archive: Path) -> list[str]:
    """Patients of the labels, sorted."""
    with open(archive / "labels.csv", newline="") as file:
        return sorted({row["patient_id"] for row in csv.DictReader(file)})


def modality_figures(work: Path, archive: Path, modality: str) -> dict[str, Any]:
    """Accuracy and AUROC over the rounds of one modality."""
    rounds, patients = [], patients_of(archive)
    for number in range(ROUNDS):
        labels = work / f"labels-{number}.csv"
        tested = patients[number::ROUNDS]
        write_split(archive, labels, lambda row, tested=tested: row["patient_id"] in tested)  # type: ignore[misc]
        out = work / f"{modality}-{number}"
        recipe = ROOT / "docs" / "recipes" / f"tumour-{modality.lower()}.yaml"
        medray("train", config=recipe, source=work / "index", labels__file=labels, out=out)
        model = manifest(out)["model"]
        rounds.append({"majority": majority(out), "seeds": manifest(out)["seeds"]})
    figures = {name: [_mean(found["seeds"], f"test_{name}") for found in rounds] for name in ("accuracy", "auroc")}
    intervals = {name: mean_interval(values) for name, values in figures.items()}
    return {
        "model": model,
        **{name: found.mean for name, found in intervals.items()},
        "interval": {name: [found.low, found.high] for name, found in intervals.items()},
        "majority": float(np.mean([found["majority"] for found in rounds])),
        "rounds": rounds,
    }


def _mean(seeds: list[dict[str, float]], name: str) -> float:
    return float(np.mean([seed[name] for seed in seeds]))


def main() -> None:
    """Run both modalities and write the table."""
    work = work_folder("tumour")
    archive = real_archive("tumour_dicom", work / "archives")
    medray("index", archive=archive, out=work / "index")
    write_result("tumour", {name.lower(): modality_figures(work, archive, name) for name in ("CT", "PT")})


if __name__ == "__main__":
    main()
