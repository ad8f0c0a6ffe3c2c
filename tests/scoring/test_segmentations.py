"""Segmentations as rows: the mask is the model's answers on the frame's own pixels."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from medray.archive.objects import rows_to_table
from medray.graphs.features import edge_feature_names, node_feature_names
from medray.image_settings import GraphRecipe, StepRecipe
from medray.models.catalog import build_model
from medray.pixels.placement import Placement
from medray.samples.collate import collate
from medray.samples.prepare import images_of
from medray.samples.tables import to_graphs, usable
from medray.schema import SEGMENTATIONS
from medray.scoring.segmentations import mask_of, probabilities_of, segment_samples
from medray.settings import Recipe, ScoreSettings
from medray.training.bundle import Bundle
from tests.archive.makers import KEY, index_folder
from tests.discs import make_discs

CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> pa.Table:
    folder = make_discs(tmp_path_factory.mktemp("discs") / "archive")
    table = rows_to_table(index_folder(folder))
    return table.filter(pa.array([status != "skipped" for status in table["status"].to_pylist()])).slice(0, 30)


def segmented(rows: pa.Table, name: str, recipe: Recipe, **more) -> tuple[pa.Table, pa.Table, torch.nn.Module]:
    """Prepared samples, the rows made of them, and the model: its weights are random."""
    torch.manual_seed(0)
    widths = {
        "node_features": len(node_feature_names(recipe.graph)),
        "edge_features": len(edge_feature_names(recipe.graph)),
    }
    model = build_model(name, num_classes=3, task="segment", **widths).eval()
    kind = "regions" if name == "hybrid" else "graph"
    bundle = Bundle(name, {}, kind, 1, **widths, classes=CLASSES, recipe=recipe, seed=0, task="segment")
    samples = to_graphs(images_of(rows, KEY, recipe), recipe, bundle.prepared_kind)
    settings = ScoreSettings("", "", "", batch_size=4, **more)
    return samples, segment_samples(samples, rows, bundle, model, unit_id="u", settings=settings), model


@pytest.mark.parametrize("name", ["sage", "hybrid"])
@pytest.mark.parametrize("crop", [False, True])
def test_a_mask_is_each_nodes_most_probable_class_at_its_pixels(rows, name, crop):
    recipe = Recipe(size=32, graph=GraphRecipe(regions=40), steps=StepRecipe(crop=crop, content=0.3))
    samples, table, model = segmented(rows, name, recipe, probabilities=True)
    assert table.schema.equals(SEGMENTATIONS) and table.num_rows == samples.num_rows
    good = usable(samples)
    drop = [] if name == "hybrid" else ["image", "regions"]
    for sample in range(good.num_rows):
        one = good.slice(sample, 1)
        with torch.no_grad():
            logits = model(**collate(one.drop_columns(drop), recipe).inputs)
        labels = np.array(one["regions"].to_pylist()[0]).reshape(32, 32)
        painted = logits.argmax(1).numpy()[labels].astype(np.int16)
        row = next(r for r in table.to_pylist() if r["sample_id"] == one["sample_id"][0].as_py())
        placement = Placement.of(row["placement"])
        mask = mask_of(row)
        assert mask.shape == (row["rows"], row["columns"]) == placement.frame
        assert np.array_equal(mask, placement.to_frame(painted))
        assert (mask == -1).any() == (placement.box != placement.frame)
        shares = [(mask == number).sum() / (mask >= 0).sum() for number in range(3)]
        assert row["area_fractions"] == pytest.approx(shares)
        chances = probabilities_of(row, np.array(row["probabilities"], np.float16), 3)
        expected = placement.to_frame(logits.softmax(1).numpy()[labels][..., 1].astype(np.float32), np.nan)
        np.testing.assert_allclose(chances[1], expected, atol=1e-3)


def test_a_sample_that_failed_has_a_row_without_a_mask(rows):
    recipe = Recipe(size=32, graph=GraphRecipe(regions=40))
    broken = rows.set_column(
        rows.column_names.index("length"), "length", pa.array([5, *rows["length"].to_pylist()[1:]], pa.int64())
    )
    _, table, _ = segmented(broken, "sage", recipe)
    failed = [row for row in table.to_pylist() if row["status"] == "failed"]
    assert len(failed) == 1 and failed[0]["reason"] == "changed_since_index"
    assert all(failed[0][name] is None for name in ("rows", "run_classes", "run_lengths", "placement", "probabilities"))
    assert all(row["probabilities"] is None for row in table.to_pylist())
