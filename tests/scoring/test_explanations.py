"""medray/scoring/explanations.py: one row a chosen frame, with the heat that `explain` gives, or the reason why not."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from medray.models.catalog import build_model
from medray.samples.collate import collate
from medray.samples.tables import flat_lists, sample_table, to_graphs
from medray.schema import EXPLANATIONS
from medray.scoring.explain import explain, to_levels
from medray.scoring.explanations import chosen_samples, explain_samples
from medray.settings import Recipe
from medray.training.bundle import Bundle

RECIPE = Recipe(size=32)
IMAGES = np.random.default_rng(0).normal(size=(2, 32 * 32)).astype(np.float32)


KINDS = {"cnn": "image", "gatedgcn": "graph", "hybrid": "regions"}


@pytest.fixture(params=KINDS)
def bundle(request) -> Bundle:
    kind = KINDS[request.param]
    return Bundle(request.param, {}, kind, 1, 12, 4, ("clear", "nodule"), RECIPE, seed=0, model_id="model")


def explained(bundle: Bundle, method: str = "cam") -> tuple[pa.Table, pa.Table, torch.nn.Module]:
    """Object a has frames 0 to 2, of which the first failed; object b cannot be read any more."""
    places = [(0, 0, "failed"), (0, 1, "ok"), (0, 2, "ok"), (1, None, "failed")]
    samples = [
        {"sample_id": f"{row}:{frame}", "row": row, "frame": frame, "status": status}
        | ({} if status == "ok" else {"reason": "not_found", "detail": "gone"})
        for row, frame, status in places
    ]
    table = sample_table(samples, flat_lists([None, *IMAGES, None]))
    table = table if bundle.input_kind == "image" else to_graphs(table, RECIPE, bundle.input_kind)
    rows = pa.Table.from_pylist(
        [
            {"object_id": "a", "chosen_frames": [2, 0], "chosen_labels": ["nodule", "clear"]},
            {"object_id": "b", "chosen_frames": [0, 7], "chosen_labels": ["clear", "clear"]},
        ]
    )
    torch.manual_seed(0)
    widths = {"in_channels": 1, "node_features": 12, "edge_features": 4}
    model = build_model(bundle.model_name, num_classes=2, **widths).eval()
    return explain_samples(chosen_samples(table, rows), rows, bundle, model, method=method, unit_id="u"), table, model


def test_each_chosen_frame_has_one_row_and_only_what_can_be_read_has_heat(bundle):
    table, _, _ = explained(bundle)
    assert table.schema.equals(EXPLANATIONS)
    rows = table.to_pylist()
    assert [row["sample_id"] for row in rows] == ["a:2", "a:0", "b:0", "b:7"]
    assert [row["status"] for row in rows] == ["ok", "failed", "failed", "failed"]
    assert [row["reason"] for row in rows] == [None, *["not_found"] * 3]
    assert [row["heat"] is None for row in rows] == [False, True, True, True]


@pytest.mark.parametrize("method", ["cam", "integrated_gradients"])
def test_the_heat_is_that_of_the_sample_for_its_label(bundle, method):
    table, samples, model = explained(bundle, method)
    row = table.to_pylist()[0]
    inputs = collate(samples.slice(2, 1), RECIPE).inputs
    levels = to_levels(explain(model, inputs, method, 1))
    assert row["shape"] == list(levels.shape) and row["heat"] == levels.ravel().tolist()
    image = [8, 8] if method == "cam" else [32, 32]
    assert row["shape"] == (image if bundle.input_kind == "image" else [samples["num_nodes"][2].as_py()])
    assert max(row["heat"]) == 255
