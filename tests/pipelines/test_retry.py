"""`medray retry`: only what failed for the reason is scored again; killed anywhere, the table is the old or the new."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest

from benchmarks.drawn_bundle import drawn_bundle
from medray import cli, storage, tables
from medray.errors import OutputError, SettingsError
from medray.pipelines import retry as room
from medray.pipelines import score as score_room
from medray.pipelines.index import index
from medray.pipelines.replay import replay
from medray.pipelines.retry import retry
from medray.pipelines.score import score
from medray.pipelines.verify import verify
from medray.result_settings import ReplaySettings, RetrySettings
from medray.settings import IndexSettings, RaySettings
from tests.pipelines.bundles import RECIPE, drawn_scoring
from tests.pipelines.here import without_ray

UNIT = RaySettings(unit_bytes=2**20)


def _rows(uri):
    return {row["sample_id"]: row for row in tables.read_table(str(uri)).to_pylist()}


@pytest.fixture(scope="module", autouse=True)
def here():
    """Nothing in this file starts Ray; tests/pipelines/test_score.py does, by the same functions."""
    with without_ray():
        yield


@pytest.fixture(scope="module")
def archive(here, phantoms, tmp_path_factory):
    """Twelve images and what is broken on purpose, with an index whose names are plain."""
    folder = tmp_path_factory.mktemp("retry")
    shutil.copytree(phantoms / "broken", folder / "archive" / "broken")
    for path in sorted(phantoms.rglob("*.dcm"))[:12]:
        shutil.copy(path, folder / "archive" / path.name)
    index(IndexSettings(str(folder / "archive"), str(folder / "index"), paths="plain"))
    return folder


@pytest.fixture(scope="module")
def scoring_drawn(archive, tmp_path_factory):
    """`scoring_drawn(out, **changed)`: settings that score the archive."""
    return drawn_scoring(archive / "index", tmp_path_factory.mktemp("drawn"))


@contextmanager
def four_away(archive):
    """While it lasts four objects are not where the index saw them."""
    readable = [row for row in tables.read_table(str(archive / "index")).to_pylist() if row["status"] == "ok"]
    away = [row["uri"] for row in readable if row["frames"] == 1 and row["member"] is None][::2][:4]
    for uri in away:
        os.rename(uri, f"{uri}.away")
    yield
    for uri in away:
        os.rename(f"{uri}.away", uri)


@pytest.fixture(scope="module")
def half_scored(archive, scoring_drawn):
    """Predictions made while four objects were away: these failed as not_found, and are back."""
    with four_away(archive):
        score(scoring_drawn(archive / "out", ray=UNIT, explain="all"))
    return archive / "out"


@pytest.fixture
def out(half_scored, tmp_path):
    """A copy that a test may change."""
    return str(shutil.copytree(half_scored, tmp_path / "out"))


@pytest.fixture(scope="module")
def undisturbed(archive, scoring_drawn):
    """Rows of a scoring during which nothing was away."""
    score(scoring_drawn(archive / "whole", ray=UNIT))
    return _rows(archive / "whole")


def _of_the_answer(row):
    return {name: value for name, value in row.items() if name != "unit_id"}


def test_what_failed_is_scored_and_every_other_row_stays_bit_for_bit(out, undisturbed):
    before = _rows(out)
    chosen = {row["object_id"] for row in before.values() if row["reason"] == "not_found"}
    manifest = retry(RetrySettings(out, ["not_found"], actors=1, ray=UNIT))
    after = _rows(out)
    assert len(chosen) == 4 and manifest["generation"] == 2
    assert {row["reason"] for row in after.values()} == {row["reason"] for row in before.values()} - {"not_found"}
    for name, row in after.items():
        if row["object_id"] in chosen:
            assert row["status"] == "ok" and row["label"] == undisturbed[name]["label"]
        else:
            assert row == before[name]
    assert after.keys() == undisturbed.keys()
    assert not storage.exists(storage.join(out, room.WORK))


def test_the_manifest_tells_what_was_done_and_the_ledger_adds_up(out, capsys):
    assert cli.main(["retry", out, "--reason", "not_found", "--reason", "read_failed", "--actors", "1"]) == 0
    said, manifest = capsys.readouterr().err, tables.read_manifest(out)
    [run] = manifest["retries"]
    assert (run["reasons"], run["retried"], run["ok"], run["failed"]) == (["not_found", "read_failed"], 4, 4, {})
    assert "retry: 4 samples scored again: ok 4" in said and "retry: samples: listed" in said
    counts = verify(out)
    assert counts["rows"] == manifest["funnel"]["listed"] == counts["ok"] + counts["failed"]


def test_stale_explanations_are_dropped_and_said(out, capsys):
    assert verify(out)["explained"] > 0
    retry(RetrySettings(out, ["not_found"], actors=1, ray=UNIT))
    assert "explained" not in verify(out) and "its explanations were of the rows before" in capsys.readouterr().err


def test_rows_of_a_retry_and_rows_beside_them_replay_bit_equal(out, tmp_path):
    chosen = [row["object_id"] for row in _rows(out).values() if row["reason"] == "not_found"]
    retry(RetrySettings(out, ["not_found"], actors=1, batch_size=3, ray=UNIT))
    rows = [row for row in _rows(out).values() if row["status"] == "ok"]
    again = [row["sample_id"] for row in rows if row["object_id"] in chosen]
    others = [row["sample_id"] for row in rows if row["object_id"] not in chosen]
    for sample in (again[0], again[-1], others[0]):
        assert replay(ReplaySettings(out, sample, str(tmp_path)))["page"]
    assert {setup["batch_size"] for setup in tables.read_manifest(out)["setups"].values()} == {3, 16}


def _killed(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "stage", ["before the parts", "before the merge", "before the manifest", "behind the manifest"]
)
def test_killed_at_any_stage_the_old_table_is_whole_or_the_new_one_and_the_same_command_ends_it(
    out, undisturbed, stage, monkeypatch
):
    before, asked = _rows(out), RetrySettings(out, ["not_found"], actors=1, ray=UNIT)
    write = storage.write_json

    def unwritten(uri, value):
        if uri == storage.join(out, tables.MANIFEST):
            raise KeyboardInterrupt
        write(uri, value)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        places = {
            "before the parts": (room, "run_units", _killed),
            "before the merge": (room, "_merge", _killed),
            "before the manifest": (storage, "write_json", unwritten),
            "behind the manifest": (storage, "delete", _killed),
        }
        patch.setattr(*places[stage])
        retry(asked)
    now = _rows(out)
    assert now == before if stage != "behind the manifest" else now.keys() == undisturbed.keys()
    if stage in ("before the merge", "before the manifest", "behind the manifest"):
        monkeypatch.setattr(room, "run_units", _killed)  # nothing is scored a second time
    manifest = retry(asked)
    assert (manifest["generation"], len(manifest["retries"])) == (2, 1)
    assert {name: row["label"] for name, row in _rows(out).items() if row["status"] == "ok"} == {
        name: row["label"] for name, row in undisturbed.items() if row["status"] == "ok"
    }
    assert sorted(name for name in storage.names(out) if name.endswith(".parquet")) == manifest["files"]
    assert not storage.exists(storage.join(out, room.WORK))


def test_a_second_retry_finds_nothing_and_changes_nothing(out, capsys):
    retry(RetrySettings(out, ["not_found"], actors=1, ray=UNIT))
    before = storage.read_bytes(storage.join(out, tables.MANIFEST))
    retry(RetrySettings(out, ["not_found"], actors=1, ray=UNIT))
    assert storage.read_bytes(storage.join(out, tables.MANIFEST)) == before
    assert "failed for not_found. Failed are: " in capsys.readouterr().err


def test_what_failed_while_it_was_indexed_stays_and_is_said(out, capsys):
    indexed = [
        row for row in tables.read_table(tables.read_manifest(out)["source"]).to_pylist() if row["status"] == "failed"
    ]
    before = _rows(out)
    [run] = retry(RetrySettings(out, ["all"], actors=1, ray=UNIT))["retries"]
    after = _rows(out)
    assert run["failed_while_indexed"] == len(indexed) > 2
    assert all(after[row["object_id"]] == before[row["object_id"]] for row in indexed)
    assert f"{len(indexed)} failed while they were indexed and stay as they are" in capsys.readouterr().err


def test_another_retry_waits_for_the_one_under_way(out, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(room, "_merge", _killed)
        retry(RetrySettings(out, ["not_found"], actors=1, ray=UNIT))
    with pytest.raises(OutputError, match=r"An unfinished retry is there: .*\(reasons differ\).*Finish it by its own"):
        retry(RetrySettings(out, ["all"], actors=1, ray=UNIT))
    assert score_room.check_failures is room.check_failures


@pytest.fixture(scope="module")
def run_over_two(archive, scoring_drawn, tmp_path_factory):
    """A run over two bundles and their mean while four objects were away; the run, and settings of one like it."""
    drawn_bundle(other := tmp_path_factory.mktemp("other") / "bundle", "cnn", RECIPE, 1, classes=("no", "yes"))
    one = scoring_drawn("").bundles
    settings = scoring_drawn(archive / "run", bundle=[*one, str(other)], ensemble="mean", ray=UNIT)
    with four_away(archive):
        score(settings)
    return settings


def test_a_run_over_several_bundles_is_retried_whole_and_its_mean_with_it(run_over_two, archive):
    names = tables.read_table(run_over_two.out, ["name"])["name"].to_pylist()
    before = {row["name"]: row for row in tables.read_table(run_over_two.out).to_pylist()}
    asked = RetrySettings(run_over_two.out, ["not_found"], actors=1, ray=UNIT)
    retry(asked)
    score(replace(run_over_two, out=str(archive / "undisturbed-run")))
    after, wanted = (tables.read_table(uri).to_pylist() for uri in (run_over_two.out, str(archive / "undisturbed-run")))
    assert len(names) == 3
    for row, expected in zip(after, wanted, strict=True):
        assert [row[name] - before[row["name"]][name] for name in ("ok", "failed")] == [4, -4]
        assert [row[name] for name in ("ok", "failed")] == [expected[name] for name in ("ok", "failed")]
        found, other = (
            _rows(storage.join(uri, row["name"])) for uri in (run_over_two.out, f"{archive}/undisturbed-run")
        )
        for name, known in other.items():
            assert (found[name]["status"], found[name]["label"]) == (known["status"], known["label"])
            if known["status"] == "ok":
                assert found[name]["probabilities"] == pytest.approx(known["probabilities"], abs=1e-6)
    assert verify(run_over_two.out)["tables"] == 3
    manifest = storage.read_bytes(storage.join(run_over_two.out, tables.MANIFEST))
    retry(asked)
    assert storage.read_bytes(storage.join(run_over_two.out, tables.MANIFEST)) == manifest


def test_one_table_of_a_run_is_not_retried_alone(run_over_two):
    [name, *_] = tables.read_table(run_over_two.out, ["name"])["name"].to_pylist()
    with pytest.raises(OutputError, match=r"one table of a run over several bundles\. Retry the run: `medray retry "):
        retry(RetrySettings(storage.join(run_over_two.out, name), ["all"]))
    with pytest.raises(SettingsError, match="One --bundle is given for a run over several"):
        retry(RetrySettings(run_over_two.out, ["all"], bundle="anywhere"))


def test_a_word_that_is_no_reason_is_refused_before_any_work(out):
    with pytest.raises(SettingsError, match="There is no reason 'not_fuond'"):
        retry(RetrySettings(out, ["not_fuond"]))


def test_too_many_failures_left_end_with_code_3(out, capsys):
    assert cli.main(["retry", out, "--reason", "not_found", "--actors", "1", "--max_failed_fraction", "0"]) == 3
    assert "of the samples failed, more than 0.0%" in capsys.readouterr().err
    assert verify(out)["failed"] > 0


def test_an_index_that_was_updated_since_is_refused(scoring_drawn, archive, tmp_path):
    shutil.copytree(archive / "archive" / "broken", tmp_path / "archive")
    settings = IndexSettings(str(tmp_path / "archive"), str(tmp_path / "index"))
    index(settings)
    score(scoring_drawn(tmp_path / "out", source=settings.out))
    (tmp_path / "archive" / "garbage.dcm").unlink()
    index(settings)
    with pytest.raises(OutputError, match="has been updated since it was scored"):
        retry(RetrySettings(str(tmp_path / "out"), ["all"]))
