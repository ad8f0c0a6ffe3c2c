"""Each request through a proxy that answers wrongly: bytes are equal or there is a clear error, never half a body."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from medray import storage
from medray.archive.sources import fetch
from medray.errors import CredentialsError, NotFoundError, Reason, SampleError, StorageError, UnavailableError
from medray.s3 import S3Store, ShortBodyError, check_whole
from tests.faulty_proxy import FAULTS, FaultyProxy

DATA = bytes(range(256)) * 40


@pytest.fixture
def through(moto_server, monkeypatch, fresh_client):
    """`through(proxy)` leads this test's requests through a proxy in front of moto, with short waits."""
    monkeypatch.setattr(S3Store, "window_s", 0.3)

    def lead(proxy):
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        storage._filesystem.cache_clear()
        return f"{moto_server.uri}/faulty-{time.monotonic_ns()}"

    return lead


@pytest.fixture
def proxy(moto_server):
    """A proxy that passes everything on until it is told otherwise."""
    with FaultyProxy(moto_server.endpoint) as proxy:
        proxy.delay_s = 0.05
        yield proxy


def _everything(folder, count=8):
    """Write, read, list and delete `count` objects; each must come out right."""
    uris = [f"{folder}/{number}" for number in range(count)]
    for number, uri in enumerate(uris):
        storage.write_bytes(uri, bytes([number]) + DATA)
    for number, uri in enumerate(uris):
        assert storage.read_bytes(uri) == bytes([number]) + DATA
        assert storage.read_bytes(uri, 1001, 500) == DATA[1000:1500]
    assert sorted(item.uri for item in storage.list_objects(folder)) == sorted(uris)
    assert storage.names(folder) == sorted(str(number) for number in range(count))
    with storage.arrow_filesystem(uris[0])[0].open_input_file(uris[0].removeprefix("s3://")) as file:
        file.seek(1)
        assert file.read(5000) == DATA[:5000]
    storage.delete(folder)
    assert storage.names(folder) == [] and not storage.exists(uris[0])


@pytest.mark.parametrize("kind", [*FAULTS, "undeleted"])
def test_nothing_is_lost_where_a_third_of_the_requests_fails(through, moto_server, kind):
    with FaultyProxy(moto_server.endpoint, 0.3, (kind,), seed=3) as proxy:
        proxy.delay_s = 0.05
        _everything(through(proxy))
    assert proxy.counts[kind] >= 5


def test_half_a_body_is_never_handed_on(through, proxy, monkeypatch):
    uri = f"{through(proxy)}/x"
    storage.write_bytes(uri, DATA)
    monkeypatch.setattr(S3Store, "patience_s", 0.5)
    proxy.share, proxy.kinds = 1.0, ("cut",)
    with pytest.raises(StorageError):
        storage.read_bytes(uri)
    assert proxy.counts["cut"] > 1


@pytest.mark.parametrize(
    ("size", "length", "asked", "given", "whole"),
    [
        (100, 100, "", None, True),
        (99, 100, "", None, False),
        (10, 10, "bytes=5-14", "bytes 5-14/100", True),
        (10, 10, "bytes=90-199", "bytes 90-99/100", True),
        (10, 10, "bytes=90-", "bytes 90-99/100", True),
        (9, 9, "bytes=90-199", "bytes 90-98/100", False),
        (10, 10, "bytes=5-14", "bytes 0-9/100", False),
        (100, 100, "bytes=5-14", None, False),
        (0, 0, "bytes=0-9", None, True),
    ],
)
def test_a_body_is_whole_where_length_and_range_are_what_was_asked_for(size, length, asked, given, whole):
    answer = {"ContentLength": length} | ({"ContentRange": given} if given else {})
    if whole:
        check_whole(size, answer, asked)
    else:
        with pytest.raises(ShortBodyError):
            check_whole(size, answer, asked)


