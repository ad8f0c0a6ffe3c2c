"""Fixtures of every room: real and generated archives, Ray, S3 (moto and Ceph), a key, and a home of their own."""

import logging
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jaxtyping
import pytest

if TYPE_CHECKING:
    from tests.ceph import Ceph

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
STORES = ["disk", "moto_server", pytest.param("ceph_bucket", marks=pytest.mark.slow)]
SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="mr-"))
ENVIRONMENT = {
    "HOME": str(SCRATCH / "home"),
    "MEDRAY_KEY": "tests-only-0123456789abcdef",
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # every port of Ray on loopback
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def _execute_shape_annotations() -> None:
    """Check arguments and results of every function in the modules that annotate shapes, but for compiled kernels."""
    paths = [path for path in (REPOSITORY / "medray").rglob("*.py") if "kernels" not in path.stem]
    shaped = [path.relative_to(REPOSITORY) for path in paths if "from jaxtyping import" in path.read_text()]
    jaxtyping.install_import_hook([".".join(path.with_suffix("").parts) for path in shaped], "beartype.beartype")


(SCRATCH / "home").mkdir()
os.environ.update(ENVIRONMENT)  # before anything imports ray, torch or medray
os.environ.pop("RAY_ADDRESS", None)
_execute_shape_annotations()
logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's access log


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Quick tests first, so that what is simply wrong shows early; with `-n`, files with slow ones, so that none ends
    alone while the other processes have nothing left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path not in slow)
    else:
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(SCRATCH, ignore_errors=True)


@pytest.fixture(scope="session")
def medray_data() -> pathlib.Path:
    """The folder of real images, $MEDRAY_DATA; the test is skipped where it is not set."""
    folder = os.environ.get("MEDRAY_DATA")
    if not folder:
        pytest.skip("MEDRAY_DATA is not set: no real images to test on")
    return pathlib.Path(folder).resolve()


@pytest.fixture(scope="session")
def archives(medray_data: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pathlib.Path]:
    """`archives(name)` lays the real images out as the archive of that name, once a session; its folder."""
    maker = medray_data.parent / "tools" / "make_archives.py"
    if not maker.exists():
        pytest.skip("tools/make_archives.py does not stand beside MEDRAY_DATA")
    root = tmp_path_factory.mktemp("archives")

    def archive(name: str) -> pathlib.Path:
        if not (root / name).exists():
            subprocess.run([sys.executable, str(maker), str(root), name], check=True, stdout=subprocess.DEVNULL)
        return root / name

    return archive


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A small generated archive (48 images of 12 patients, broken and foreign files too) with labels.csv."""
    from benchmarks.phantoms import make_phantom_archive

    folder = tmp_path_factory.mktemp("phantoms") / "archive"
    make_phantom_archive(folder, images=48, patients=12)
    return folder


@pytest.fixture(scope="session")
def medray_key() -> bytes:
    """The key in $MEDRAY_KEY, the same in every session."""
    return ENVIRONMENT["MEDRAY_KEY"].encode()


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of a running S3 server, which $AWS_ENDPOINT_URL names."""

    endpoint: str
    name: str
    secret: str

    @property
    def uri(self) -> str:
        """`s3://bucket`."""
        return f"s3://{self.name}"


def _use_store(environment: dict[str, str], patch: pytest.MonkeyPatch) -> None:
    from medray import storage

    for name, value in environment.items():
        patch.setenv(name, value)
    storage._filesystem.cache_clear()


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Bucket]:
    """An S3 server on loopback for the whole session, its environment variables set, with one bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "moto-access-key",
        "AWS_SECRET_ACCESS_KEY": "moto-secret-key",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        _use_store(environment, patch)
        boto3.Session().client("s3").create_bucket(Bucket="medray-tests")
        yield Bucket(endpoint, "medray-tests", environment["AWS_SECRET_ACCESS_KEY"])
    server.stop()


@pytest.fixture(scope="session")
def ray_local(moto_server: Bucket) -> Iterator[pathlib.Path]:
    """A Ray of two CPUs on loopback for the whole session, which can read `moto_server`; its folder (logs inside)."""
    import ray

    folder = SCRATCH / "ray"
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=400 * 2**20,
        logging_level=logging.WARNING,
        log_to_driver=False,
        _temp_dir=str(folder),
    )
    yield folder
    ray.shutdown()


@pytest.fixture(scope="session")
def ceph() -> Iterator["Ceph"]:
    """A real Ceph (one monitor, one OSD in memory, one S3 gateway) on loopback for the whole session."""
    from tests import ceph as real

    missing = real.missing_programs()
    if missing:
        message = f"no Ceph on this machine: {', '.join(missing)} missing"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    folder = SCRATCH / "ceph"
    with real.Ceph(folder) as cluster:
        yield cluster


@pytest.fixture
def ceph_bucket(ceph: "Ceph", monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of its own on Ceph, whose environment variables are set for this test."""
    import boto3

    from medray import storage

    _use_store(ceph.environment, monkeypatch)
    name = f"medray-{secrets.token_hex(4)}"
    boto3.Session().client("s3").create_bucket(Bucket=name)
    yield Bucket(ceph.environment["AWS_ENDPOINT_URL"], name, ceph.environment["AWS_SECRET_ACCESS_KEY"])
    storage._filesystem.cache_clear()


@pytest.fixture(params=STORES)
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """URI of a fresh folder in each store."""
    if request.param == "disk":
        return str(tmp_path / "store")
    return f"{request.getfixturevalue(request.param).uri}/{tmp_path.name}"


@pytest.fixture(params=STORES[1:])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A bucket of each S3 server."""
    served: Bucket = request.getfixturevalue(request.param)
    return served


@pytest.fixture
def fresh_client() -> Iterator[None]:
    """The storage layer reads the environment again, in this test and after it."""
    from medray import storage

    storage._filesystem.cache_clear()
    yield
    storage._filesystem.cache_clear()
