"""Archive and every output in object storage: on moto's server, and the same on a real Ceph (slow)."""

import time

import boto3
import moto.settings
import pytest

from benchmarks.phantoms import make_phantom_archive
from medray import storage, tables
from medray.cli import VERBS, _job_of
from tests.pipelines import road

IDENTICAL = ["object_id", "format", "status", "reason", "length", "patient_key", "transfer_syntax_uid", "rows"]


@pytest.fixture(scope="module")
def on_moto(moto_server, ray_local, phantoms):
    """The road on moto: its root, and how each command ended."""
    root = f"{moto_server.uri}/road"
    road.upload(phantoms, f"{root}/archive")
    commands = road.road(root) | {"pack": ("pack", "--index", f"{root}/index", "--out", f"{root}/packed")}
    return root, {name: road.here(*flags) for name, flags in commands.items()}


@pytest.fixture
def fresh_client():
    """The storage layer reads the environment again, in this test and after it."""
    storage._filesystem.cache_clear()
    yield
    storage._filesystem.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def imported():
    """What a verb imports is no part of the seconds that an error may take."""
    for verb in VERBS:
        _job_of(verb)


def _rows(uri, columns, key):
    return tables.read_table(uri, columns).sort_by(key).to_pylist()


def test_every_command_ends_well(on_moto):
    _, ended = on_moto
    assert {name: done.code for name, done in ended.items()} == dict.fromkeys(ended, 0), ended


def test_the_index_has_the_rows_of_the_same_folder(on_moto, phantoms, tmp_path):
    root, _ = on_moto
    assert road.here("index", "--archive", str(phantoms), "--out", str(tmp_path)).code == 0
    found = _rows(f"{root}/index", IDENTICAL, "object_id")
    assert found == _rows(str(tmp_path), IDENTICAL, "object_id")
    assert sum(row["format"] == "png" and row["status"] == "ok" for row in found) > 10  # most of them in tar and zip


def test_each_sample_is_scored_once(on_moto):
    root, ended = on_moto
    usable = {row["object_id"] for row in _rows(f"{root}/index", ["object_id", "status"], "object_id")
              if row["status"] == "ok"}  # fmt: skip
    rows = _rows(f"{root}/predictions", ["sample_id", "object_id", "status"], "sample_id")
    assert len({row["sample_id"] for row in rows}) == len(rows)
    assert {row["object_id"] for row in rows if row["status"] == "ok"} <= usable
    assert f"rows {len(rows):,}" in ended["verify"].out
    assert not storage.names(storage.join(f"{root}/predictions", tables.PARTS))


def test_the_same_commands_again_read_nothing_and_change_nothing(on_moto):
    root, _ = on_moto
    before = {item.uri: item.etag for item in storage.list_objects(f"{root}/predictions")}
    assert "222 objects unchanged" in road.here(*road.index(root)).err
    assert "finished already" in road.here(*road.train(root)).err
    assert "finished already" in road.here(*road.score(root)).err
    assert before == {item.uri: item.etag for item in storage.list_objects(f"{root}/predictions")}


def test_packed_shards_have_the_scores_of_the_loose_objects(on_moto):
    root, _ = on_moto
    assert road.here(*road.score(root, "packed", "packed-predictions")).code == 0
    columns = ["sample_id", "status", "reason", "label", "probabilities"]
    loose = _rows(f"{root}/predictions", columns, "sample_id")
    packed = _rows(f"{root}/packed-predictions", columns, "sample_id")
    ok = [row for row in packed if row["status"] == "ok"]
    by_id = {row["sample_id"]: row for row in loose if row["status"] == "ok"}
    assert len(ok) == len(by_id) > 48
    for row in ok:
        assert row["label"] == by_id[row["sample_id"]]["label"]
        assert row["probabilities"] == pytest.approx(by_id[row["sample_id"]]["probabilities"], abs=1e-6)


def test_the_page_is_an_object_and_whole(on_moto):
    root, _ = on_moto
    page = storage.read_bytes(f"{root}/report/report.html").decode()
    assert page.rstrip().endswith("</html>") and "<svg" in page


def test_no_credential_stands_in_any_output_object_or_log(on_moto, ray_local, moto_server):
    root, ended = on_moto
    secret = moto_server.secret
    assert not [name for name, done in ended.items() if secret in done.text or "moto-access-key" in done.text]
    objects = [item.uri for item in storage.list_objects(root) if not item.path.startswith("archive/")]
    assert len(objects) > 15
    assert not [uri for uri in objects if secret.encode() in storage.read_bytes(uri)]
    logs = [path for path in ray_local.rglob("*") if path.is_file() and "/logs/" in str(path)]
    assert logs and not [path.name for path in logs if secret.encode() in path.read_bytes()]


