"""`medray doctor`: what this machine can decode, reach and run."""

import argparse
import os
import platform
import shutil
from collections.abc import Iterator, Sequence

import torch

from medray import __version__, storage
from medray.errors import StorageError
from medray.pixels.codecs import decoder_matrix
from medray.training.bundle import library_versions


def doctor(arguments: Sequence[str]) -> int:
    """Print versions, hardware and decoders, and try to list the given places; 1 where one cannot be reached."""
    parser = argparse.ArgumentParser(prog="medray doctor", description=doctor.__doc__)
    parser.add_argument("--reach", action="append", default=[], metavar="URI", help="a place to try (may be repeated)")
    given = parser.parse_args(arguments)
    for lines in (_machine(), _decoders()):
        print("\n".join(lines), end="\n\n")
    reached = [_reach(uri) for uri in given.reach]
    return 0 if all(reached) else 1


def _machine() -> Iterator[str]:
    import ray

    versions = library_versions(ray=ray.__version__)
    yield (
        "medray "
        + __version__
        + ", "
        + ", ".join(f"{name} {versions[name]}" for name in sorted(versions) if name != "medray")
    )
    shared = shutil.disk_usage("/dev/shm").free / 2**30 if os.path.isdir("/dev/shm") else 0
    gpus = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())) or "none"
    yield f"{platform.machine()}, {os.cpu_count()} CPUs, GPU: {gpus}, {shared:.1f} GiB shared memory for Ray"


def _decoders() -> Iterator[str]:
    rows = decoder_matrix()
    columns = list(rows[0])
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in columns]
    yield "  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip()
    for row in rows:
        yield "  ".join(str(row[name]).ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip()


def _reach(uri: str) -> bool:
    try:
        found = next(storage.list_objects(uri), None)
    except StorageError as error:
        print(f"{uri}: {error}")
        return False
    print(f"{uri}: can be listed" + ("" if found else ", and is empty"))
    return True
