"""`make demo`: a small archive, and every verb on it, as a user would type them.

Without MEDRAY_DATA the archive is generated (benchmarks/phantoms.py); with it, it is the real chest X-rays of
PneumoniaMNIST as DICOM. Everything lands in demo-output/, which is made anew.
"""

import os
import shutil
import sys
import time
from pathlib import Path

from benchmarks.phantoms import make_phantom_archive
from benchmarks.road import ROOT, real_archive
from medray import tables
from medray.cli import main as medray
from medray.pipelines.cluster import cluster
from medray.settings import RaySettings

OUT = ROOT / "demo-output"
MODELS = ("cnn", "gatedgcn")
SHOWN = ("auroc", "average_precision", "accuracy", "sensitivity", "specificity")


def verb(*words: str) -> None:
    """Say a command and run it in this process: Ray and the libraries are loaded once."""
    print("\n$ medray", " ".join(words).replace(f"{ROOT}/", ""), flush=True)
    code = medray(list(words))
    if code:
        sys.exit(code)


def lay_out() -> tuple[Path, str]:
    """The archive, and the recipes' prefix in docs/recipes."""
    if os.environ.get("MEDRAY_DATA"):
        return real_archive("pneumonia_dicom", OUT / "archives"), "pneumonia"
    make_phantom_archive(OUT / "archive")
    return OUT / "archive", "phantoms"


def road(archive: Path, recipes: str, model: str) -> None:
    """Train, score and report one model."""
    run, labels = str(OUT / model), str(archive / "labels.csv")
    bundle, predictions = f"{run}/bundles/seed-0", f"{run}-predictions"
    index, recipe = str(OUT / "index"), str(ROOT / "docs" / "recipes" / f"{recipes}-{model}.yaml")
    verb("train", "--config", recipe, "--seeds", "1", "--source", index, "--labels.file", labels, "--out", run)
    verb("score", "--source", index, "--bundle", bundle, "--out", predictions)
    verb("score", "--verify", predictions)
    told = ["--predictions", predictions, "--labels.file", labels, "--bundle", bundle, "--history", run]
    verb("report", *told, "--out", f"{run}-report")


def compare() -> None:
    """Both models side by side, each number with its 95 % interval over patients."""
    found = {model: tables.read_table(str(OUT / f"{model}-report")).to_pylist() for model in MODELS}
    label = next(row["label"] for row in reversed(found["cnn"]) if row["label"] != "macro")
    print(f"\n{label:<20}" + "".join(f"{model:>28}" for model in MODELS))
    for metric in SHOWN:
        cells = [_cell(rows, label, metric) for rows in found.values()]
        print(f"{metric:<20}" + "".join(f"{cell:>28}" for cell in cells))


def _cell(rows: list[dict[str, object]], label: str, metric: str) -> str:
    row = next(r for r in rows if (r["label"], r["subgroup"], r["metric"]) == (label, "all", metric))
    spread = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
    return f"{row['value']:.3f}{spread}" if row["value"] is not None else "not defined"


def main() -> None:
    """Lay an archive out and walk the whole road on it."""
    started = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    os.environ.setdefault("MEDRAY_KEY", "the demo's key protects nothing")
    archive, recipes = lay_out()
    with cluster(RaySettings()):
        verb("index", "--archive", str(archive), "--out", str(OUT / "index"))
        for model in MODELS:
            road(archive, recipes, model)
    compare()
    print(f"\n{time.monotonic() - started:.0f} s. Open in a browser:")
    for model in MODELS:
        print(f"  {OUT / f'{model}-report' / 'report.html'}")


if __name__ == "__main__":
    main()
