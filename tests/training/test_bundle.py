"""medray/training/bundle.py."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medray.errors import BundleError
from medray.image_settings import GraphRecipe
from medray.models.catalog import MODELS, build_model
from medray.settings import Recipe
from medray.training.bundle import Bundle, _model_id, load_bundle, save_bundle
from tests.models.region_graphs import random_graph

BUNDLE = Bundle(
    model_name="gatedgcn",
    options={"width": 16},
    input_kind="graph",
    in_channels=1,
    node_features=12,
    edge_features=6,
    classes=("normal", "pneumonia"),
    recipe=Recipe(size=28, window=(40.0, 400.0), graph=GraphRecipe(regions=81)),
    seed=3,
    threshold=0.25,
    split_hash="abc",
    metrics={"auroc": 0.9},
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = build_model("gatedgcn", num_classes=2, node_features=12, edge_features=6, options={"width": 16})
    save_bundle(str(tmp_path / "bundle"), BUNDLE, model)
    return tmp_path / "bundle"


def edit(folder: Path, **changes: Any) -> None:
    """Change the manifest and give it the id that fits."""
    manifest = {**json.loads((folder / "bundle.json").read_text()), **changes}
    manifest["model_id"] = _model_id(manifest, (folder / "weights.safetensors").read_bytes())
    (folder / "bundle.json").write_text(json.dumps(manifest))


def test_everything_comes_back(saved: Path) -> None:
    bundle = load_bundle(str(saved))
    assert replace(bundle, model_id="") == BUNDLE
    assert bundle.recipe.id() == BUNDLE.recipe.id()
    assert {"medray", "torch", "numpy", "python"} <= set(bundle.versions)


def test_the_model_answers_as_before(tmp_path: Path) -> None:
    model = build_model("cnn", num_classes=2)
    model(torch.randn(8, 1, 28, 28))  # running statistics that are not the initial ones
    image_bundle = replace(BUNDLE, model_name="cnn", options={}, input_kind="image", node_features=0, edge_features=0)
    save_bundle(str(tmp_path), image_bundle, model)
    image = torch.randn(3, 1, 28, 28)
    assert torch.equal(load_bundle(str(tmp_path)).build_model()(image), model.eval()(image))


GRAPH_FAMILIES = [name for name, family in MODELS.items() if family.input_kind == "graph"]


@pytest.mark.parametrize("name", GRAPH_FAMILIES)
def test_a_graph_network_with_options_answers_as_before(name: str, tmp_path: Path) -> None:
    graph, options = random_graph(20, 0), {"width": 8, "layers": 2, "readout": "attention", "encoding_steps": 2}
    model = build_model(name, num_classes=2, node_features=5, edge_features=3, options=options)
    model(**graph)  # running statistics that are not the initial ones
    save_bundle(
        str(tmp_path), replace(BUNDLE, model_name=name, options=options, node_features=5, edge_features=3), model
    )
    assert torch.equal(load_bundle(str(tmp_path)).build_model()(**graph), model.eval()(**graph))


def test_the_id_is_16_hexadecimal_digits_of_weights_and_manifest(saved: Path, tmp_path: Path) -> None:
    bundle = load_bundle(str(saved))
    again = save_bundle(str(tmp_path / "again"), bundle, bundle.build_model())
    other = save_bundle(str(tmp_path / "other"), replace(bundle, threshold=0.5), bundle.build_model())
    assert len(bundle.model_id) == 16 and int(bundle.model_id, 16) >= 0
    assert again.model_id == bundle.model_id != other.model_id


def test_another_format_version_is_refused_with_the_cure(saved: Path) -> None:
    edit(saved, format_version=2)
    with pytest.raises(BundleError, match=r"bundle format 2; this medray reads 1\. Train the model again"):
        load_bundle(str(saved))


def test_an_edited_manifest_is_refused(saved: Path) -> None:
    path = saved / "bundle.json"
    path.write_text(path.read_text().replace('"threshold": 0.25', '"threshold": 0.75'))
    with pytest.raises(BundleError, match="its hash differs"):
        load_bundle(str(saved))


def test_weights_of_another_model_are_refused(saved: Path) -> None:
    data = bytearray((saved / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (saved / "weights.safetensors").write_bytes(bytes(data))
    with pytest.raises(BundleError, match="its hash differs"):
        load_bundle(str(saved))


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_a_missing_file_is_refused_by_name(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(str(saved))


def test_a_recipe_with_a_field_that_is_not_known_is_refused(saved: Path) -> None:
    recipe = json.loads((saved / "bundle.json").read_text())["recipe"]
    edit(saved, recipe={**recipe, "denoise": True})
    with pytest.raises(BundleError, match="recipe has a field 'denoise' that is unknown here"):
        load_bundle(str(saved))
    edit(saved, recipe={**recipe, "graph": {"regions": 81}})
    with pytest.raises(BundleError, match=r"graph recipe has a field .* that is missing here"):
        load_bundle(str(saved))


def test_a_recipe_without_its_own_id_is_refused(saved: Path) -> None:
    edit(saved, recipe_id="0" * 12)
    with pytest.raises(BundleError, match="does not have the id"):
        load_bundle(str(saved))


def test_text_that_is_no_json_is_refused(saved: Path) -> None:
    (saved / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="no JSON"):
        load_bundle(str(saved))


def test_weights_that_do_not_fit_are_refused(saved: Path) -> None:
    edit(saved, node_features=13)
    with pytest.raises(BundleError, match="do not fit gatedgcn"):
        load_bundle(str(saved)).build_model()


def test_a_bundle_that_is_written_over_is_none_until_it_is_whole(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(str(saved))

    def die(_uri: str, _value: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medray.storage.write_json", die)
    with pytest.raises(KeyboardInterrupt):
        save_bundle(str(saved), bundle, bundle.build_model())
    with pytest.raises(BundleError, match="no finished bundle"):
        load_bundle(str(saved))


def test_a_bundle_lives_in_any_store() -> None:
    model = build_model("cnn", num_classes=2)
    image_bundle = replace(BUNDLE, model_name="cnn", options={}, input_kind="image", node_features=0, edge_features=0)
    saved = save_bundle("memory://models/first", image_bundle, model)
    assert load_bundle("memory://models/first").model_id == saved.model_id
