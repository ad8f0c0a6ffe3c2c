"""A real Ceph of Debian's packages on loopback: one monitor, one OSD in memory, one S3 gateway.

Nothing is written outside the given folder; keys and ports are made anew each time; authentication (cephx) is on,
because without it the gateway waits for its first monitor connection for ever.
"""

import base64
import pathlib
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import uuid
from types import TracebackType

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin")
CONFIGURATION = """
[global]
fsid = {fsid}
mon_host = 127.0.0.1:{mon_port}
public_network = 127.0.0.0/8
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {folder}/keyring
run_dir = {folder}
admin_socket = {folder}/$name.asok
pid_file = {folder}/$name.pid
log_file = {folder}/$name.log
mon_cluster_log_file = {folder}/cluster.log
crash_dir = {folder}
mon_data = {folder}/mon
osd_data = {folder}/osd
rgw_data = {folder}/rgw
ms_bind_ipv4 = true
ms_bind_ipv6 = false
ms_bind_port_min = {low_port}
ms_bind_port_max = {high_port}
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 1
mon_data_avail_crit = 0
mon_osd_full_ratio = 0.99
rgw_frontends = beast endpoint=127.0.0.1:{rgw_port}
"""
KEYRING = """
[mon.]
    key = {}
    caps mon = "allow *"
[client.admin]
    key = {}
    caps mon = "allow *"
    caps osd = "allow *"
    caps mgr = "allow *"
[osd.0]
    key = {}
    caps mon = "allow profile osd"
    caps osd = "allow *"
[client.rgw]
    key = {}
    caps mon = "allow rw"
    caps osd = "allow rwx"
"""


def missing_programs() -> list[str]:
    """The programs of Ceph that this machine has not."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def _generated_key() -> str:
    """A cephx secret: type 1 (AES), creation time, 16 random bytes, in base64."""
    return base64.b64encode(struct.pack("<hiih", 1, int(time.time()), 0, 16) + secrets.token_bytes(16)).decode()


def _free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that are free on loopback."""
    for _ in range(100):
        first = 20_000 + secrets.randbelow(10_000)
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + offset))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports on loopback")


class Ceph:
    """`with Ceph(folder) as ceph:` starts the three daemons and makes one S3 user; the end stops them.

    Attributes:
        environment: the AWS_* variables that lead to it.
        processes: `mon`, `osd` and `rgw`, for tests that stop or kill one.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        first = _free_ports(12)
        self._ports = {"mon_port": first, "rgw_port": first + 1, "low_port": first + 2, "high_port": first + 11}
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{first + 1}",
            "AWS_ACCESS_KEY_ID": f"ceph-{secrets.token_hex(8)}",
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def __enter__(self) -> "Ceph":
        try:
            self._write_configuration()
            self._start_monitor()
            self._start_osd()
            self._start_gateway()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """TERM to the daemons, gateway first; KILL after ten seconds."""
        for name in ("rgw", "osd", "mon"):
            if name in self.processes:
                _end(self.processes.pop(name))

    def take_away(self, what: str, away_s: float) -> threading.Thread:
        """`gateway stopped`, `gateway killed` or `disk stopped` for a time; the thread ends when it is back.

        After a stopped disk the gateway is started anew: it never answers the requests that were under way, whoever
        asked (boto3 alone, 12 threads: no answer within 180 s of the disk's return).
        """
        daemon = self.processes["osd" if what.startswith("disk") else "rgw"]
        daemon.send_signal(signal.SIGKILL if what.endswith("killed") else signal.SIGSTOP)

        def bring_back() -> None:
            time.sleep(away_s)
            if what.endswith("killed"):
                daemon.wait()
                self.restart_gateway()
            else:
                daemon.send_signal(signal.SIGCONT)
            if what.startswith("disk"):
                self.processes["rgw"].kill()
                self.processes["rgw"].wait()
                self.restart_gateway()

        thread = threading.Thread(target=bring_back)
        thread.start()
        return thread

    def restart_gateway(self) -> None:
        """Start the gateway that a test has killed; returns when it listens."""
        self._start("rgw", "radosgw", "-n", "client.rgw")
        _wait_for_port(self._ports["rgw_port"], seconds=90)

    def _write_configuration(self) -> None:
        for part in ("mon", "osd", "rgw"):
            (self.folder / part).mkdir(parents=True)
        self._fsid = str(uuid.uuid4())
        text = CONFIGURATION.format(fsid=self._fsid, folder=self.folder, **self._ports)
        (self.folder / "ceph.conf").write_text(text)
        keyring = self.folder / "keyring"
        keyring.touch(mode=0o600)
        keyring.write_text(KEYRING.format(*(_generated_key() for _ in range(4))))

    def _start_monitor(self) -> None:
        monitors = str(self.folder / "monmap")
        address = f"127.0.0.1:{self._ports['mon_port']}"
        self._run("monmaptool", "--create", "--fsid", self._fsid, "--add", "a", address, monitors)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", str(self.folder / "keyring"))
        self._start("mon", "ceph-mon", "-i", "a")

    def _start_osd(self) -> None:
        osd = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", "30", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        self._start("osd", "ceph-osd", "-i", "0")

    def _start_gateway(self) -> None:
        self.restart_gateway()
        key, secret = self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"]
        user = ("user", "create", "--uid=medray", "--display-name=medray", f"--access-key={key}", f"--secret={secret}")
        self._run("radosgw-admin", "-n", "client.rgw", *user)

    def _run(self, program: str, *arguments: str) -> None:
        command = [program, "-c", str(self.folder / "ceph.conf"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{program} {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")

    def _start(self, name: str, program: str, *arguments: str) -> None:
        """Start a daemon in the foreground, so that the process is ours to end."""
        command = [program, "-c", str(self.folder / "ceph.conf"), *arguments, "-f"]
        with open(self.folder / f"{name}.out", "wb") as out:
            self.processes[name] = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """TERM, and KILL after ten seconds; also where a test stopped or killed it."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _wait_for_port(port: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"nothing listens on loopback after {seconds:.0f} s")
