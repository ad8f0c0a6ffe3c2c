"""SIGKILL in the middle of scoring and training real X-rays: the same command again ends as if nothing had been."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest
import torch

from medray import storage, tables
from medray.models.catalog import build_model
from medray.pipelines.units import read_plan_file
from medray.pipelines.verify import verify
from medray.settings import Recipe
from medray.training.bundle import Bundle, save_bundle
from tests.pipelines import road
from tests.pipelines.processes import Driver, end, gone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

IMAGES = 5856
UNIT_BYTES = "300000"


@pytest.fixture(scope="module")
def work(archives, tmp_path_factory):
    """The index of pneumonia_dicom and a bundle with weights as they were drawn; their folder."""
    folder = tmp_path_factory.mktemp("kills")
    done = road.apart("index", "--archive", str(archives("pneumonia_dicom")), "--out", str(folder / "index"))
    assert done.code == 0, done.text
    torch.manual_seed(0)
    bundle = Bundle("cnn", {}, "image", 1, 0, 0, ("normal", "pneumonia"), Recipe(size=28), seed=0)
    save_bundle(str(folder / "bundle"), bundle, build_model("cnn", num_classes=2, in_channels=1))
    return folder


def _score(work: Path, out: Path) -> tuple[str, ...]:
    flags = ("score", "--source", str(work / "index"), "--bundle", str(work / "bundle"), "--out", str(out))
    return (*flags, "--ray.unit_bytes", UNIT_BYTES)


@pytest.fixture(scope="module")
def undisturbed(work):
    """Rows of a run that nobody disturbed."""
    done = road.apart(*_score(work, work / "undisturbed"))
    assert done.code == 0, done.text
    assert all(line.startswith("score: ") for line in done.err.splitlines()), done.err  # none of Ray's own lines
    return _sorted_rows(work / "undisturbed")


def _sorted_rows(out: Path) -> list[dict]:
    return tables.read_table(str(out)).sort_by("sample_id").to_pylist()


def _parts(out: Path) -> dict[str, tuple[int, str]]:
    """Time of writing and content of each part file."""
    found = {}
    for path in (out / tables.PARTS).glob("part-*.parquet"):
        found[path.name] = (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def _count(out: Path) -> int:
    return len(tables.finished_parts(str(out)))


def _assert_whole(out: Path, undisturbed: list[dict]) -> None:
    assert verify(str(out)) == {"objects": IMAGES, "rows": IMAGES, "ok": IMAGES, "failed": 0, "skipped": 0}
    assert _sorted_rows(out) == undisturbed


def _finish_and_watch(work: Path, out: Path, kept: dict) -> str:
    """Run the command to its end; the parts of before are neither touched nor done again. What it said."""
    with Driver(*_score(work, out)) as driver:
        driver.wait_until(lambda: _count(out) > len(kept) + 2)
        now = _parts(out)
        assert {name: now[name] for name in kept} == kept
        assert driver.process.wait(240) == 0
        return driver.errors()


def test_a_killed_scoring_driver_costs_nothing_that_was_finished(work, undisturbed):
    out = work / "driver-killed"
    with Driver(*_score(work, out)) as driver:
        driver.wait_until(lambda: _count(out) >= 5)
        driver.kill()
        assert gone({pid for pid, name in driver.seen.items() if "raylet/raylet" in name}, within_s=30)
    assert not storage.exists(str(out / tables.MANIFEST))
    kept = _parts(out)
    units = len(read_plan_file(str(out), 0))
    assert units >= 20 and 5 <= len(kept) < units
    said = _finish_and_watch(work, out, kept)
    assert f"{len(kept)} units are finished already" in said
    assert tables.read_manifest(str(out))["units_this_run"] == units - len(kept)
    _assert_whole(out, undisturbed)


def test_a_killed_worker_costs_its_unit_and_the_run_goes_on(work, undisturbed):
    out = work / "worker-killed"
    with Driver(*_score(work, out)) as driver:
        driver.wait_until(lambda: _count(out) >= 3)
        workers = [pid for pid, name in driver.below().items() if "ray::MapWorker" in name]
        assert workers
        end(workers[:1])
        assert driver.process.wait(300) == 0, driver.errors()
    _assert_whole(out, undisturbed)


def _train(archive: Path, work: Path, out: Path) -> tuple[str, ...]:
    flags = ("train", "--source", str(work / "index"), "--labels.file", str(archive / "labels.csv"), "--out", str(out))
    return (*flags, "--recipe.size", "28", "--optimizer.epochs", "6", "--cache", str(work / "cache"))


def test_a_killed_training_goes_on_from_its_checkpoint_to_the_same_weights(archives, work):
    archive, out = archives("pneumonia_dicom"), work / "killed-run"
    with Driver(*_train(archive, work, out)) as driver:
        history = out / "seed-0" / "history.parquet"
        driver.wait_until(lambda: history.exists() and len(storage.read_parquet(str(history))) >= 2)
        driver.kill()
    assert not (out / "bundles").exists()
    again = road.apart(*_train(archive, work, out))
    assert again.code == 0, again.text
    assert int(re.search(r"goes on after epoch (\d+)", again.err)[1]) >= 1
    assert tables.read_table(str(out))["epoch"].to_pylist() == list(range(6))
    whole = road.apart(*_train(archive, work, work / "whole-run"))
    assert whole.code == 0, whole.text
    weights = [(work / run / "bundles" / "seed-0" / "weights.safetensors") for run in ("killed-run", "whole-run")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    shutil.rmtree(work / "cache")
