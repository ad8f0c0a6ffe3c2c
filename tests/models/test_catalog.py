"""medray/models/catalog.py."""

from dataclasses import fields
from typing import get_args

import pytest
import torch
from torch import nn

from medray.errors import SettingsError
from medray.models.catalog import MODELS, build_model
from medray.network_settings import NetworkSettings
from medray.settings import ModelName, Recipe


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"resnet18", "vig", "hybrid"}))
def test_the_small_models_have_about_15_thousand_parameters(name: str) -> None:
    model = build_model(name, num_classes=2, in_channels=1, node_features=12, edge_features=6)
    assert 12_000 <= sum(parameter.numel() for parameter in model.parameters()) <= 18_000


def test_resnet18_has_eleven_million_parameters() -> None:
    model = build_model("resnet18", num_classes=1000, in_channels=3)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512


def test_an_unknown_model_is_refused_with_the_list() -> None:
    with pytest.raises(SettingsError, match=r"'vit'.*cnn, resnet18, vig, deepsets.*gatedgcn.*hybrid"):
        build_model("vit", num_classes=2)


def test_an_unknown_option_is_refused_with_the_list() -> None:
    with pytest.raises(SettingsError, match=r"cnn has no option 'depth'.*widths"):
        build_model("cnn", num_classes=2, options={"depth": 3})


def test_a_graph_model_without_features_is_refused() -> None:
    with pytest.raises(SettingsError, match="widths"):
        build_model("gatedgcn", num_classes=2)


def test_the_settings_name_every_model_and_option() -> None:
    assert set(get_args(ModelName)) == set(MODELS)
    options = {name for family in MODELS.values() for name in family.options}
    assert {field.name for field in fields(NetworkSettings)} == options - {"size"} | {"frame_readout"}


def test_the_recipe_decides_the_options_that_depend_on_the_input() -> None:
    assert MODELS["resnet18"].options_for(Recipe(size=28)) == {"size": 28}
    assert MODELS["cnn"].options_for(Recipe()) == {}


@pytest.mark.parametrize(("name", "options"), [("cnn", {}), ("vig", {"size": 32}), ("resnet18", {"size": 32})])
def test_maps_keep_channels_last_from_the_first_convolution_on(name: str, options: dict[str, int]) -> None:
    model = build_model(name, num_classes=2, options=options).eval()
    maps: list[torch.Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, output: maps.append(output))
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = model(image=image)
    assert maps and all(each.is_contiguous(memory_format=torch.channels_last) for each in maps)
    first = model.to(memory_format=torch.contiguous_format)
    assert torch.allclose(first(image=image), logits, atol=1e-5)
