"""medray/models/catalog.py."""

import pytest

from medray.errors import SettingsError
from medray.models.catalog import MODELS, build_model
from medray.settings import Recipe


@pytest.mark.parametrize("name", ["cnn", "gatedgcn"])
def test_the_small_models_have_about_15_thousand_parameters(name: str) -> None:
    model = build_model(name, num_classes=2, in_channels=1, node_features=12, edge_features=6)
    assert 12_000 <= sum(parameter.numel() for parameter in model.parameters()) <= 18_000


def test_resnet18_has_eleven_million_parameters() -> None:
    model = build_model("resnet18", num_classes=1000, in_channels=3)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(SettingsError, match=r"'vit'.*cnn, resnet18, vig, gatedgcn, hybrid"):
        build_model("vit", num_classes=2)


def test_an_unknown_option_is_refused_with_the_list() -> None:
    with pytest.raises(SettingsError, match=r"cnn has no option 'depth'.*widths"):
        build_model("cnn", num_classes=2, options={"depth": 3})


def test_a_graph_model_without_features_is_refused() -> None:
    with pytest.raises(SettingsError, match="widths"):
        build_model("gatedgcn", num_classes=2)


def test_the_recipe_decides_the_options_that_depend_on_the_input() -> None:
    assert MODELS["resnet18"].options_for(Recipe(size=28)) == {"size": 28}
    assert MODELS["cnn"].options_for(Recipe()) == {}
