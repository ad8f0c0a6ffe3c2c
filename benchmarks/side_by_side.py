"""medray beside pydicom, MONAI, SimpleITK and dicom2nifti on files with one fault each; writes docs/side-by-side.md.

    uv pip install --python .venv/bin/python --editable '.[peers]'
    MEDRAY_DATA=folder python benchmarks/side_by_side.py

Every cell is measured in the run: each reader has a process of its own, a time limit, and nothing but the files. What
is right stands in benchmarks/faults*.py, by a closed form or a published reference.
"""

import json
import os
import select
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults import Case, Grid, value_cases
from benchmarks.faults_of_pixels import pixel_cases
from benchmarks.faults_of_series import series_cases
from benchmarks.peers import READERS
from benchmarks.results_writer import write_result
from benchmarks.road import work_folder

PAGE = Path(__file__).resolve().parent.parent / "docs" / "side-by-side.md"
TITLES = {"medray": "medray", "pydicom": "pydicom", "monai": "MONAI PydicomReader", "simpleitk": "SimpleITK"}
PACKAGES = ("pydicom", "monai", "SimpleITK", "dicom2nifti")
START_S, CASE_S = 120.0, 60.0
PLACE_TOLERANCE_MM = 0.01
VALUE_TOLERANCE = 1e-6


class Reader:
    """A reader's process, started again where it dies."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self.process: subprocess.Popen[str] | None = None

    def ask(self, case: str) -> dict[str, Any]:
        """The answer to a case; `crashes` or `hangs` where there is none."""
        fresh = self.process is None
        process = self.process = self.process or self._start()
        assert process.stdin and process.stdout
        process.stdin.write(f"{case}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], CASE_S + START_S * fresh)
        line = process.stdout.readline() if ready else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.end()
        return {"state": "crashes" if ready else "hangs"}

    def _start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "benchmarks.peers", self.name, str(self.root)]
        root = Path(__file__).resolve().parent.parent
        return subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def lay_out(case: Case, folder: Path) -> None:
    """The case's files, and its kind, where the readers find them."""
    (folder / "files").mkdir(parents=True)
    (folder / "kind").write_text(case.kind)
    for number, data in enumerate(case.files):
        (folder / "files" / f"{number:03d}.dcm").write_bytes(data)


def verdict(case: Case, answer: dict[str, Any], found: dict[str, np.ndarray]) -> str:
    """`right`, `refuses`, `wrong, silent` … and in brackets what was seen."""
    state = answer["state"]
    if state == "none":
        return "–"
    nothing_is_right = case.values is None and not case.grids
    if state == "refuses":
        return f"{'right: ' if nothing_is_right else ''}refuses ({answer['error']})"
    if state != "read":
        return str(state)
    wrong = what_is_wrong(case, answer, found)
    if not wrong:
        return "right" if not nothing_is_right else f"right: {answer['said'][0]}"
    return f"wrong, {'says so' if answer['said'] else '**silent**'} ({wrong})"


def what_is_wrong(case: Case, answer: dict[str, Any], found: dict[str, np.ndarray]) -> str:
    """In a few words; empty where all is right."""
    values = [found[f"values{number}"] for number in range(answer["count"])]
    affines = [found.get(f"affine{number}") for number in range(answer["count"])]
    if case.kind != "volume" and case.values is None:
        return "an image"
    if not case.spaced and (answer["spacing"] or any(affine is not None for affine in affines)):
        return "a spacing that nobody gave"
    if case.kind == "volume" or case.values is None or values[0].shape[0] == len(case.files) > 1:
        return _wrong_volumes(case, values, affines)
    expected = case.values if case.kind == "frames" else case.values[0]
    if case.lost != tuple(answer["lost"]):
        return "a frame that is not there"
    kept = np.delete(expected, case.lost, axis=0) if case.lost else expected
    return _wrong_values(values[0], kept, case.tolerance)


