"""`medray replay`: the stored numbers come out again, bit by bit, and what keeps them from it is named."""

import json
import os
import shutil

import pyarrow as pa
import pytest

from benchmarks.drawn_bundle import drawn_bundle
from medray import cli, storage, tables
from medray.errors import BundleError, DifferentError, OutputError, SettingsError
from medray.pipelines import replay as room
from medray.pipelines.index import index
from medray.pipelines.replay import replay
from medray.pipelines.score import score
from medray.pipelines.stored import stored_row
from medray.result_settings import ReplaySettings
from medray.settings import IndexSettings, RaySettings
from tests.pipelines.bundles import RECIPE, drawn_scoring
from tests.pipelines.here import without_ray

MODELS = [("cnn", "classify"), ("gatedgcn", "classify"), ("resnet18", "classify"), ("hybrid", "classify")]
MODELS += [("sage", "segment")]
BATCH = 5
ONE_UNIT = RaySettings(unit_bytes=64 * 2**20)


def _rows(uri):
    return tables.read_table(str(uri)).to_pylist()


def _ok(uri):
    return [row["sample_id"] for row in _rows(uri) if row["status"] == "ok"]


@pytest.fixture(scope="module", autouse=True)
def here():
    """Nothing in this file starts Ray."""
    with without_ray():
        yield


@pytest.fixture(scope="module")
def indexed(here, phantoms, tmp_path_factory):
    out = tmp_path_factory.mktemp("replay") / "index"
    index(IndexSettings(str(phantoms), str(out)))
    return out


@pytest.fixture(scope="module")
def scoring_drawn(indexed, tmp_path_factory):
    """`scoring_drawn(out, **changed)`: settings that score the phantom archive."""
    return drawn_scoring(indexed, tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def scored(scoring_drawn, tmp_path_factory):
    """The phantom archive in several units."""
    out = tmp_path_factory.mktemp("replay") / "predictions"
    score(scoring_drawn(out))
    return out


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: "-".join(model))
def predictions(request, scoring_drawn, tmp_path_factory):
    """The phantom archive, scored in batches of five by models with weights as they were drawn."""
    name, task = request.param
    folder = tmp_path_factory.mktemp(name)
    more = {"probabilities": True} if task == "segment" else {}
    drawn_bundle(folder / "bundle", name, RECIPE, task=task, classes=("no", "yes"))
    score(scoring_drawn(folder / "out", bundle=str(folder / "bundle"), batch_size=BATCH, ray=ONE_UNIT, **more))
    return folder / "out"


def test_the_numbers_of_samples_at_any_place_of_their_batch_come_out_in_every_bit(predictions, tmp_path):
    ids = _ok(predictions)
    for sample in (ids[0], ids[BATCH + 2], ids[2 * BATCH - 1], ids[-1]):
        done = replay(ReplaySettings(str(predictions), sample, str(tmp_path)))
        numbers = [name for name in ("logits", "probabilities", "run_lengths") if name in done["stored"]]
        assert len(numbers) == 2 and all(done["replayed"][name] == done["stored"][name] != [] for name in numbers)


def test_a_failed_sample_fails_again_for_the_same_reason(scored, tmp_path, capsys):
    [sample, *_] = [row["sample_id"] for row in _rows(scored) if row["status"] == "failed" and ":" in row["sample_id"]]
    assert cli.main(["replay", str(scored), sample, "--out", str(tmp_path)]) == 0
    assert "Bit-equal to what is stored." in capsys.readouterr().out


def _copied(predictions, folder, change):
    """A copy of predictions whose rows were changed by hand."""
    shutil.copytree(predictions, folder)
    [name] = tables.read_manifest(str(folder))["files"]
    rows = storage.read_parquet(storage.join(str(folder), name))
    storage.write_parquet(storage.join(str(folder), name), pa.Table.from_pylist(change(rows.to_pylist()), rows.schema))
    return str(folder)


def test_one_flipped_bit_ends_with_code_4_and_a_page_that_says_so(scored, tmp_path, capsys):
    def flipped(rows):
        row = next(row for row in rows if row["status"] == "ok")
        row["logits"][1] += abs(row["logits"][1]) * 2e-7
        return rows

    copy = _copied(scored, tmp_path / "copy", flipped)
    assert cli.main(["replay", copy, _ok(copy)[0], "--out", str(tmp_path)]) == 4
    said = capsys.readouterr()
    assert "logits of" in said.err and "Nothing that medray records differs" in said.err
    assert said.out.count("DIFFERS") == 1 and "Not what is stored: logits." in said.out
    assert "Not what is stored: logits." in (tmp_path / f"replay-{_ok(copy)[0].replace(':', '-')}.html").read_text()


def test_other_libraries_and_another_cpu_are_named_where_numbers_differ(scored, tmp_path):
    def flipped(rows):
        return [row | {"logits": [value + 1 for value in row["logits"]]} if row["logits"] else row for row in rows]

    copy = _copied(scored, tmp_path / "copy", flipped)
    manifest = json.loads((tmp_path / "copy" / tables.MANIFEST).read_text())
    [setup] = manifest["setups"].values()
    setup["libraries"]["numba"], setup["cpu"] = "0.1", "another"
    (tmp_path / "copy" / tables.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DifferentError, match=r"cpu: another then, .* now\. numba: 0\.1 then, \d"):
        replay(ReplaySettings(copy, _ok(copy)[0], str(tmp_path)))