def test_attempts_do_not_multiply(through, proxy, monkeypatch):
    """Two seconds of patience are about 7 attempts of one layer; three layers of 4, 2 and 4 made 32."""
    uri = f"{through(proxy)}/x"
    storage.write_bytes(uri, DATA)
    monkeypatch.setattr(S3Store, "patience_s", 2.0)
    proxy.share, proxy.kinds = 1.0, ("internal",)
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        fetch(uri, 0, 100)
    assert 1.9 < time.monotonic() - started < 3.5 and 3 <= proxy.counts["internal"] <= 20


def test_an_address_where_nobody_ever_answers_is_told_within_ten_seconds(through, proxy, monkeypatch):
    through(proxy)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(StorageError, match="Check the network and AWS_ENDPOINT_URL"):
        storage.read_bytes("s3://medray-tests/x")
    assert time.monotonic() - started < 10


def test_a_store_that_stops_to_answer_ends_the_job_and_no_row(through, moto_server, monkeypatch):
    monkeypatch.setattr(S3Store, "patience_s", 1.0)
    with FaultyProxy(moto_server.endpoint) as proxy:
        uri = f"{through(proxy)}/x"
        storage.write_bytes(uri, DATA)
        assert fetch(uri, 0, 10) == DATA[:10]
    with pytest.raises(UnavailableError, match="has not answered for 1 seconds.*goes on where it stopped"):
        fetch(uri, 0, 10)


def test_a_store_that_comes_back_costs_time_and_nothing_else(through, moto_server):
    with FaultyProxy(moto_server.endpoint) as proxy:
        uri = f"{through(proxy)}/x"
        storage.write_bytes(uri, DATA)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(storage.read_bytes, uri)
        time.sleep(2)
        assert not read.done()
        with FaultyProxy(moto_server.endpoint, port=int(proxy.endpoint.rpartition(":")[2])):
            assert read.result(timeout=20) == DATA


def test_one_object_that_never_comes_is_a_row_and_the_others_go_on(through, proxy, monkeypatch):
    folder = through(proxy)
    for name in "ab":
        storage.write_bytes(f"{folder}/{name}", DATA)
    assert fetch(f"{folder}/a", 0, 10) == DATA[:10]
    monkeypatch.setattr(S3Store, "patience_s", 0.5)
    proxy.broken = {"/b"}
    with pytest.raises(SampleError) as caught:
        fetch(f"{folder}/b", 0, 10)
    assert caught.value.reason is Reason.READ_FAILED
    assert fetch(f"{folder}/a", 0, 10) == DATA[:10]


def test_a_missing_object_takes_one_request(through, proxy):
    folder = through(proxy)
    storage.write_bytes(f"{folder}/x", DATA)
    before = proxy.counts.total()
    with pytest.raises(NotFoundError):
        storage.read_bytes(f"{folder}/missing")
    assert proxy.counts.total() == before + 1


def test_a_busy_store_is_asked_less_at_once(through, proxy):
    """The store answers 4 requests at once: 16 threads come down to that, and few requests are refused."""
    folder = through(proxy)
    storage.write_bytes(f"{folder}/x", DATA)
    proxy.share, proxy.kinds, proxy.delay_s, proxy.most_at_once = 1.0, ("delay",), 0.02, 4
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: storage.read_bytes(f"{folder}/x"), range(600)))
    assert found == [DATA] * 600
    assert proxy.counts["slow_down"] < 200
    (limit,) = storage.filesystem(folder)[0]._limits.values()
    assert limit.allowed < 10


