"""What the benchmarks share: real archives laid out once, and medray's verbs as a user types them."""

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medray import storage, tables
from medray.training.bundle import load_bundle

ROOT = Path(__file__).resolve().parent.parent


def command(verb: str, **flags: Any) -> list[str]:
    """A verb and its flags as words; flags are given with `__` for the dot."""
    return [verb, *(word for name, value in flags.items() for word in (f"--{name.replace('__', '.')}", str(value)))]


def medray(verb: str, **flags: Any) -> float:
    """Run `medray VERB --flag value …` in a process of its own; wall seconds.

    Flags are those of `command`: `labels__file="labels.csv"`.

    Raises:
        SystemExit: the verb failed; its own words stand above.
    """
    words = command(verb, **flags)
    print("$ medray", " ".join(words), file=sys.stderr, flush=True)
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "medray.cli", *words], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"medray {verb} ended with {done.returncode}")
    return time.perf_counter() - started


def data_folder() -> Path:
    """The folder of real images.

    Raises:
        SystemExit: MEDRAY_DATA is not set.
    """
    if "MEDRAY_DATA" not in os.environ:
        sys.exit("Set MEDRAY_DATA to the folder of real images.")
    return Path(os.environ["MEDRAY_DATA"]).resolve()


def real_archive(name: str, folder: Path) -> Path:
    """Lay a real data set out as an archive with its labels.csv (`tools/make_archives.py` beside MEDRAY_DATA)."""
    if not (folder / name).exists():
        maker = data_folder().parent / "tools" / "make_archives.py"
        subprocess.run([sys.executable, str(maker), str(folder), name], check=True, stdout=sys.stderr)
    return folder / name


def write_split(archive: Path, path: Path, is_test: Callable[[dict[str, str]], bool]) -> None:
    """An archive's labels with a split column of its own: `test` where asked for, else `train`."""
    with open(archive / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["split"] = "test" if is_test(row) else "train"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def work_folder(name: str) -> Path:
    """An empty folder for one run of a benchmark, or the one that MEDRAY_WORK names."""
    return Path(os.environ.get("MEDRAY_WORK") or tempfile.mkdtemp(prefix=f"medray-{name}-"))


def parameters(bundle: Path) -> int:
    """Trained numbers of a bundle (running statistics of batch norm are none)."""
    model = load_bundle(str(bundle)).build_model()
    return sum(weight.numel() for weight in model.parameters())


def majority(out: Path, side: str = "test") -> float:
    """Share of the commonest class on a side of a training's split: what saying always the same gives."""
    split = storage.read_parquet(str(out / "split.parquet"))
    labels = [row["label"] for row in split.to_pylist() if row["split"] == side]
    return max(labels.count(label) for label in set(labels)) / len(labels)


def manifest(out: Path) -> dict[str, Any]:
    """The manifest of a finished table."""
    return tables.read_manifest(str(out))
