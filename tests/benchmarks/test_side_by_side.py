import numpy as np
import pytest

from benchmarks.faults import value_cases
from benchmarks.faults_of_pixels import pixel_cases
from benchmarks.faults_of_series import series_cases
from benchmarks.peers import answer
from benchmarks.side_by_side import lay_out, page, verdict

CASES = {f"{case.kind}, {case.what}": case for case in (*value_cases(), *pixel_cases(None), *series_cases(None))}


@pytest.mark.parametrize("name", CASES)
def test_medray_is_right(name, tmp_path):
    lay_out(CASES[name], tmp_path)
    found = answer("medray", tmp_path)
    arrays = dict(np.load(tmp_path / "medray.npz")) if found["state"] == "read" else {}
    assert verdict(CASES[name], found, arrays).startswith("right")


def test_other_values_another_place_and_a_volume_too_few_are_wrong(tmp_path):
    image, series = CASES["image, nothing (control)"], CASES["volume, nothing (control)"]
    grid, said = series.grids[0], {"state": "read", "said": [], "spacing": None, "lost": [], "count": 1}
    moved = grid.affine.copy()
    moved[2, 2] *= 1.1
    assert verdict(image, said, {"values0": image.values[0] + 3}) == "wrong, **silent** (off by 3)"
    assert verdict(image, said | {"said": ["x"]}, {"values0": image.values[0][:-1]}).startswith("wrong, says so (shape")
    assert (
        verdict(series, said, {"values0": grid.values, "affine0": moved})
        == "wrong, **silent** (voxels up to 1.2 mm off)"
    )
    assert verdict(series, said, {"values0": grid.values, "affine0": grid.affine}) == "right"
    echoes = CASES["volume, two echoes at the same places"]
    assert "1 volume of 6 slices for 2 of 6" in verdict(echoes, said, {"values0": grid.values, "affine0": grid.affine})


def test_a_flipped_volume_is_right_where_its_affine_says_so():
    case = CASES["volume, nothing (control)"]
    grid, flip = case.grids[0], np.diag([1.0, -1.0, 1.0, 1.0])
    flip[1, 3] = grid.values.shape[1] - 1
    said = {"state": "read", "said": [], "spacing": None, "lost": [], "count": 1}
    assert verdict(case, said, {"values0": grid.values[:, ::-1], "affine0": grid.affine @ flip}) == "right"


def test_the_page_has_a_row_a_case_and_a_column_a_reader():
    cases = list(CASES.values())
    lines = page(cases, {"medray": ["right"] * len(cases), "simpleitk": ["crashes"] * len(cases)}, {"SimpleITK": "2"})
    rows = [line for line in lines.splitlines() if line.startswith("| ")]
    assert len(rows) == len(cases) + 1 and all(line.endswith("| right | crashes |") for line in rows[1:])
