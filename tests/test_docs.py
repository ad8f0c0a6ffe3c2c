"""The pages say what the code says."""

import re
from pathlib import Path

import pytest

from docs.make_comparison import PAGE as COMPARISON
from docs.make_comparison import page as comparison_page
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


def _pixel_values():
    return (ROOT / "docs" / "pixel-values.md").read_text()


def test_every_test_that_proves_a_pixel_value_exists():
    named = re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", _pixel_values())
    missing = [name for file, name in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()]
    assert missing == [] and len(named) > 80


def test_every_flag_and_reason_of_a_pixel_value_is_one_that_medray_gives():
    sources = "".join(path.read_text() for path in (ROOT / "medray").rglob("*.py"))
    named = {name for row in _table_rows() for name in re.findall(r"`(\w+)`", row[-2])}
    assert {name for name in named if not re.search(rf'"{name}[":]', sources)} == set() and len(named) > 40


def test_all_38_items_of_pixel_values_have_a_test():
    rows = [row for row in _table_rows() if row[0].isdigit()]
    assert [int(row[0]) for row in rows] == list(range(1, 39))
    assert all("::test_" in row[-1] for row in _table_rows())


def _table_rows():
    lines = [line for line in _pixel_values().splitlines() if line.startswith("|") and "::test_" in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_links_of_the_readme_lead_to_files():
    for target in re.findall(r"\]\(([^)h#][^)]*)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_the_pictures_can_be_drawn(tmp_path, monkeypatch):
    from docs import make_graph_pictures, make_pictures

    image = tmp_path / "image.png"
    image.write_bytes(make_pictures.chest().encoded_frames[0])
    monkeypatch.setattr("sys.argv", ["", str(image), str(tmp_path / "out")])
    make_graph_pictures.main()
    assert len(list((tmp_path / "out").glob("graphs-*.png"))) == 5
    monkeypatch.setattr("sys.argv", ["", str(tmp_path / "missing"), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="No such file.*Give an image and a folder"):
        make_pictures.main()


def test_the_page_of_the_comparison_is_made_from_the_results():
    assert COMPARISON.read_text() == comparison_page(), "run: python docs/make_comparison.py"
