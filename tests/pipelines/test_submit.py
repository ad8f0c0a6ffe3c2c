"""`ray start --head`, then `ray job submit` as in the README: the token, exit codes, one worker on two CPUs."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from medray import tables
from medray.pipelines.verify import verify
from tests.pipelines import endpoint, road
from tests.pipelines.processes import Driver

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A running head: address for drivers, Jobs API, port of the metrics, and the environment of who may use it."""

    address: str
    jobs: str
    metrics: int
    environment: dict[str, str]

    def submit(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`ray job submit` in the repository."""
        return subprocess.run(
            [RAY, "job", "submit", "--address", self.jobs, *command],
            env=self.environment if environment is None else environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=420,
        )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _environment(home: Path) -> dict[str, str]:
    """As a user's: a home of its own, the token in it, this environment's programs first."""
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text(secrets.token_hex(32))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ray = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    return kept | ray | {"HOME": str(home), "PATH": path}


def _answers(url: str, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.3)
        else:
            return True
    return False


@pytest.fixture(scope="module")
def folder():
    """A short path: the sockets of Ray have long names."""
    short = Path(tempfile.mkdtemp(prefix="mr-"))
    yield short
    shutil.rmtree(short, ignore_errors=True)


@pytest.fixture(scope="module")
def head(folder):
    environment = _environment(folder / "home")
    port, jobs, client, agent, agent_grpc, metrics = _free_ports(6)
    flags = ["--head", "--block", f"--port={port}", f"--dashboard-port={jobs}", f"--temp-dir={folder / 'ray'}"]
    ports = [f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"]
    ports.append(f"--metrics-export-port={metrics}")
    sizes = [f"--dashboard-agent-grpc-port={agent_grpc}", "--num-cpus=2", "--object-store-memory=300000000"]
    with Driver(command=[RAY, "start", *flags, *ports, *sizes], environment=environment) as block:
        block.wait_until(lambda: _answers(f"http://127.0.0.1:{jobs}/api/version", within_s=1), timeout_s=120)
        yield Head(f"127.0.0.1:{port}", f"http://127.0.0.1:{jobs}", metrics, environment)


@pytest.fixture(scope="module")
def trained(head, phantoms, tmp_path_factory):
    """A model trained by a submitted job, one worker on two CPUs; the folder and how it ended."""
    out = tmp_path_factory.mktemp("submitted")
    flags = ["--source", str(phantoms), "--labels.file", str(phantoms / "labels.csv"), "--out", str(out / "run")]
    size = ["--recipe.size", "28", "--optimizer.epochs", "2", "--num_workers", "1"]
    return out, head.submit("--working-dir", ".", "--", "python", "jobs/train.py", *flags, *size)


def test_a_submitted_training_with_one_worker_ends_with_a_bundle(trained):
    out, done = trained
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout and (out / "run" / "bundles" / "seed-0" / "bundle.json").exists()
    assert tables.read_table(str(out / "run"))["epoch"].to_pylist() == [0, 1]


def _score(source: Path, out: Path, name: str) -> list[str]:
    bundle = out / "run" / "bundles" / "seed-0"
    return ["--source", str(source), "--bundle", str(bundle), "--out", str(out / name)]


def test_a_submitted_scoring_is_that_of_the_command_line(head, trained, phantoms):
    out, _ = trained
    source = out / "run" / tables.OWN_INDEX
    done = head.submit("--", "python", str(REPOSITORY / "jobs" / "score.py"), *_score(source, out, "submitted"))
    assert done.returncode == 0, done.stdout + done.stderr
    joined = ["score", *_score(source, out, "joined"), "--ray.address", head.address]
    assert road.apart(*joined, environment=_as_user(head)).code == 0
    alone = road.apart("score", *_score(source, out, "alone"))
    assert alone.code == 0, alone.text
    rows = [tables.read_table(str(out / name)).sort_by("sample_id") for name in ("submitted", "joined", "alone")]
    assert rows[0].equals(rows[1]) and rows[0].equals(rows[2])
    assert verify(str(out / "submitted"))["rows"] == rows[0].num_rows > 48


def test_a_submitted_job_logs_few_lines_and_its_counters_stand_at_the_heads_endpoint_when_it_has_ended(head, trained):
    out, _ = trained
    flags = _score(out / "run" / tables.OWN_INDEX, out, "watched")
    before = {tags["job_id"] for _, tags, _ in endpoint.series(head.metrics)}
    done = head.submit("--", "python", str(REPOSITORY / "jobs" / "score.py"), *flags, "--price_per_hour", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "images/s now" in line]
    manifest = tables.read_manifest(str(out / "watched"))
    assert 1 <= len(lines) <= 1 + manifest["run"]["seconds"] / 15 and "(100%)" in lines[-1]
    assert "per 1,000 images" in done.stdout and "\r" not in done.stdout
    [job] = {tags["job_id"] for _, tags, _ in endpoint.series(head.metrics)} - before
    counted = endpoint.settled(head.metrics, job_id=job, verb="score")
    assert {name: counted["samples_total", name] for name in ("ok", "failed")} == manifest["funnel"]["status"]
    assert counted["read_bytes_total", ""] == manifest["run"]["bytes"] > 0


def _as_user(head: Head) -> dict[str, str]:
    """What makes this process's children use the head's token."""
    token = (Path(head.environment["HOME"]) / ".ray" / "auth_token").read_text()
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def test_a_submitted_job_that_fails_says_so_in_one_line_and_its_exit_code(head, tmp_path):
    flags = ["--archive", str(tmp_path / "no-such-archive"), "--out", str(tmp_path / "index")]
    done = head.submit("--", "python", str(REPOSITORY / "jobs" / "index.py"), *flags)
    assert done.returncode == 1
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "medray index:" in line]
    assert lines and all("no-such-archive does not exist" in line for line in lines)
    assert "Traceback" not in done.stdout + done.stderr


def test_variables_named_by_the_submission_and_by_the_driver_go_together(head, phantoms, tmp_path):
    flags = ["--archive", str(phantoms), "--out", str(tmp_path / "index")]
    runtime = '{"env_vars": {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-central-1"}}'
    script = str(REPOSITORY / "jobs" / "index.py")
    done = head.submit("--runtime-env-json", runtime, "--", "python", script, *flags)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_served_without_the_token(head, tmp_path):
    stranger = head.environment | {"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled"}
    done = head.submit("--", "python", "-c", "print('inside')", environment=stranger)
    assert done.returncode != 0 and "inside" not in done.stdout
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{head.jobs}/api/jobs/", timeout=10)
    assert caught.value.code == 401
    caught.value.close()


def test_a_driver_with_a_wrong_token_is_one_line_within_a_minute(head, phantoms, tmp_path):
    flags = ("index", "--archive", str(phantoms), "--out", str(tmp_path / "index"), "--ray.address", head.address)
    done = road.apart(*flags, environment={"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    assert done.code == 1 and "does not let this job in" in done.err.splitlines()[-1]
    assert len(done.err.splitlines()) == 1, done.err


def test_the_address_of_a_cluster_that_is_not_there_is_one_line_within_seconds(phantoms, tmp_path):
    flags = ("index", "--archive", str(phantoms), "--out", str(tmp_path / "index"), "--ray.address")
    for address, words in (("127.0.0.1:9", "No Ray cluster answers"), ("http://127.0.0.1:9", "Ray's Jobs API")):
        started = time.monotonic()
        done = road.apart(*flags, address)
        assert done.code == 1 and words in done.err and len(done.err.splitlines()) == 1, done.err
        assert time.monotonic() - started < 40  # most of it imports


def test_every_port_of_the_head_is_on_loopback(head):
    port = int(head.address.rpartition(":")[2])
    with socket.socket() as probe:
        probe.settimeout(3)
        assert probe.connect_ex((_own_address(), port)) != 0


def _own_address() -> str:
    """An address of this machine other than loopback (nothing is sent); loopback's twin where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return str(probe.getsockname()[0])


def test_what_is_uploaded_is_far_below_rays_limit():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    sizes = [(REPOSITORY / name).stat().st_size for name in listed.stdout.split("\0") if (REPOSITORY / name).is_file()]
    assert sum(sizes) < 50 * 2**20
