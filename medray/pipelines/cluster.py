"""Ray: joined where there is a cluster, else started for this job on loopback and ended with it."""

import logging
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Read by Ray when it is imported: every port of a cluster of our own on loopback, and no usage report.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")  # medray has one bar of its own
os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Ray's C++ side writes warnings to the terminal as errors; what really ends a job comes as an exception.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray
import ray.data
from ray.exceptions import RayError
from ray.util.annotations import RayDeprecationWarning

from medray.errors import MedrayError, SettingsError
from medray.pipelines.progress import say
from medray.retries import ANSWERED
from medray.settings import RaySettings

PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", ANSWERED)
MIN_OBJECT_STORE = 80 * 2**20
KNOCK_S = 5.0
KEEP_LOGS = "MEDRAY_KEEP_RAY_LOGS"  # set by --debug
STARTS = 3  # Ray gives its own daemon 30 s to start, a busy machine may need more, and then it raises Exception itself


@contextmanager
def cluster(settings: RaySettings, spare_cpus: int = 0) -> Iterator[None]:
    """Join the cluster that the settings or RAY_ADDRESS name, or start one of our own for the block.

    Args:
        settings: where the job runs.
        spare_cpus: logical CPUs that a cluster of our own gets on top, for training workers beside the data's tasks.

    Raises:
        SettingsError: the named cluster cannot be reached.
    """
    if ray.is_initialized():
        _quiet()
        yield
        return
    address = settings.address or os.environ.get("RAY_ADDRESS")
    temporary = None if address else _own_folder()
    os.environ[ANSWERED] = "1"  # the driver has looked at its stores; its workers wait for one that is away
    try:
        _join(address) if address else _start(settings, str(temporary), spare_cpus)
        _quiet()
        yield
    finally:
        ray.shutdown()
        os.environ.pop(ANSWERED, None)
        if temporary and os.environ.get(KEEP_LOGS):
            say(f"medray: Ray's logs are kept in {temporary}/session_latest/logs")
        elif temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _own_folder() -> str:
    """A folder for a cluster of our own, named by this process; those of processes that were killed are removed."""
    for folder in Path(tempfile.gettempdir()).glob("medray-[0-9]*-*"):
        owner = int(folder.name.split("-")[1])
        if folder.stat().st_uid == os.getuid() and not Path(f"/proc/{owner}").exists() and Path("/proc").exists():
            shutil.rmtree(folder, ignore_errors=True)
    kind = "medray-debug-" if os.environ.get(KEEP_LOGS) else "medray-"
    return tempfile.mkdtemp(prefix=f"{kind}{os.getpid()}-", dir=tempfile.gettempdir())


def _join(address: str) -> None:
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] = "1"  # `ray job submit` may have named the same variables already
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    _knock(address)
    try:
        with _c_side_silent():
            ray.init(
                address=address, logging_level=logging.WARNING, log_to_driver=False, runtime_env={"env_vars": passed_on}
            )
    except (ConnectionError, RuntimeError, RayError) as error:
        cure = "Check that it runs, and that RAY_AUTH_TOKEN or ~/.ray/auth_token holds its token."
        raise SettingsError(f"The Ray cluster at {address} does not let this job in.", cure) from error


@contextmanager
def _c_side_silent() -> Iterator[None]:
    """Hide what Ray's C++ side writes to the terminal before it reads its log level: one line for every attempt."""
    if os.environ["RAY_BACKEND_LOG_LEVEL"] != "fatal":
        yield
        return
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _knock(address: str) -> None:
    """See within seconds whether anything listens there; Ray itself tries for minutes.

    Raises:
        SettingsError: nothing listens, or it is no address of a cluster.
    """
    if address in ("auto", "local"):
        return
    if address.startswith("http"):
        cure = "Submit the job there with `ray job submit`, or name the cluster itself, as HOST:6379."
        raise SettingsError(f"{address} is the address of Ray's Jobs API.", cure)
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK_S).close()
    except (OSError, ValueError):
        cure = "Start it with `ray start --head`, or leave --ray.address and RAY_ADDRESS out to use this machine alone."
        raise SettingsError(f"No Ray cluster answers at {address}.", cure) from None


def _start(settings: RaySettings, temporary: str, spare_cpus: int) -> None:
    # Ray gives a cluster of our own token authentication unless RAY_AUTH_MODE says otherwise; no need to warn of it.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    for _ in range(STARTS):
        try:
            _start_once(settings, temporary, spare_cpus)
            return
        except Exception as error:
            ray.shutdown()
            if type(error) is not Exception:
                raise
    raise MedrayError("Ray did not start on this machine.", "Is it very busy, or out of shared memory? Try again.")


def _start_once(settings: RaySettings, temporary: str, spare_cpus: int) -> None:
    with _c_side_silent():
        ray.init(
            address="local",
            num_cpus=(settings.cpus or os.cpu_count() or 1) + spare_cpus,
            include_dashboard=False,
            logging_level=logging.WARNING,
            log_to_driver=False,
            object_store_memory=_object_store_bytes(settings),
            _temp_dir=temporary,
            _metrics_export_port=settings.metrics_port,
        )


def _object_store_bytes(settings: RaySettings) -> int:
    """Room for six units a CPU (below that Ray spills to disk), but never more than 30 % of the shared memory."""
    wanted = 6 * (settings.cpus or os.cpu_count() or 1) * settings.unit_bytes
    shared = shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else 2**31
    return max(MIN_OBJECT_STORE, min(wanted, int(0.3 * shared)))


def _quiet() -> None:
    """Settings of Ray Data that medray relies on, and a quiet log."""
    # Finite retries have no other way in ray 2.60, and ray is pinned below 2.61.
    warnings.filterwarnings("ignore", category=RayDeprecationWarning)
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = None
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.actor_init_retry_on_errors = True
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    logging.getLogger("ray.train").setLevel(logging.WARNING)


def cpus() -> int:
    """Logical CPUs of the cluster."""
    return max(1, _resource("CPU"))


def gpus() -> int:
    """GPUs of the cluster."""
    return _resource("GPU")


def _resource(name: str) -> int:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(found.get(name, 0))
