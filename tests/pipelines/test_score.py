"""`medray score`: one row a sample, the same logits on every road, finished units never done twice."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from medray import cli, storage, tables
from medray.errors import OutputError
from medray.pipelines import score as room
from medray.pipelines.index import index
from medray.pipelines.score import score
from medray.pipelines.verify import verify
from medray.settings import IndexSettings, RaySettings
from medray.training.bundle import load_bundle

ANSWERS = ["logits", "probabilities", "label"]


def _rows(uri):
    return {row["sample_id"]: row for row in tables.read_table(str(uri)).to_pylist()}


def _times(folder):
    return {path.name: path.stat().st_mtime_ns for path in Path(folder).rglob("*.parquet")}


def _damaged(predictions, folder, change):
    """A copy of predictions whose only file was changed by hand."""
    shutil.copytree(predictions, folder)
    [name] = tables.read_manifest(str(folder))["files"]
    table = change(storage.read_parquet(storage.join(str(folder), name)))
    storage.write_parquet(storage.join(str(folder), name), table)
    manifest = json.loads((folder / tables.MANIFEST).read_text()) | {"rows": table.num_rows}
    (folder / tables.MANIFEST).write_text(json.dumps(manifest))
    return str(folder)


def test_every_frame_of_every_image_has_one_row(indexed, scored):
    wanted = Counter()
    for row in tables.read_table(str(indexed)).to_pylist():
        if row["status"] != "skipped":
            wanted[row["object_id"]] += row["frames"] if row["status"] == "ok" else 1
    found = _rows(scored)
    assert Counter(row["object_id"] for row in found.values()) == wanted
    assert len(found) == tables.read_table(str(scored)).num_rows == wanted.total()


def test_every_failed_row_has_a_reason_and_no_answer_and_every_other_an_answer(scored):
    rows = _rows(scored).values()
    assert {row["status"] for row in rows} == {"ok", "failed"}
    for row in rows:
        ok = row["status"] == "ok"
        assert ok == (row["reason"] is None) == (row["decoder"] is not None)
        assert all((row[name] is not None) == ok for name in ANSWERS)


def test_the_manifest_counts_what_the_rows_say(scored):
    manifest, rows = tables.read_manifest(str(scored)), _rows(scored).values()
    assert manifest["funnel"]["status"] == Counter(row["status"] for row in rows)
    assert sum(manifest["funnel"]["reasons"].values()) == manifest["funnel"]["status"]["failed"]
    assert manifest["units"] == len({row["unit_id"] for row in rows}) > 2


def test_probabilities_sum_to_one_and_the_label_is_that_of_the_threshold(scored, trained):
    bundle = load_bundle(str(trained / "bundles/seed-0"))
    for row in _rows(scored).values():
        if row["status"] == "ok":
            assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
            assert row["label"] == bundle.classes[row["probabilities"][1] >= bundle.threshold]
            assert (row["model_id"], row["recipe_id"]) == (bundle.model_id, bundle.recipe.id())


def test_the_seconds_of_all_stages_are_the_workers_time_and_most_of_it_has_a_name(scored):
    run = tables.read_manifest(str(scored))["run"]
    seconds, actors = run["stage_seconds"], 2
    busy = sum(seconds.values()) - seconds["waiting"]
    assert sum(seconds.values()) <= actors * run["seconds"]
    assert busy - seconds["other"] > 0.5 * busy > 0
    assert (
        all(took >= 0 for took in seconds.values()) and min(seconds[name] for name in ("read", "decode", "write")) > 0
    )
    assert sum(run["stage_shares"].values()) == pytest.approx(1)
    assert run["stage_shares"][run["bottleneck"]] == max(run["stage_shares"].values())


def test_the_summary_of_a_run_counts_what_the_table_and_the_index_say(scored, indexed):
    manifest = tables.read_manifest(str(scored))
    run, rows = manifest["run"], tables.read_table(str(indexed), ["status", "length"]).to_pylist()
    assert (run["images"], run["units"]) == (manifest["rows"], manifest["units"])
    assert {f"failed:{reason}": count for reason, count in run["failures"].items()} == manifest["funnel"]["reasons"]
    assert run["bytes"] == sum(row["length"] for row in rows if row["status"] == "ok")
    assert run["images_per_s"] == pytest.approx(run["images"] / run["seconds"])


def test_a_second_run_does_nothing(scored, scoring):
    before = _times(scored)
    assert score(scoring(scored)) == tables.read_manifest(str(scored))
    assert _times(scored) == before


@pytest.mark.slow
def test_stages_in_actors_of_their_own_give_the_same_rows_exactly(scored, scoring, tmp_path):
    run = score(scoring(tmp_path, stages="actors", price_per_hour=3.0))["run"]
    assert _rows(tmp_path) == _rows(scored)
    assert min(run["stage_seconds"][name] for name in ("read", "decode", "forward", "write")) > 0
    assert run["bytes"] == tables.read_manifest(str(scored))["run"]["bytes"]
    assert run["cost_per_1000_images"] == pytest.approx(3.0 / 3600 * run["seconds"] * 1000 / run["images"])


def test_other_units_and_other_batches_give_the_same_logits(scored, scoring, tmp_path):
    score(scoring(tmp_path, batch_size=3, actors=1, ray=RaySettings(unit_bytes=64 * 2**20)))
    one, other = _rows(scored), _rows(tmp_path)
    assert one.keys() == other.keys()
    for name, row in one.items():
        assert row["status"] == other[name]["status"] and row["reason"] == other[name]["reason"]
        np.testing.assert_allclose(row["logits"] or [], other[name]["logits"] or [], atol=1e-5)


def test_units_of_an_interrupted_run_are_not_done_again(scored, scoring, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(room, "_finish", killed)
        score(scoring(tmp_path))
    with pytest.raises(OutputError, match="not finished"):
        tables.read_table(str(tmp_path))
    first = _times(tmp_path / tables.PARTS)
    lost = sorted(first)[0]
    (tmp_path / tables.PARTS / lost).unlink()
    finish, second = room._finish, {}
    monkeypatch.setattr(
        room, "_finish", lambda *given: second.update(_times(tmp_path / tables.PARTS)) or finish(*given)
    )
    manifest = score(scoring(tmp_path))
    assert manifest["units_this_run"] == manifest["run"]["units"] == 1 < manifest["units"]
    assert {name for name in first if first[name] != second[name]} == {lost}
    assert _rows(tmp_path) == _rows(scored)


def test_another_model_does_not_go_into_the_same_folder(scored, scoring, training, tmp_path):
    from medray.pipelines.train import train

    other = train(training(tmp_path, epochs=1))["bundles"][0]
    with pytest.raises(OutputError, match=r"\(model_id differ\)"):
        score(scoring(scored, bundle=other))


def test_verify_counts_the_rows_of_whole_predictions(scored, capsys):
    assert cli.main(["score", "--verify", str(scored)]) == 0
    assert f"rows {len(_rows(scored)):,}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.slice(1), "1 objects with a wrong count, 0 unknown, 0 doubled"),
        (lambda table: table.take([0, *range(table.num_rows)]), "1 doubled"),
        (lambda table: table.slice(0, 0), "0 doubled"),
    ],
    ids=["a row is missing", "a row is doubled", "all are missing"],
)
def test_verify_finds_damage(scored, tmp_path, capsys, change, said):
    copy = _damaged(scored, tmp_path / "copy", change)
    assert cli.main(["score", "--verify", copy]) == 1
    assert said in capsys.readouterr().err


def test_an_archive_is_indexed_on_the_way(scored, scoring, phantoms, tmp_path):
    score(scoring(tmp_path, source=str(phantoms)))
    answers = [{name: row["logits"] for name, row in _rows(uri).items()} for uri in (scored, tmp_path)]
    assert answers[0] == answers[1]


def test_more_failures_than_allowed_end_with_code_3_and_whole_predictions(scoring, phantoms, tmp_path, capsys):
    shutil.copytree(phantoms / "broken", tmp_path / "archive")
    flags = ["--source", str(tmp_path / "archive"), "--bundle", scoring("").bundle, "--out", str(tmp_path / "out")]
    for _ in ("at first", "and again where it is finished"):
        assert cli.main(["score", *flags, "--ray.cpus", "1", "--actors", "1", "--max_failed_fraction", "0.1"]) == 3
        assert "of the samples failed, more than 10.0%" in capsys.readouterr().err
    assert verify(str(tmp_path / "out"))["failed"] > 0
    assert cli.main(["score", *flags, "--max_failed_fraction", "1"]) == 0


def test_predictions_know_that_their_index_has_been_updated_since(scoring, phantoms, tmp_path):
    shutil.copytree(phantoms / "broken", tmp_path / "archive")
    settings = IndexSettings(str(tmp_path / "archive"), str(tmp_path / "index"))
    index(settings)
    wanted = scoring(tmp_path / "out", source=settings.out)
    score(wanted)
    assert index(settings)["generation"] == 1 and verify(wanted.out)["rows"] > 0
    (tmp_path / "archive" / "garbage.dcm").unlink()
    index(settings)
    with pytest.raises(OutputError, match="its index has been updated since"):
        verify(wanted.out)
    with pytest.raises(OutputError, match="index_generation differ"):
        score(wanted)
