"""Settings that score by a bundle whose weights are as they were drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.drawn_bundle import drawn_bundle
from medray.image_settings import GraphRecipe
from medray.settings import RaySettings, Recipe, ScoreSettings

RECIPE = Recipe(size=32, graph=GraphRecipe(regions=40))


def drawn_scoring(index: Path, folder: Path) -> Callable[..., ScoreSettings]:
    """`drawn_scoring(index, folder)(out, **changed)`: settings that score an index by such a CNN, in several units."""
    ray = RaySettings(unit_bytes=2 * 2**20)
    drawn_bundle(folder / "bundle", "cnn", RECIPE, classes=("no", "yes"))
    settings = ScoreSettings(str(index), "", str(folder / "bundle"), actors=1, ray=ray)
    return lambda out, **more: replace(settings, out=str(out), **more)