def _one_line(done, *words):
    assert done.code == 1 and done.out == ""
    (line,) = done.err.splitlines()
    assert all(word in line for word in words), line
    return line


BROKEN = {"index": road.index, "train": road.train, "score": road.score, "report": road.report}


@pytest.mark.parametrize("verb", BROKEN)
def test_a_missing_bucket_is_one_line_within_seconds(verb, moto_server):
    started = time.monotonic()
    done = road.here(*BROKEN[verb]("s3://medray-no-such-bucket/x"))
    _one_line(done, f"medray {verb}: s3://medray-no-such-bucket/x/", "does not exist (NoSuchBucket)", "Check")
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("verb", BROKEN)
def test_unknown_credentials_are_one_line_within_seconds(verb, moto_server, monkeypatch, fresh_client):
    monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody-knows-me")
    started = time.monotonic()
    line = _one_line(road.here(*BROKEN[verb](moto_server.uri)), "may not be read or written", "Check the credentials")
    assert time.monotonic() - started < 20
    assert "nobody-knows-me" not in line and moto_server.secret not in line


@pytest.mark.parametrize("verb", ["index", "score"])
def test_an_endpoint_that_does_not_answer_is_one_line_within_seconds(verb, moto_server, monkeypatch, fresh_client):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    _one_line(road.here(*BROKEN[verb](moto_server.uri)), "cannot be read or written", "Check the network")
    assert time.monotonic() - started < 30


def test_an_output_in_a_missing_bucket_is_refused_before_anything_is_read(on_moto):
    root, _ = on_moto
    done = road.here("index", "--archive", f"{root}/archive", "--out", "s3://medray-no-such-bucket/x")
    _one_line(done, "medray index: s3://medray-no-such-bucket/x/", "does not exist (NoSuchBucket)")


def test_an_object_that_went_after_the_index_costs_its_own_row(on_moto, phantoms):
    root, _ = on_moto
    other = f"{root}-gone"
    for path in sorted((phantoms / "phantom-000").iterdir()):
        storage.write_bytes(f"{other}/archive/{path.name}", path.read_bytes())
    assert road.here(*road.index(other)).code == 0
    gone = next(storage.list_objects(f"{other}/archive")).uri
    storage.delete(gone)
    bundle = f"{root}/run/bundles/seed-0"
    done = road.here("score", "--source", f"{other}/index", "--bundle", bundle, "--out", f"{other}/predictions")
    rows = tables.read_table(f"{other}/predictions").to_pylist()
    assert done.code == 0 and len(rows) == 4
    assert [row["reason"] for row in rows if row["status"] == "failed"] == ["not_found"]


@pytest.fixture
def ceph_archive(ceph_bucket, tmp_path):
    """560 generated images and what is broken among them, on Ceph; the root."""
    make_phantom_archive(tmp_path / "archive", images=560, size=64, patients=80)
    road.upload(tmp_path / "archive", f"{ceph_bucket.uri}/archive")
    return ceph_bucket.uri


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_road_on_a_real_ceph(ceph_archive, ceph):
    ended = {name: road.apart(*flags) for name, flags in road.road(ceph_archive).items()}
    assert {name: done.code for name, done in ended.items()} == dict.fromkeys(ended, 0), ended
    scored = tables.read_table(f"{ceph_archive}/predictions", ["sample_id", "status"]).to_pylist()
    assert sum(row["status"] == "ok" for row in scored) >= 560
    assert len({row["sample_id"] for row in scored}) == len(scored)
    assert storage.read_bytes(f"{ceph_archive}/report/report.html").rstrip().endswith(b"</html>")
    credentials = (ceph.environment["AWS_ACCESS_KEY_ID"], ceph.environment["AWS_SECRET_ACCESS_KEY"])
    assert not [name for name, done in ended.items() if any(value in done.text for value in credentials)]


@pytest.mark.slow
def test_a_wrong_secret_on_ceph_is_one_line_within_seconds(ceph_bucket, ceph):
    boto3.Session().client("s3").put_object(Bucket=ceph_bucket.name, Key="archive/x.dcm", Body=b"x")
    started = time.monotonic()
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong-secret-0123456789"}
    done = road.apart(*road.index(ceph_bucket.uri), environment=wrong)
    line = _one_line(done, "(SignatureDoesNotMatch)", "Check the credentials")
    assert "wrong-secret" not in line and ceph.environment["AWS_ACCESS_KEY_ID"] not in line
    assert time.monotonic() - started < 40  # a process that has to import everything first
