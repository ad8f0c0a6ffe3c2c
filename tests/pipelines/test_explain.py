"""`medray score --explain`: a second pass over chosen samples, each explained once, and what the report makes of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from medray import cli, storage, tables
from medray.errors import OutputError, SettingsError
from medray.label_settings import LabelSettings
from medray.pipelines import explain as room
from medray.pipelines.report import report
from medray.pipelines.score import score
from medray.pipelines.verify import verify
from medray.result_settings import ReportSettings

ASKED = {"explain": "top", "explain_top": 9}


@pytest.fixture(scope="module")
def interrupted(scored, scoring, tmp_path_factory) -> Path:
    """Predictions whose explanations were all made, and whose run was killed before it finished their table."""
    out = tmp_path_factory.mktemp("explained") / "predictions"
    shutil.copytree(scored, out)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(room.tables, "finish", killed)
        score(scoring(out, **ASKED))
    return out


@pytest.fixture(scope="module")
def explained(interrupted, scoring) -> Path:
    """The same, finished by the same command, whose actors found nothing to do."""
    with pytest.raises(OutputError, match="not finished"):
        verify(str(interrupted))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "on_actors", None)
        score(scoring(interrupted, **ASKED))
    return interrupted


def _rows(predictions: Path) -> list[dict]:
    return tables.read_table(str(predictions / tables.EXPLANATIONS)).to_pylist()


def test_the_surest_of_each_class_are_explained_once_for_what_they_were_predicted(explained, scored):
    rows = _rows(explained)
    predicted = {row["sample_id"]: row["label"] for row in tables.read_table(str(scored)).to_pylist()}
    answers = [label for label in predicted.values() if label]
    assert len({row["sample_id"] for row in rows}) == len(rows)
    assert len(rows) == sum(min(9, answers.count(name)) for name in set(answers)) == verify(str(explained))["explained"]
    assert all(row["label"] == predicted[row["sample_id"]] and row["status"] == "ok" for row in rows)
    assert {(tuple(row["shape"]), len(row["heat"]), row["method"]) for row in rows} == {((7, 7), 49, "cam")}


def test_the_predictions_themselves_are_untouched(explained, scored):
    [name] = tables.read_manifest(str(scored))["files"]
    assert (explained / name).read_bytes() == (scored / name).read_bytes()


def test_the_same_command_again_does_nothing_and_other_settings_are_refused(explained, scoring, monkeypatch):
    monkeypatch.setattr(room, "explain_predictions", None)
    score(scoring(explained, **ASKED))
    with pytest.raises(OutputError, match="explain_method differ"):
        score(scoring(explained, **ASKED, explain_method="occlusion"))
    with pytest.raises(SettingsError, match="--explain_top is 0"):
        score(scoring(explained, explain="top", explain_top=0))


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda table: table.slice(1), "1 missing"), (lambda table: table.take([0, *range(len(table))]), "1 doubled")],
    ids=["a row is missing", "a row is doubled"],
)
def test_verify_finds_damage(explained, tmp_path, capsys, change, said):
    shutil.copytree(explained, tmp_path / "copy")
    folder = tmp_path / "copy" / tables.EXPLANATIONS
    [name] = tables.read_manifest(str(folder))["files"]
    storage.write_parquet(str(folder / name), change(storage.read_parquet(str(folder / name))))
    assert cli.main(["score", "--verify", str(tmp_path / "copy")]) == 1
    assert said in capsys.readouterr().err


def test_the_report_paints_stored_heat_as_it_would_make_it_again(explained, scored, trained, phantoms, tmp_path):
    labels, bundle = LabelSettings(str(phantoms / "labels.csv")), str(trained / "bundles/seed-0")
    settings = ReportSettings(str(explained), str(tmp_path / "a"), bundle, labels, "all", bootstrap=20, examples=6)
    report(settings)
    report(replace(settings, predictions=str(scored), out=str(tmp_path / "b")))
    pages = [(tmp_path / name / "report.html").read_text() for name in "ab"]
    assert _section(pages[0]) == _section(pages[1])
    assert "LayerCAM" in _section(pages[0]) and "Weights drawn anew" in _section(pages[0])
    _darken(explained, tmp_path / "dark")
    report(replace(settings, predictions=str(tmp_path / "dark"), out=str(tmp_path / "c")))
    assert _section((tmp_path / "c" / "report.html").read_text()) != _section(pages[0])


def _section(page: str) -> str:
    return page[page.index('<h2 id="examples">') : page.index('<h2 id="subgroups">')]


def _darken(predictions: Path, copy: Path) -> None:
    """The same predictions, whose stored heat is none: a report that paints it looks another way."""
    shutil.copytree(predictions, copy)
    folder = copy / tables.EXPLANATIONS
    [name] = tables.read_manifest(str(folder))["files"]
    table = storage.read_parquet(str(folder / name))
    none = [np.zeros(49, np.uint8)] * len(table)
    place = table.column_names.index("heat")
    storage.write_parquet(
        str(folder / name), table.set_column(place, table.schema.field(place), pa.array(none, pa.list_(pa.uint8())))
    )


@pytest.mark.slow
def test_only_the_lost_unit_is_explained_again(scored, scoring, tmp_path, monkeypatch):
    out = tmp_path / "predictions"
    shutil.copytree(scored, out)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(room.tables, "finish", killed)
        score(scoring(out, explain="all"))
    parts = out / tables.EXPLANATIONS / tables.PARTS
    sorted(parts.iterdir())[0].unlink()
    score(scoring(out, explain="all"))
    manifest = tables.read_manifest(str(out / tables.EXPLANATIONS))
    assert manifest["units_this_run"] == 1 < manifest["units"]
    assert verify(str(out))["explained"] == manifest["rows"] == verify(str(scored))["ok"]
