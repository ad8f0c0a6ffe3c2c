"""Series, studies and clips scored as samples: each once, provable, repeatable, and as the model answers them."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmarks.drawn_bundle import drawn_bundle
from medray import cli, storage, tables
from medray.archive.identity import load_key
from medray.errors import OutputError, SettingsError
from medray.image_settings import GraphRecipe, SampleRecipe
from medray.models.frame_pooling import FramePooling
from medray.pipelines import waves
from medray.pipelines.index import index
from medray.pipelines.replay import replay
from medray.pipelines.report import report
from medray.pipelines.retry import retry
from medray.pipelines.score import score
from medray.pipelines.verify import verify
from medray.result_settings import ReplaySettings, ReportSettings, RetrySettings
from medray.samples.collate import collate
from medray.samples.isolated import end_decoding_process, prepare_unit
from medray.schema import FRAME_SETS
from medray.settings import IndexSettings, LabelSettings, RaySettings, Recipe, ScoreSettings
from medray.training.bundle import load_bundle
from tests.pipelines.here import without_ray
from tests.series import write_mixed

SAMPLES = {"clip": 16, "series": 6, "study": 4}
"""How many the mixed archive has; the broken file is one of each."""


@pytest.fixture(scope="module", autouse=True)
def here():
    """Nothing in this file starts Ray."""
    with without_ray():
        yield
    end_decoding_process()


@pytest.fixture(scope="module")
def archive(here, tmp_path_factory):
    """The mixed archive and its index, with plain names."""
    folder = tmp_path_factory.mktemp("sets")
    write_mixed(folder / "archive")
    index(IndexSettings(str(folder / "archive"), str(folder / "index"), paths="plain"))
    return folder


def _settings(archive, of, model="cnn", **more):
    recipe = Recipe(size=16, sample=SampleRecipe(of, 4), graph=GraphRecipe(regions=9))
    bundle = archive / f"{model}-{of}"
    if not bundle.exists():
        drawn_bundle(bundle, model, recipe, classes=("no", "yes"))
    out = archive / f"out-{model}-{of}"
    return ScoreSettings(
        str(archive / "index"), str(out), str(bundle), actors=1, ray=RaySettings(unit_bytes=4000), **more
    )


def _rows(uri):
    return {row["sample_id"]: row for row in tables.read_table(str(uri)).to_pylist()}


@pytest.fixture(scope="module", params=[("cnn", of) for of in SAMPLES] + [("gatedgcn", "series")], ids="-".join)
def scored(request, archive):
    """Predictions, in several units."""
    model, of = request.param
    settings = _settings(archive, of, model)
    assert score(settings)["units"] > 2
    return settings, of


def test_each_sample_has_one_row_that_lists_all_of_its_frames(scored):
    settings, of = scored
    rows = _rows(settings.out)
    assert len(rows) == SAMPLES[of] and tables.read_table(settings.out).schema.names == FRAME_SETS.names
    assert sum(row["frames_listed"] for row in rows.values()) == 5 + 3 + 5 + 1 + 9 + 1
    failed = [row for row in rows.values() if row["status"] == "failed"]
    assert {row["reason"] for row in failed} == {"corrupt_header"} | (
        {"pixel_length_mismatch"} if of == "clip" else set()
    )
    for row in rows.values():
        names, weights = row["frame_ids"] or [], row["frame_weights"] or []
        assert len(names) == len(weights) <= 4 and (row["status"] == "ok") == bool(names)
        assert not weights or sum(weights) == pytest.approx(1, abs=1e-5)
        assert (row["object_id"] is None) == (
            (of != "clip" and row["frames_listed"] not in (1, 9)) or len({name.partition(":")[0] for name in names}) > 1
        )
    counts = verify(settings.out)
    assert counts["rows"] == len(rows) and counts["objects"] == 16


def test_the_numbers_are_those_of_the_model_on_each_sample_by_itself(scored):
    settings, _ = scored
    bundle = load_bundle(settings.bundle)
    model, table = bundle.build_model(), tables.read_table(settings.out)
    assert isinstance(model, FramePooling)
    key = load_key(None)
    ok = [row for row in table.to_pylist() if row["status"] == "ok"]
    indexed = tables.read_table(settings.source)
    for row in ok:
        objects = list(dict.fromkeys(name.partition(":")[0] for name in row["frame_ids"]))
        own = indexed.filter(pa.array([name in objects for name in indexed["object_id"].to_pylist()]))
        frames = {
            frame["sample_id"]: frame
            for frame in prepare_unit(
                own, key, replace(bundle.recipe, sample=SampleRecipe()), bundle.input_kind
            ).to_pylist()
        }
        chosen = pa.Table.from_pylist([frames[name] for name in row["frame_ids"]])
        inputs = collate(_typed(chosen), bundle.recipe).inputs
        owner = torch.zeros(len(row["frame_ids"]), dtype=torch.int64)
        with torch.inference_mode():
            logits, weights = model.answer(owner, 1, **inputs)
        np.testing.assert_allclose(row["logits"], logits[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(row["frame_weights"], weights.numpy(), atol=1e-5)


def _typed(frames):
    """Lists as large lists of float32, as they are prepared."""
    if "image" not in frames.column_names or not pa.types.is_list(frames.schema.field("image").type):
        return frames
    place = frames.column_names.index("image")
    return frames.set_column(place, "image", frames["image"].cast(pa.large_list(pa.float32())))


def test_any_sample_is_replayed_bit_by_bit_with_its_weightiest_frames(scored, tmp_path):
    settings, _ = scored
    for name, row in _rows(settings.out).items():
        done = replay(ReplaySettings(settings.out, name, str(tmp_path)))
        assert done["replayed"]["logits"] == done["stored"]["logits"]
        assert done["replayed"]["frame_weights"] == row["frame_weights"]
        page = (tmp_path / f"replay-{name}.html").read_text()
        assert len(re.findall(r"<h3>.*% of the answer", page)) == min(len(row["frame_ids"] or []), 4)


@pytest.mark.parametrize("change", ["lost", "doubled", "other frames"])
def test_a_table_that_lost_doubled_or_shortened_a_sample_is_refused(scored, tmp_path, change):
    settings, _ = scored
    copy = tmp_path / "copy"
    shutil.copytree(settings.out, copy)
    [name] = tables.read_manifest(str(copy))["files"]
    rows = storage.read_parquet(str(copy / name))
    if change == "other frames":
        place = rows.column_names.index("frames_listed")
        counts = pa.array([count + (k == 0) for k, count in enumerate(rows["frames_listed"].to_pylist())], pa.int32())
        rows = rows.set_column(place, rows.schema.field(place), counts)
    else:
        rows = rows.slice(1) if change == "lost" else pa.concat_tables([rows, rows.slice(0, 1)])
    storage.write_parquet(str(copy / name), rows)
    with pytest.raises(OutputError, match="once, with all of its frames"):
        verify(str(copy))


def test_units_that_are_cut_from_several_parts_of_the_index_give_the_same_rows(archive, monkeypatch):
    whole = _settings(archive, "series")
    score(whole)
    monkeypatch.setattr(waves, "PART_ROWS", 4)
    parts = replace(whole, out=str(archive / "parts"))
    score(parts)
    unsettled = ("unit_id",)
    found, wanted = (
        {name: {key: value for key, value in row.items() if key not in unsettled} for name, row in _rows(out).items()}
        for out in (parts.out, whole.out)
    )
    assert found == wanted


def test_groups_of_samples_are_aggregated_upwards_only(archive):
    settings = replace(
        _settings(archive, "series"), out=str(archive / "grouped"), aggregate="max", aggregate_to="study"
    )
    score(settings)
    groups = tables.read_table(f"{settings.out}/_aggregates/study-max").to_pylist()
    assert sorted((row["keyed_by"], row["samples"]) for row in groups) == [
        ("object_id", 1), ("study_key", 1), ("study_key", 2), ("study_key", 2),
    ]  # fmt: skip
    assert verify(settings.out)["aggregates"] == 1
    with pytest.raises(SettingsError, match="below a sample of this bundle, a study"):
        score(replace(_settings(archive, "study"), out="unused", aggregate="mean", aggregate_to="series"))


@pytest.mark.parametrize(
    ("more", "said"),
    [({"explain": "all"}, "--explain is of frames"), ({"batch_size": 0}, "--batch_size is 0")],
)
def test_what_a_sample_of_several_frames_does_not_have_is_refused(archive, more, said):
    with pytest.raises(SettingsError, match=said):
        score(replace(_settings(archive, "series"), out="unused", **more))


def test_bundles_of_different_samples_are_refused_together(archive):
    bundles = [_settings(archive, of).bundle for of in ("series", "study")]
    with pytest.raises(SettingsError, match="A sample is a series .* and a study"):
        score(replace(_settings(archive, "series"), bundle=bundles, out="unused"))


def test_the_mean_of_bundles_and_flips_are_over_samples(archive):
    settings = _settings(archive, "series")
    drawn_bundle(archive / "second", "cnn", load_bundle(settings.bundle).recipe, seed=1, classes=("no", "yes"))
    out = str(archive / "mean")
    score(replace(settings, bundle=[settings.bundle, str(archive / "second")], ensemble="mean", out=out))
    names = {name.partition("-")[0]: name for name in tables.read_table(out)["name"].to_pylist()}
    mean = _rows(f"{out}/{names['ensemble']}")
    each = [_rows(f"{out}/{name}") for name in tables.read_table(out)["name"].to_pylist() if name.startswith("cnn")]
    for name, row in mean.items():
        if row["status"] == "ok":
            expected = np.mean([one[name]["probabilities"] for one in each], axis=0)
            np.testing.assert_allclose(row["probabilities"], expected, atol=1e-6)
            assert row["frame_weights"] is None
    assert verify(out)["tables"] == 3


def test_a_series_whose_objects_were_away_is_scored_again(archive, tmp_path):
    settings = replace(_settings(archive, "series"), out=str(tmp_path / "out"))
    away = sorted((archive / "archive").glob("*-11-2-*.dcm"))
    for path in away:
        path.rename(path.with_suffix(".away"))
    try:
        score(settings)
    finally:
        for path in away:
            path.with_suffix(".away").rename(path)
    assert sorted(row["reason"] for row in _rows(settings.out).values() if row["reason"]) == [
        "corrupt_header",
        "not_found",
    ]
    manifest = retry(RetrySettings(settings.out, ["not_found"]))
    assert manifest["retries"][0]["ok"] == 1 and verify(settings.out)["failed"] == 1
    whole = _rows(_settings(archive, "series").out)
    numbers = {name: row["logits"] for name, row in _rows(settings.out).items()}
    assert numbers == {name: row["logits"] for name, row in whole.items()}


def test_the_report_joins_the_labels_of_objects_to_their_samples(archive, tmp_path, capsys):
    settings = _settings(archive, "series")
    score(settings)
    labels = tmp_path / "labels.csv"
    lines = [("1.2.11.1", "yes"), ("1.2.11.2", "no"), ("1.2.12.1", "yes"), ("1.2.13.1", "no"), ("1.2.13.2", "yes")]
    labels.write_text("series_instance_uid,label\n" + "\n".join(",".join(line) for line in lines) + "\n")
    made = ReportSettings(
        settings.out, str(tmp_path / "report"), labels=LabelSettings(str(labels)), split="all", bootstrap=20
    )
    manifest = report(made)
    metrics = tables.read_table(str(tmp_path / "report")).to_pylist()
    assert {row["samples"] for row in metrics if row["subgroup"] == "all" and row["metric"] == "accuracy"} == {5}
    assert manifest["kind"] == "metrics"


def test_the_command_says_what_it_did(archive, capsys):
    settings = _settings(archive, "series")
    assert cli.main(["score", "--verify", settings.out]) == 0
    assert "6" in capsys.readouterr().out