@pytest.mark.slow
@pytest.mark.parametrize(("what", "away_s"), [("gateway stopped", 10), ("gateway killed", 60), ("disk stopped", 10)])
def test_a_ceph_that_goes_away_for_a_while_costs_time_and_nothing_else(ceph, ceph_bucket, what, away_s):
    def write_and_read(number):
        uri = f"{ceph_bucket.uri}/{number}"
        storage.write_bytes(uri, bytes([number % 256]) + DATA)
        return storage.read_bytes(uri)

    assert write_and_read(0) == b"\0" + DATA
    with ThreadPoolExecutor(8) as pool:
        back, started = ceph.take_away(what, away_s), time.monotonic()
        found = list(pool.map(write_and_read, range(200)))
    assert time.monotonic() - started > away_s
    back.join()
    assert found == [bytes([number % 256]) + DATA for number in range(200)]
    assert len(list(storage.list_objects(ceph_bucket.uri))) == 200


def _profile(tmp_path, key):
    (tmp_path / "credentials").write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


def _process(tmp_path, key):
    keys = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret", "SessionToken": "token"}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "config").write_text(f"[default]\ncredential_process = /bin/cat {tmp_path / 'keys.json'}\n")


@pytest.fixture(params=[_profile, _process], ids=["profile", "credential_process"])
def write_credentials(request, tmp_path, monkeypatch, moto_server):
    """`write_credentials(key)`: where the AWS chain finds that access key."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return lambda key: request.param(tmp_path, key)


def test_credentials_that_were_renewed_are_taken_up(write_credentials, through, proxy):
    write_credentials("FIRST-KEY")
    uri = f"{through(proxy)}/x"
    storage.write_bytes(uri, DATA)
    write_credentials("SECOND-KEY")
    proxy.expired = {"FIRST-KEY"}
    assert storage.read_bytes(uri) == DATA and proxy.counts["expired"] == 1
    assert storage.read_bytes(uri) == DATA and proxy.counts["expired"] == 1


def test_credentials_that_are_renewed_a_little_late_are_taken_up(write_credentials, through, proxy, monkeypatch):
    monkeypatch.setattr("medray.s3.RENEW_EVERY_S", 0.2)
    write_credentials("FIRST-KEY")
    uri = f"{through(proxy)}/x"
    storage.write_bytes(uri, DATA)
    proxy.expired = {"FIRST-KEY"}
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(storage.read_bytes, uri)
        time.sleep(1)
        write_credentials("SECOND-KEY")
        assert read.result(timeout=20) == DATA


def test_credentials_that_stay_expired_end_the_job_with_a_cure(write_credentials, through, proxy, monkeypatch):
    monkeypatch.setattr(S3Store, "renewal_s", 1.0)
    write_credentials("FIRST-KEY")
    uri = f"{through(proxy)}/x"
    storage.write_bytes(uri, DATA)
    proxy.expired = {"FIRST-KEY"}
    with pytest.raises(CredentialsError, match=r"ExpiredToken.*renew them: the same command goes on") as caught:
        fetch(uri, 0, 10)
    assert "FIRST-KEY" not in str(caught.value) and "/x" not in str(caught.value)


def test_a_forbidden_object_is_a_row_and_the_others_go_on(through, proxy):
    folder = through(proxy)
    for name in "ab":
        storage.write_bytes(f"{folder}/{name}", DATA)
    assert fetch(f"{folder}/a", 0, 10) == DATA[:10]
    proxy.refused = {"/b"}
    with pytest.raises(SampleError) as caught:
        fetch(f"{folder}/b", 0, 10)
    assert caught.value.reason is Reason.ACCESS_DENIED
    assert fetch(f"{folder}/a", 0, 10) == DATA[:10]


def test_a_store_that_refuses_what_it_gave_before_ends_the_job(through, proxy, monkeypatch):
    """Ceph answers AccessDenied, and not ExpiredToken, where a session has run out."""
    monkeypatch.setattr(S3Store, "renewal_s", 0.5)
    folder = through(proxy)
    for name in "ab":
        storage.write_bytes(f"{folder}/{name}", DATA)
    assert fetch(f"{folder}/a", 0, 10) == DATA[:10]
    proxy.refused = {"/"}
    with pytest.raises(CredentialsError, match="AccessDenied"):
        fetch(f"{folder}/b", 0, 10)
