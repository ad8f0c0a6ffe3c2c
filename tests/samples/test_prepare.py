"""A unit of the index to prepared samples: one row a frame, one bad image one row, the same pixels however stored."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from PIL import Image

from benchmarks.phantoms import Phantom, encode_dicom
from medray import storage
from medray.archive.objects import index_object, rows_to_table
from medray.errors import Reason
from medray.image_settings import GraphRecipe
from medray.samples import prepare
from medray.samples.isolated import prepare_unit
from medray.samples.prepare import images_of
from medray.samples.tables import image_batch, to_graphs
from medray.settings import IndexSettings, Recipe
from tests.archive.makers import KEY, dicom_bytes

RECIPE = Recipe(size=32, graph=GraphRecipe(regions=20))


def _unit(folder, **contents):
    """The index rows of a folder with these objects."""
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    settings = IndexSettings(str(folder), "unused")
    return rows_to_table([row for s in storage.list_objects(str(folder)) for row in index_object(s, KEY, settings)])


def _damaged_unit(folder):
    """Three frames of one object, a broken object, and one frame of another."""
    good = dicom_bytes(_noise(3, 20, 24))
    return _unit(folder, a=good, b=good[:-200], c=dicom_bytes(_noise(30, 9)))


def _noise(*shape, top=255):
    return np.random.default_rng(0).integers(0, top, shape, np.uint16)


def _png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def _phantom(kind=0, bits=8, inverted=False):
    image = np.random.default_rng(1).integers(0, 256, (40, 40)) / 255
    return Phantom(1, "phantom-000", "clear", kind, image, bits, inverted)


def test_each_frame_of_a_multi_frame_object_is_a_row(tmp_path):
    samples = images_of(_unit(tmp_path, a=dicom_bytes(_noise(3, 20, 24))), KEY, RECIPE)
    assert samples["frame"].to_pylist() == [0, 1, 2]
    assert [name.rpartition(":")[2] for name in samples["sample_id"].to_pylist()] == ["0", "1", "2"]
    frames = image_batch(samples, RECIPE)
    assert frames.shape == (3, 1, 32, 32) and not np.array_equal(frames[0], frames[1])


def test_each_page_of_a_tiff_is_a_row(tmp_path):
    pages, out = _noise(3, 20, 24), io.BytesIO()
    tifffile.imwrite(out, pages, photometric="minisblack")
    samples = images_of(_unit(tmp_path, a=out.getvalue(), b=dicom_bytes(pages, Modality="OT")), KEY, RECIPE)
    assert samples["frame"].to_pylist() == [0, 1, 2, 0, 1, 2]
    images = image_batch(samples, RECIPE)
    assert np.array_equal(images[:3], images[3:])


def test_one_bad_image_costs_one_row_and_its_neighbours_nothing(tmp_path):
    good = dicom_bytes(_noise(20, 20))
    alone = images_of(_unit(tmp_path, a=good, c=good), KEY, RECIPE)
    rows = _unit(tmp_path, a=good, b=good, c=good)
    (tmp_path / "b").write_bytes(good[:-700])
    samples = images_of(rows, KEY, RECIPE)
    assert samples["status"].to_pylist() == ["ok", "failed", "ok"]
    assert samples["reason"].to_pylist()[1] is not None and samples["row"].to_pylist() == [0, 1, 2]
    np.testing.assert_array_equal(image_batch(samples.take([0, 2]), RECIPE), image_batch(alone, RECIPE))


def test_a_defect_of_ours_costs_one_row_too_and_names_only_its_type(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("Canary^Name")

    monkeypatch.setattr(prepare, "frame_values", broken)
    [row] = images_of(_unit(tmp_path, a=dicom_bytes(_noise(9, 9))), KEY, RECIPE).to_pylist()
    assert (row["status"], row["reason"], row["detail"]) == ("failed", Reason.INTERNAL.value, "ZeroDivisionError")


def test_skipped_objects_are_no_samples_and_failed_ones_keep_their_reason(tmp_path):
    rows = _unit(tmp_path, a=dicom_bytes(), b=b"hello", c=_png(_noise(9, 9).astype(np.uint8))[:20])
    samples = images_of(rows, KEY, RECIPE).to_pylist()
    index = {row["object_id"]: row for row in rows.to_pylist() if row["status"] == "failed"}
    assert len(index) == 1 and {row["sample_id"]: row["reason"] for row in samples} == {
        name: row["reason"] for name, row in index.items()
    }


def test_pet_and_windows_that_a_header_does_not_hold_are_failed_rows_only_where_asked_for(tmp_path):
    pet = dicom_bytes(_noise(9, 9), Modality="PT", Units="BQML", WindowCenter=40, WindowWidth=400)
    rows = _unit(tmp_path, a=pet, b=_png(_noise(9, 9).astype(np.uint8)))
    asked = [RECIPE, replace(RECIPE, pet="suv_bw"), replace(RECIPE, voi=0), replace(RECIPE, voi="LUNG")]
    found = [[row["reason"] for row in images_of(rows, KEY, recipe).to_pylist()] for recipe in asked]
    assert found == [[None, None], ["suv_missing", None], [None, "voi_missing"], ["voi_missing", "voi_missing"]]


def test_an_object_that_vanished_is_a_failed_row(tmp_path):
    rows = _unit(tmp_path, a=dicom_bytes(_noise(9, 9)))
    (tmp_path / "a").unlink()
    [row] = images_of(rows, KEY, RECIPE).to_pylist()
    assert (row["status"], row["image"]) == ("failed", [])


def test_graphs_of_a_unit_are_the_graphs_of_its_images(tmp_path):
    rows = _unit(
        tmp_path, a=dicom_bytes(_noise(30, 30)), b=dicom_bytes(_noise(9, 9))[:-40], c=dicom_bytes(_noise(2, 25, 25))
    )
    fused = prepare_unit(rows, KEY, RECIPE, "graph")
    assert fused.equals(to_graphs(images_of(rows, KEY, RECIPE), RECIPE, "graph"))
    ok = [row["status"] == "ok" for row in fused.to_pylist()]
    assert [bool(row["num_nodes"]) for row in fused.to_pylist()] == ok and sum(ok) == 3


def test_a_unit_without_one_usable_image_still_makes_graph_rows(tmp_path):
    samples = prepare_unit(_unit(tmp_path, a=dicom_bytes(_noise(9, 9))[:-40]), KEY, RECIPE, "graph")
    assert samples.num_rows == 1 and samples["status"].to_pylist() == ["failed"]


@pytest.mark.parametrize("kind", range(7))
def test_every_transfer_syntax_gives_the_same_input(kind, tmp_path):
    reference = images_of(_unit(tmp_path, a=encode_dicom(_phantom())), KEY, RECIPE)
    found = images_of(_unit(tmp_path, a=encode_dicom(_phantom(kind))), KEY, RECIPE)
    np.testing.assert_array_equal(image_batch(found, RECIPE), image_batch(reference, RECIPE))


def test_monochrome1_and_png_give_the_same_input_and_12_bits_nearly(tmp_path):
    png = _png(np.round(_phantom().image * 255).astype(np.uint8))
    contents = {"a": encode_dicom(_phantom()), "b": encode_dicom(_phantom(inverted=True)), "c": png}
    samples = images_of(_unit(tmp_path, **contents, d=encode_dicom(_phantom(bits=12))), KEY, RECIPE)
    images = image_batch(samples, RECIPE)
    np.testing.assert_allclose(images[1:3], images[[0, 0]], atol=1e-5)
    np.testing.assert_allclose(images[3], images[0], atol=0.01)  # values of 12 bits were rounded elsewhere


def test_a_batch_is_a_view_of_the_arrow_buffer(tmp_path):
    samples = images_of(_unit(tmp_path, a=dicom_bytes(_noise(3, 20, 24))), KEY, RECIPE)
    batch = image_batch(samples, RECIPE)
    values = samples["image"].combine_chunks().flatten().to_numpy()
    assert batch.dtype == np.float32 and batch.nbytes == values.nbytes == 3 * 32 * 32 * 4


def test_colour_images_fill_three_channels_where_the_recipe_wants_them(tmp_path):
    recipe = replace(RECIPE, channels=3)
    samples = images_of(_unit(tmp_path, a=_png(_noise(9, 9, 3).astype(np.uint8))), KEY, recipe)
    image = image_batch(samples, recipe)
    assert image.shape == (1, 3, 32, 32) and not np.array_equal(image[0, 0], image[0, 1])


def test_a_slice_of_samples_has_the_images_of_its_rows(tmp_path):
    samples = images_of(_unit(tmp_path, a=dicom_bytes(_noise(3, 20, 24))), KEY, RECIPE)
    whole = image_batch(samples, RECIPE)
    np.testing.assert_array_equal(image_batch(samples.slice(1, 2), RECIPE), whole[1:])
    twice = pa.concat_tables([samples, samples])
    np.testing.assert_array_equal(image_batch(twice, RECIPE), np.concatenate([whole, whole]))
