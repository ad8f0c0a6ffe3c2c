"""Whole jobs on a Ceph that answers wrongly, stands still or is killed: the rows are those of an undisturbed run."""

import os
import secrets
import time

import boto3
import pytest
import torch

from benchmarks.phantoms import make_phantom_archive
from medray import storage, tables
from medray.models.catalog import build_model
from medray.pipelines.verify import verify
from medray.settings import Recipe
from medray.training.bundle import Bundle, save_bundle
from tests.faulty_proxy import FaultyProxy
from tests.pipelines import road
from tests.pipelines.processes import Driver, ray_apart

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
AWAY_S = {"gateway stopped": 20, "disk stopped": 20}


@pytest.fixture(scope="module")
def root(ceph, tmp_path_factory):
    """A bucket on Ceph with 160 images, what is broken among them, a bundle, and an undisturbed index and table.

    All commands join one Ray, so that their seconds are those of the work.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ceph.environment.items():
            patch.setenv(name, value)
        storage._filesystem.cache_clear()
        bucket = f"medray-{secrets.token_hex(4)}"
        boto3.Session().client("s3").create_bucket(Bucket=bucket)
        folder = tmp_path_factory.mktemp("faulty") / "archive"
        make_phantom_archive(folder, images=160, size=64, patients=40)
        root = f"s3://{bucket}"
        road.upload(folder, f"{root}/archive")
        torch.manual_seed(0)
        bundle = Bundle("cnn", {}, "image", 1, 0, 0, ("clear", "nodule"), Recipe(size=28), seed=0)
        save_bundle(f"{root}/bundle", bundle, build_model("cnn", num_classes=2, in_channels=1))
        with ray_apart(dict(os.environ)) as address:
            patch.setenv("RAY_ADDRESS", address)
            for command in (_index(root, "undisturbed"), _score(root, "undisturbed")):
                done = road.apart(*command)
                assert done.code == 0, done.text
            yield root
    storage._filesystem.cache_clear()


def _index(root, out):
    return ("index", "--archive", f"{root}/archive", "--out", f"{root}/{out}/index", "--objects_per_task", "16")


def _score(root, out):
    flags = ("score", "--source", f"{root}/{out}/index", "--bundle", f"{root}/bundle", "--out", f"{root}/{out}/scores")
    return (*flags, "--ray.unit_bytes", "40000")


def _assert_equal_rows(root, out):
    for table, key in (("index", "object_id"), ("scores", "sample_id")):
        rows = [tables.read_table(f"{root}/{name}/{table}").sort_by(key).to_pylist() for name in (out, "undisturbed")]
        assert rows[0] == rows[1] and len(rows[0]) > 200
    assert verify(f"{root}/{out}/scores") == verify(f"{root}/undisturbed/scores")


def test_five_percent_of_faulty_requests_cost_no_row(root, ceph):
    with FaultyProxy(ceph.environment["AWS_ENDPOINT_URL"], 0.05) as proxy:
        for command in (_index(root, "faulty"), _score(root, "faulty")):
            done = road.apart(*command, environment={"AWS_ENDPOINT_URL": proxy.endpoint})
            assert done.code == 0, done.text
    assert proxy.faults >= 15 and len(proxy.counts) >= 5
    _assert_equal_rows(root, "faulty")


@pytest.mark.parametrize("what", AWAY_S)
def test_a_ceph_that_goes_away_in_the_middle_costs_time_and_no_row(root, ceph, what):
    out = what.replace(" ", "-")
    for table, command in (("index", _index(root, out)), ("scores", _score(root, out))):
        place = f"{root}/{out}/{table}"
        with Driver(*command, environment=dict(os.environ)) as driver:
            driver.wait_until(lambda place=place: len(tables.finished_parts(place)) >= 2)
            disturbed = time.monotonic()
            back = ceph.take_away(what, AWAY_S[what])
            code = driver.process.wait(400)
            took = time.monotonic() - disturbed
            back.join()
            assert code == 0, driver.errors()
            assert took > AWAY_S[what] * 0.9  # it was in the middle
    _assert_equal_rows(root, out)
