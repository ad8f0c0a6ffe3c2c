"""`medray volume`: every series of an index has its rows, and a file for what lies on a grid."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.volumes import read_nifti
from medray import cli, tables
from medray.graphs.arrow import arrow_to_graphs
from medray.graphs.volume_build import supervoxel_labels
from medray.image_settings import GraphRecipe
from medray.pipelines.index import index
from medray.pipelines.volume_graphs import write_graphs
from medray.pixels.geometry import GeometryStatus
from medray.pixels.volume import build_volumes
from medray.settings import IndexSettings
from tests.archive.makers import dicom_bytes
from tests.pipelines.road import here
from tests.pixels.series import slice_bytes


def _series(number, indices, **tags):
    """The slices of one series, which lies at other numbers than its neighbours."""
    uids = {"SeriesInstanceUID": f"1.2.3.{number}"}
    return [slice_bytes(index, **uids, **(tags | {"SOPInstanceUID": f"1.2.{number}.{index + 1}"})) for index in indices]


@pytest.fixture(scope="module")
def made(ray_local, tmp_path_factory):
    """The folder of an archive's volumes, and its rows by the number of slices that the series has."""
    folder = tmp_path_factory.mktemp("volume")
    echoes = [
        slice_bytes(index, SeriesInstanceUID="1.2.3.12", SOPInstanceUID=f"1.2.12.{index}.{echo}", EchoTime=5.0 * echo)
        for index in range(4)
        for echo in (1, 2)
    ]
    found = {
        "regular": _series(10, range(5)),
        "gap": _series(11, [0, 1, 2, 4, 5, 6]),
        "echoes": echoes,
        "placeless": [dicom_bytes(np.zeros((4, 6), np.uint16), SeriesInstanceUID="1.2.3.13")],
    }
    (folder / "archive").mkdir()
    for name, files in found.items():
        for number, data in enumerate(files):
            (folder / "archive" / f"{name}-{number}").write_bytes(data)
    index(IndexSettings(str(folder / "archive"), str(folder / "index")))
    assert cli.main(["volume", "--index", str(folder / "index"), "--out", str(folder / "out")]) == 0
    rows: dict[str, list[dict]] = {}
    for row in tables.read_table(str(folder / "out")).to_pylist():
        rows.setdefault(row["series_key"], []).append(row)
    by_name = {"regular": (5, 1), "gap": (6, 3), "echoes": (4, 2), "placeless": (None, 1)}
    return folder, {
        name: next(found for found in rows.values() if (found[0]["slices"], len(found)) == kind)
        for name, kind in by_name.items()
    }


def test_a_regular_series_is_one_file_with_its_spacing(made):
    folder, rows = made
    (row,) = rows["regular"]
    assert (row["geometry_status"], row["slice_spacing_mm"], row["row_spacing_mm"]) == ("regular", 2.5, 2.0)
    values, affine = read_nifti(folder / "out" / row["file"])
    assert values[0, :, 0, 0].tolist() == [0, 100, 200, 300, 400] and affine[2, 2] == 2.5


def test_a_series_with_a_gap_says_so_and_has_a_file_for_each_part(made):
    folder, (whole, *parts) = made[0], made[1]["gap"]
    assert (whole["geometry_status"], whole["file"]) == ("gap", None) and "slices_missing:1" in whole["notes"]
    assert [(part["slices"], part["geometry_status"]) for part in parts] == [(3, "regular")] * 2
    values = [read_nifti(folder / "out" / part["file"])[0] for part in parts]
    assert [float(value[0, 0, 0, 0]) for value in values] == [0, 400]


def test_echoes_are_the_fourth_axis_of_one_file(made):
    folder, rows = made
    assert [row["time_point"] for row in rows["echoes"]] == [0, 1] and len({row["file"] for row in rows["echoes"]}) == 1
    assert [row["phase"] for row in rows["echoes"]] == [["echo_time_ms=5.0"], ["echo_time_ms=10.0"]]
    assert read_nifti(folder / "out" / rows["echoes"][0]["file"])[0].shape == (2, 4, 3, 4)


def test_a_series_without_positions_has_a_row_and_no_file(made):
    (row,) = made[1]["placeless"]
    assert row["file"] is None and row["notes"] == ["without_geometry:1"]


def test_each_volume_on_a_grid_has_a_graph_that_can_be_painted_back(made):
    folder, rows = made
    assert here("volume", "--index", str(folder / "index"), "--out", str(folder / "graphs"), "--graphs", "4").code == 0
    found = tables.read_table(str(folder / "graphs")).to_pylist()
    graphed = [row for row in found if row["graphs"]]
    assert [row["file"].replace("nii.gz", "graphs.parquet") for row in graphed] == [row["graphs"] for row in graphed]
    assert len(graphed) == 1 + 2 + 2 and all(row["graphs"] is None for row in rows["regular"])
    (row,) = [row for row in graphed if row["series_key"] == rows["regular"][0]["series_key"]]
    table = pq.read_table(folder / "graphs" / row["graphs"])
    recipe, graph = json.loads(table.schema.metadata[b"medray"])["recipe"], table.to_pylist()[0]
    values, spacing = read_nifti(folder / "graphs" / row["file"])[0][0].astype(np.float32), (2.5, 2.0, 1.0)
    values = (values - np.float32(graph["mean"])) / np.float32(graph["deviation"])
    labels = supervoxel_labels(values, spacing, GraphRecipe(**recipe))
    means = [values[labels == region].mean() for region in range(graph["num_nodes"])]
    np.testing.assert_allclose(np.reshape(graph["x"], (len(means), -1))[:, 1], means, atol=1e-6)
    arrow_to_graphs(table)[0].check()
    assert len(means) > 2 and table.num_rows == 1 and (graph["series_key"], graph["volume"]) == (row["series_key"], 0)


def test_a_volume_whose_voxels_are_no_boxes_says_why_it_has_no_graph(tmp_path):
    (volume,) = build_volumes([slice_bytes(k, ImagePositionPatient=[0.0, 0.8 * k, 2.5 * k]) for k in range(4)]).volumes
    assert write_graphs(str(tmp_path / "a.parquet"), "key", [(0, volume)], 4) == ["no_graph:tilted"]
    broken = replace(volume, geometry_status=GeometryStatus.REGULAR, values=volume.values * np.float32("nan"))
    assert write_graphs(str(tmp_path / "a.parquet"), "key", [(0, broken)], 4) == ["no_graph:unsupported_pixels"]
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_patient_is_in_names_or_table(made):
    folder, _ = made
    names = [path.name for path in (folder / "out").iterdir()]
    assert "CANARY" not in (str(names) + str(tables.read_table(str(folder / "out")).to_pylist())).upper()


def test_the_same_command_again_does_nothing_and_an_archive_is_refused(made, tmp_path):
    folder, _ = made
    again = here("volume", "--index", str(folder / "index"), "--out", str(folder / "out"))
    assert again.code == 0 and "finished already" in again.err
    refused = here("volume", "--index", str(folder / "archive"), "--out", str(tmp_path / "other"))
    assert refused.code == 1 and "is an archive. Index it first" in refused.err and not (tmp_path / "other").exists()
