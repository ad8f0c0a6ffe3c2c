"""`medray score --bundle A --bundle B`: one pass, a table for each and for their mean, each sample once in all."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.drawn_bundle import drawn_bundle
from medray import cli, storage, tables
from medray.errors import OutputError
from medray.image_settings import GraphRecipe
from medray.pipelines import score as room
from medray.pipelines.score import score
from medray.pipelines.verify import verify
from medray.settings import Recipe
from tests.pipelines import road

SIDE_BY_SIDE = {"ensemble": "mean", "aggregate": "mean", "actors": 2}


@pytest.fixture(scope="module")
def bundles(trained, tmp_path_factory):
    """Folders of the trained CNN and of a graph network on another recipe, whose weights are random."""
    folder = tmp_path_factory.mktemp("bundles") / "graph"
    drawn_bundle(folder, "gatedgcn", Recipe(size=32, graph=GraphRecipe(regions=16)), threshold=0.5)
    return [str(trained / "bundles/seed-0"), str(folder)]


@pytest.fixture(scope="module")
def several(scoring, bundles, tmp_path_factory):
    """The output of both bundles, their mean, their patients and heat."""
    out = tmp_path_factory.mktemp("several") / "out"
    score(scoring(out, bundle=bundles, explain="top", explain_top=2, **SIDE_BY_SIDE))
    return out


def _rows(uri):
    return tables.read_table(str(uri)).sort_by("sample_id").to_pylist()


def _tables(out):
    return [out / name for name in tables.read_table(str(out))["name"].to_pylist()]


def _times(folder):
    return {str(path): path.stat().st_mtime_ns for path in Path(folder).rglob("*.parquet")}


def _heated(uri):
    return tables.read_table(str(uri / tables.EXPLANATIONS)).num_rows


def _chances(rows):
    return np.array([row["probabilities"] for row in rows if row["probabilities"]])


def test_a_bundle_answers_beside_others_as_it_does_alone(several, scored):
    cnn, graph, mean = (_rows(uri) for uri in _tables(several))
    assert cnn == _rows(scored)
    assert (
        [row["sample_id"] for row in graph] == [row["sample_id"] for row in mean] == [row["sample_id"] for row in cnn]
    )
    np.testing.assert_allclose(_chances(mean), (_chances(cnn) + _chances(graph)) / 2, atol=1e-6)


def test_the_manifests_count_loads_and_there_are_as_many_as_actors(several):
    for uri in (several, *_tables(several)):
        manifest = tables.read_manifest(str(uri))
        assert 1 <= manifest["actors"] <= 2 and manifest["restarts"] == 0
        assert manifest["units"] > 2 * manifest["actors"]  # a model loaded for each unit would show
        assert list(manifest["model_loads"].values()) == [manifest["actors"]] * 2


def test_the_output_lists_its_tables_and_all_of_them_are_proved(several, scored, capsys):
    alone = verify(str(scored))
    counts = verify(str(several))
    assert (counts["tables"], counts["rows"], counts["objects"]) == (3, 3 * alone["rows"], alone["objects"])
    assert counts["aggregates"] == 3 and counts["explained"] == sum(_heated(uri) for uri in _tables(several)[:2])
    assert cli.main(["score", "--verify", str(several)]) == 0
    assert "verified: tables 3" in capsys.readouterr().out
    listed = tables.read_table(str(several)).to_pylist()
    assert [row["rows"] for row in listed] == [alone["rows"]] * 3
    assert listed[2]["mean_over"] == sorted(row["model_id"] for row in listed[:2])


def test_one_table_that_lost_a_row_is_found_from_the_output(several, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(several, copy)
    uri = _tables(copy)[1]
    _without_first_row(uri)
    with pytest.raises(OutputError, match="1 objects with a wrong count"):
        verify(str(copy))


def _without_first_row(uri):
    [name] = tables.read_manifest(str(uri))["files"]
    table = storage.read_parquet(str(uri / name)).slice(1)
    storage.write_parquet(str(uri / name), table)
    manifest = json.loads((uri / tables.MANIFEST).read_text()) | {"rows": table.num_rows}
    (uri / tables.MANIFEST).write_text(json.dumps(manifest))


def test_every_patient_is_a_row_and_one_that_is_missing_is_found(several, tmp_path):
    uri = _tables(several)[0]
    groups = tables.read_table(str(uri / tables.AGGREGATES / "patient-mean")).to_pylist()
    rows = _rows(uri)
    assert sum(group["samples"] for group in groups) == len(rows)
    assert sum(group["failed"] for group in groups) == sum(row["status"] == "failed" for row in rows) > 0
    known = {group["group_key"]: group for group in groups if group["keyed_by"] == "patient_key"}
    assert known.keys() == {row["patient_key"] for row in rows if row["patient_key"]}
    one = next(group for group in known.values() if group["ok"] > 1)
    own = [row["probabilities"] for row in rows if row["patient_key"] == one["group_key"] and row["probabilities"]]
    np.testing.assert_allclose(one["probabilities"], np.mean(own, axis=0), atol=1e-6)
    shutil.copytree(uri, tmp_path / "copy")
    _without_first_row(tmp_path / "copy" / tables.AGGREGATES / "patient-mean")
    with pytest.raises(OutputError, match="each group of its predictions once"):
        verify(str(tmp_path / "copy"))


def test_the_same_command_does_nothing_again_and_another_rule_adds_a_table(scoring, bundles, several):
    before = _times(several)
    asked = scoring(several, bundle=bundles, explain="top", explain_top=2, **SIDE_BY_SIDE)
    assert score(asked) == tables.read_manifest(str(several)) and _times(several) == before
    more = scoring(several, bundle=bundles, **SIDE_BY_SIDE | {"aggregate": "max", "aggregate_to": "study"})
    score(more)
    added = {path for path in _times(several).keys() - before.keys() if "study-max" in path}
    assert len(added) == 3 and {**before, **_times(several)}.items() >= before.items()
    for path in added:
        shutil.rmtree(Path(path).parent)


def test_other_bundles_do_not_go_into_the_same_folder(scoring, bundles, several):
    with pytest.raises(OutputError, match=r"\(model_id differ\)"):
        score(scoring(several, bundle=bundles[0]))


def test_a_run_that_ended_between_two_parts_or_two_tables_goes_on(scoring, bundles, several, tmp_path, monkeypatch):
    asked = scoring(tmp_path, bundle=bundles, ensemble="mean")
    finish = room._finish

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "_finish", killed)
    with pytest.raises(KeyboardInterrupt):
        score(asked)
    names = [path.name for path in _tables(several)]
    parts = sorted((tmp_path / names[1] / tables.PARTS).glob("part-*.parquet"))
    same = tmp_path / names[0] / tables.PARTS / parts[0].name
    parts[0].unlink()  # as if the run had been killed between two PUTs of a unit
    written, units = same.read_bytes(), len(parts)
    done = []

    def killed_at_the_second(output, facts):
        assert same.exists() is (not done) and (done or same.read_bytes() == written)
        done.append((output.name, len(facts.ledger)))
        return finish(output, facts) if len(done) == 1 else killed()

    monkeypatch.setattr(room, "_finish", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        score(asked)
    assert done == [(names[0], 1), (names[1], 1)] and units > 2
    with pytest.raises(OutputError, match="not finished"):
        verify(str(tmp_path))
    first = _times(tmp_path / names[0])
    monkeypatch.setattr(room, "_finish", finish)
    manifest = score(asked)
    assert manifest["units_this_run"] == 0 and _times(tmp_path / names[0]) == first
    assert verify(str(tmp_path))["tables"] == 3
    assert [_rows(tmp_path / name) for name in names] == [_rows(several / name) for name in names]


def test_heat_is_of_each_bundle_and_a_mean_has_none(several):
    cnn, graph, mean = _tables(several)
    assert 2 <= _heated(cnn) <= 4 and 2 <= _heated(graph) <= 4  # two of each class that is answered at all
    assert not (mean / tables.EXPLANATIONS).exists()


def test_a_report_is_of_one_table_and_says_so(several, phantoms, tmp_path):
    mean = _tables(several)[2]
    flags = ("--labels.file", str(phantoms / "labels.csv"), "--split", "all", "--bootstrap", "20")
    done = road.here("report", "--predictions", str(mean), *flags, "--out", str(tmp_path / "report"))
    assert done.code == 0, done.text
    assert (tmp_path / "report" / "report.html").exists()
    for uri in (several, mean / tables.AGGREGATES / "patient-mean"):
        refused = road.here("report", "--predictions", str(uri), *flags, "--out", str(tmp_path / "other"))
        assert refused.code == 1 and "is a table of" in refused.err and refused.err.count("\n") == 1


@pytest.mark.slow
def test_stages_in_actors_of_their_own_give_the_same_rows(scoring, bundles, several, tmp_path):
    score(scoring(tmp_path, bundle=bundles, ensemble="mean", stages="actors"))
    assert [_rows(uri) for uri in _tables(tmp_path)] == [_rows(uri) for uri in _tables(several)]


def test_flips_go_into_the_output_itself_and_are_another_model(scoring, bundles, scored, tmp_path):
    manifest = score(scoring(tmp_path, test_time_flips="left_right"))
    plain = tables.read_manifest(str(scored))
    assert manifest["mean_over"] == [plain["model_id"]] and manifest["model_id"] != plain["model_id"]
    assert manifest["test_time_flips"] == "left_right" and manifest["threshold"] == plain["threshold"]
    assert [row["status"] for row in _rows(tmp_path)] == [row["status"] for row in _rows(scored)]
    assert 0 < np.abs(_chances(_rows(tmp_path)) - _chances(_rows(scored))).max() < 1
