"""One Ray, one phantom archive, and the road on it once a session: index, run and predictions that tests read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

RAYS_OWN = ("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray", "ignore::ResourceWarning")
UNIT_BYTES = 2 * 2**20  # several units even of a small archive


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What Ray warns of within itself is no defect of ours."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for rule in RAYS_OWN:
                item.add_marker(pytest.mark.filterwarnings(rule))


@pytest.fixture(scope="session")
def indexed(ray_local, phantoms, tmp_path_factory) -> Path:
    """The index of the phantom archive."""
    from medray.pipelines.index import index
    from medray.settings import IndexSettings

    out = tmp_path_factory.mktemp("road") / "index"
    index(IndexSettings(str(phantoms), str(out), objects_per_task=64))
    return out


@pytest.fixture(scope="session")
def training(indexed, phantoms) -> Callable[..., Any]:
    """`training(out, **changed)`: settings of a small training on the phantom archive; `epochs` is one of them."""
    from medray.label_settings import LabelSettings
    from medray.settings import OptimizerSettings, RaySettings, Recipe, TrainSettings

    settings = TrainSettings(
        str(indexed),
        "",
        labels=LabelSettings(str(phantoms / "labels.csv")),
        recipe=Recipe(size=28),
        ray=RaySettings(unit_bytes=UNIT_BYTES // 8),
    )

    def changed(out: Path, epochs: int = 2, **more: Any) -> TrainSettings:
        optimizer = OptimizerSettings(epochs=epochs, batch_size=8)
        return replace(settings, out=str(out), **({"optimizer": optimizer} | more))

    return changed


@pytest.fixture(scope="session")
def trained(training, tmp_path_factory) -> Path:
    """A finished training of the CNN, two epochs, one seed."""
    from medray.pipelines.train import train

    out = tmp_path_factory.mktemp("road") / "run"
    train(training(out))
    return out


@pytest.fixture(scope="session")
def scoring(indexed, trained) -> Callable[..., Any]:
    """`scoring(out, **changed)`: settings that score the phantom archive."""
    from medray.settings import RaySettings, ScoreSettings

    settings = ScoreSettings(
        str(indexed), "", str(trained / "bundles" / "seed-0"), actors=1, ray=RaySettings(unit_bytes=UNIT_BYTES)
    )
    return lambda out, **more: replace(settings, out=str(out), **more)


@pytest.fixture(scope="session")
def scored(scoring, tmp_path_factory) -> Path:
    """The predictions of the phantom archive."""
    from medray.pipelines.score import score

    out = tmp_path_factory.mktemp("road") / "predictions"
    score(scoring(out, actors=2))
    return out