def _wrong_values(found: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    if found.shape != expected.shape:
        return f"shape {'×'.join(map(str, found.shape))} for {'×'.join(map(str, expected.shape))}"
    off = np.abs(found.astype(np.float64) - expected)
    if off.max() <= max(tolerance, VALUE_TOLERANCE * np.abs(expected).max()):
        return ""
    return f"off by {off.max():.4g}"


def _wrong_volumes(case: Case, values: list[np.ndarray], affines: list[np.ndarray | None]) -> str:
    """Every volume of the case must be there once, voxel by voxel at its place in the patient."""
    if not case.grids:
        placed = [affine for affine in affines if affine is not None]
        return f"slices {_step_mm(placed[0]):.4g} mm apart" if placed else ""
    if len(values) != len(case.grids):
        return (
            f"{len(values)} volume of {values[0].shape[0]} slices for {len(case.grids)} of {len(case.grids[0].values)}"
        )
    wrong = [
        min((_wrong_grid(grid, *found) for found in zip(values, affines, strict=True)), key=len) for grid in case.grids
    ]
    return max(wrong, key=len)


def _wrong_grid(grid: Grid, values: np.ndarray, affine: np.ndarray | None) -> str:
    if affine is None:
        return "no place in the patient"
    if values.size != grid.values.size:
        due = f"{len(grid.values)} of {_step_mm(grid.affine):.4g} mm"
        return f"{values.shape[0]} slices of {_step_mm(affine):.4g} mm for {due}"
    slices, rows, columns = np.indices(grid.values.shape).reshape(3, -1)
    places = grid.affine @ np.stack([columns, rows, slices, np.ones_like(rows)]).astype(np.float64)
    nearest = (
        np.rint(np.linalg.inv(affine) @ places).clip(0, np.array([*values.shape[::-1], 2])[:, None] - 1).astype(int)
    )
    off_mm = np.linalg.norm(affine @ nearest - places, axis=0).max()
    if off_mm > PLACE_TOLERANCE_MM:
        return f"voxels up to {off_mm:.2g} mm off"
    return _wrong_values(values[nearest[2], nearest[1], nearest[0]], grid.values.ravel(), 0.0)


def _step_mm(affine: np.ndarray) -> float:
    return float(np.linalg.norm(affine[:3, 2]))


def compare(cases: list[Case], root: Path) -> dict[str, list[str]]:
    """The verdicts of each reader, in the order of the cases."""
    for number, case in enumerate(cases):
        lay_out(case, root / str(number))
    verdicts: dict[str, list[str]] = {}
    for name in READERS:
        reader = Reader(name, root)
        verdicts[name] = []
        for number, case in enumerate(cases):
            answer = reader.ask(str(number))
            file = root / str(number) / f"{name}.npz"
            found = dict(np.load(file)) if answer["state"] == "read" else {}
            verdicts[name].append(verdict(case, answer, found))
        reader.end()
    return verdicts


def page(cases: list[Case], verdicts: dict[str, list[str]], versions: dict[str, str]) -> str:
    """The table in Markdown."""
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    titles = [TITLES.get(name, name) for name in verdicts]
    lines = [
        "# Side by side",
        "",
        "Made by `python benchmarks/side_by_side.py`; every cell is measured. Each row is one file or one series with",
        "one fault, whose values are known by a closed form of the standard or by a published reference. *Refuses* is",
        "an error; *says so* is a warning, a message or a flag beside the wrong values; *silent* is neither. – means",
        "that the reader has no function for it. The faults were chosen because somebody goes wrong on them, so no",
        "column is a measure of how good a reader is on healthy files; the controls have no fault.",
        f"Compared: {said}.",
        "",
        "| fault | " + " | ".join(titles) + " |",
        "|---|" + "---|" * len(titles),
    ]
    for number, case in enumerate(cases):
        kind = {"image": "image", "voi": "display", "frames": "frames", "volume": "series"}[case.kind]
        cells = [found[number] for found in verdicts.values()]
        lines.append(f"| {kind}: {case.what} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare, write the page, count and keep."""
    data = os.environ.get("MEDRAY_DATA")
    folder = Path(data) if data else None
    cases = [*value_cases(), *pixel_cases(folder), *series_cases(folder)]
    sys.path.append(os.environ.get("MEDRAY_PEERS", ""))
    versions = {name: metadata.version(name) for name in PACKAGES}
    verdicts = compare(cases, work_folder("side-by-side"))
    text = page(cases, verdicts, versions)
    PAGE.write_text(text)
    print(text, file=sys.stderr)
    kinds = ("right", "refuses", "wrong, says so", "wrong, **silent**", "crashes", "hangs", "–")
    counts = {
        name: Counter(next(kind for kind in kinds if cell.startswith(kind)) for cell in cells)
        for name, cells in verdicts.items()
    }
    counted = {name: {kind.replace("*", ""): found[kind] for kind in kinds} for name, found in counts.items()}
    write_result("side_by_side", {"cases": len(cases), "versions": versions, "verdicts": counted})


if __name__ == "__main__":
    main()
