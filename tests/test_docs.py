"""The pages say what the code says."""

import re
from pathlib import Path

from docs.make_tables import DECODERS, PAGE, decoders_page, page
from medray.cli import VERBS
from medray.models.catalog import MODELS

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_of_tables_is_made_from_the_schemas():
    assert PAGE.read_text() == page(), "run: python docs/make_tables.py"


def test_the_page_of_decoders_is_made_from_the_codecs():
    assert DECODERS.read_text() == decoders_page(), "run: python docs/make_tables.py"


def test_the_readme_names_every_verb_and_model():
    readme = (ROOT / "README.md").read_text()
    assert all(f"medray {verb}" in readme or f"| `{verb}` |" in readme for verb in VERBS)
    assert all(f"`{model}`" in readme for model in MODELS)


def test_every_recipe_file_is_a_settings_file():
    from medray.cli import _flags

    for recipe in sorted((ROOT / "docs" / "recipes").glob("*.yaml")):
        parsed = _flags("train").parse_args(["--config", str(recipe), "--source", "a", "--out", "b"])
        assert parsed.model in MODELS, recipe.name


def test_links_of_the_readme_lead_to_files():
    for target in re.findall(r"\]\(([^)h#][^)]*)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