def test_the_batch_is_the_part_of_the_unit_that_went_through_the_model_together(scored):
    manifest, rows = tables.read_manifest(str(scored)), [row for row in _rows(scored) if row["status"] == "ok"]
    for row in rows[::15]:
        unit = [other["sample_id"] for other in rows if other["unit_id"] == row["unit_id"]]
        start = unit.index(row["sample_id"]) // 16 * 16
        assert stored_row(str(scored), row["sample_id"], manifest).batch == unit[start : start + 16]


def test_the_page_shows_image_graph_and_heat_and_fetches_nothing(predictions, tmp_path):
    done = replay(ReplaySettings(str(predictions), _ok(predictions)[1], str(tmp_path)))
    page = storage.read_bytes(done["page"]).decode()
    titles = ["Image", *(["Region graph"] if "-graph-" in page or "edges" in page else [])]
    wanted = [*titles, "Mask" if "run_lengths" in done["stored"] else "Heat"]
    assert page.count('<img src="data:image/png;base64,') == len(wanted) and all(
        f"<h3>{name}" in page for name in wanted
    )
    assert "://" not in page and 'src="/' not in page


@pytest.fixture
def own(scoring_drawn, phantoms, tmp_path):
    """Predictions of a few images that a test may change; the archive, the predictions."""
    archive = tmp_path / "archive"
    archive.mkdir()
    for path in sorted(phantoms.rglob("*.dcm"))[:8]:
        shutil.copy(path, archive / path.name)
    index(IndexSettings(str(archive), str(tmp_path / "index"), paths="plain"))
    score(scoring_drawn(tmp_path / "out", source=str(tmp_path / "index"), ray=ONE_UNIT))
    return archive, str(tmp_path / "out")


def test_an_object_that_has_changed_since_is_refused_and_so_is_one_that_is_gone(own, tmp_path):
    _, out = own
    row = next(row for row in _rows(out) if row["status"] == "ok")
    os.utime(row["uri"], ns=(1, 1))
    with pytest.raises(OutputError, match=f"has changed since it was scored: its etag was {row['etag']} and is "):
        replay(ReplaySettings(out, row["sample_id"], str(tmp_path)))
    os.unlink(row["uri"])
    with pytest.raises(OutputError, match="and is gone"):
        replay(ReplaySettings(out, row["sample_id"], str(tmp_path)))


def test_a_neighbour_that_is_gone_is_stood_in_for_and_said(own, tmp_path, capsys):
    _, out = own
    one, other = [row for row in _rows(out) if row["status"] == "ok"][:2]
    os.unlink(other["uri"])
    replay(ReplaySettings(out, one["sample_id"], str(tmp_path)))  # a model of images: the shape decides, not the pixels
    assert "samples beside it have changed or are gone" in capsys.readouterr().out


def test_the_bundle_is_found_where_it_lay_or_named_with_the_cure(own, scoring_drawn, tmp_path):
    _, out = own
    sample = _ok(out)[0]
    shutil.copytree(scoring_drawn("").bundle, tmp_path / "moved")
    manifest = tables.read_manifest(out)
    elsewhere = {"scored_with": manifest["scored_with"] | {"bundle": [str(tmp_path / "nowhere")]}}
    (tmp_path / "out" / tables.MANIFEST).write_text(json.dumps(manifest | elsewhere))
    with pytest.raises(BundleError, match=f"not where it lay when it scored: .*Give --bundle .*{manifest['model_id']}"):
        replay(ReplaySettings(out, sample, str(tmp_path)))
    replay(ReplaySettings(out, sample, str(tmp_path), bundle=str(tmp_path / "moved")))
    drawn_bundle(tmp_path / "other", "deepsets", RECIPE)
    with pytest.raises(BundleError, match="the predictions are of another"):
        replay(ReplaySettings(out, sample, str(tmp_path), bundle=str(tmp_path / "other")))


def test_what_is_no_sample_or_no_predictions_or_of_another_key_is_refused(scored, indexed, tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="has no sample abc:0. `medray paths --table"):
        replay(ReplaySettings(str(scored), "abc:0", str(tmp_path)))
    with pytest.raises(OutputError, match="is a table of index"):
        replay(ReplaySettings(str(indexed), "abc:0", str(tmp_path)))
    monkeypatch.setenv("MEDRAY_KEY", "another-key-0123456789")
    with pytest.raises(SettingsError, match="was made with another key"):
        replay(ReplaySettings(str(scored), _ok(scored)[0], str(tmp_path)))


def test_no_ray_is_started(scored, tmp_path, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "init", None)
    monkeypatch.setattr(ray, "remote", None)
    assert replay(ReplaySettings(str(scored), _ok(scored)[0], str(tmp_path)))["page"]
    assert not hasattr(room, "cluster")
