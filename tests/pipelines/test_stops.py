"""The driver of a scoring stopped at each fault point: the same command again ends as if nothing had been (no Ray)."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.phantoms import make_phantom_archive
from medray import faults, storage, tables
from medray.models.catalog import build_model
from medray.pipelines import score as score_room
from medray.pipelines.explain import Explainer
from medray.pipelines.scorer import Scorer
from medray.pipelines.watch import FIRST, Tries
from medray.samples.isolated import end_decoding_process
from medray.settings import RaySettings, Recipe, ScoreSettings
from medray.training.bundle import Bundle, save_bundle
from tests.pipelines.here import without_ray

UNITS = 6
COUNTED = ["unit_id", "rows", "ok", "skipped", "failed", "reasons"]


@pytest.fixture(scope="module", autouse=True)
def in_this_process():
    """Units are done one after the other, here."""
    with without_ray():
        yield
    end_decoding_process()


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Of scoring an archive of several units with random weights, its index beside the output."""
    folder = tmp_path_factory.mktemp("stops")
    make_phantom_archive(folder / "archive", images=24, size=48, patients=6)
    torch.manual_seed(0)
    bundle = Bundle("cnn", {}, "image", 1, 0, 0, ("clear", "nodule"), Recipe(size=16), seed=0)
    save_bundle(str(folder / "bundle"), bundle, build_model("cnn", num_classes=2, in_channels=1))
    ray = RaySettings(unit_bytes=2**20)
    return lambda out: ScoreSettings(str(folder / "archive"), str(out), str(folder / "bundle"), ray=ray)


@pytest.fixture(scope="module")
def undisturbed(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("stops") / "whole"
    assert score_room.score(settings(out))["units"] >= UNITS
    return _rows(out), _names(out)


def _rows(out):
    return tables.read_table(str(out)).sort_by("sample_id").to_pylist()


def _names(out):
    return sorted(str(path.relative_to(out)) for path in Path(out).rglob("*.*"))


def _parts(out):
    return {path.name: path.stat().st_mtime_ns for path in (out / tables.PARTS).glob("*.parquet")}


def _stop(monkeypatch, stage, when):
    monkeypatch.setattr(faults, "FAULTS", faults.faults_of(f"{stage}:stop:{when}"))
    monkeypatch.setattr(faults, "_reached", Counter())


@pytest.mark.parametrize(
    ("stage", "when", "manifest", "parts"),
    [
        ("claimed", 1, False, False),
        ("filed", 1, False, False),  # of the index
        ("finished", 1, False, False),
        ("planned", 1, False, False),
        ("unit", 3, False, True),
        ("finishing", 1, False, True),
        ("filed", 2, False, True),  # of the predictions
        ("finished", 2, True, True),
    ],
)
def test_a_driver_stopped_there_loses_doubles_and_redoes_nothing(
    settings, undisturbed, tmp_path, monkeypatch, stage, when, manifest, parts
):
    out, kept = tmp_path / "out", {}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _stop(patch, stage, when)
        score_room.score(settings(out))
    before = _parts(out)
    assert (storage.exists(str(out / tables.MANIFEST)), bool(before)) == (manifest, parts)
    finish = score_room._finish
    monkeypatch.setattr(score_room, "_finish", lambda *given: kept.update(_parts(out)) or finish(*given))
    units_this_run = score_room.score(settings(out))["units_this_run"]
    if not manifest:
        assert {name: kept[name] for name in before} == before
        assert units_this_run == len(kept) - len(before)
    assert (_rows(out), _names(out)) == undisturbed


@pytest.mark.parametrize("worker", [Scorer, Explainer])
def test_a_finished_unit_that_is_given_again_to_a_restarted_actor_is_left_as_it_is(
    settings, tmp_path, monkeypatch, worker
):
    out, given = tmp_path / "out", []
    once = worker.__call__

    def again(actor, block, tries=FIRST):
        assert tries == FIRST
        first, written = once(actor, block), _parts_of_both(out)
        second = once(actor, block, Tries(maybe_finished=True))
        assert written == _parts_of_both(out)
        given.append(second.select(COUNTED).equals(first.select(COUNTED)))
        return second

    monkeypatch.setattr(worker, "__call__", again)
    score_room.score(replace(settings(out), explain="all"))
    assert len(given) >= UNITS and all(given)


def _parts_of_both(out):
    return _parts(out) | {f"explained {name}": time for name, time in _parts(out / tables.EXPLANATIONS).items()}
