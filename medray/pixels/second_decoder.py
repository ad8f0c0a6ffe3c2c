"""Another opinion on a frame: pydicom and its plugins, in a process that may die.

They are asked about frames that the first decoder refuses, and some of them abort on broken frames; and about frames
that are decoded twice to be sure. The process starts at the first such frame, serves the following ones, and ends with
this one.
"""

import atexit
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import warnings
from typing import IO, Any, cast

import numpy as np

from medray.archive.instance import PixelModule
from medray.errors import Reason, SampleError
from medray.pixels.codecs import Codec, find_codec
from medray.pixels.codestream import Buffer

TIME_LIMIT_S = 20.0

_children: dict[int, "subprocess.Popen[bytes]"] = {}
"""The decoding process of each process, by its id: a forked process must not talk to its parent's."""

_lock = threading.Lock()


def decode_second(frame: Buffer, pixels: PixelModule, codec: Codec) -> tuple[np.ndarray, str]:
    """The frame's samples without colour conversion, and the plugin that read them.

    Raises:
        SampleError: `decode_failed` where no plugin reads the frame, `decoder_crashed` where one dies of it,
            `decoder_timeout` where one takes too long.
    """
    if not codec.second:
        raise SampleError(Reason.DECODE_FAILED, f"{codec.first} cannot read the frame")
    request: dict[str, Any] = {"uid": pixels.transfer_syntax_uid, "plugins": codec.second, "seconds": TIME_LIMIT_S}
    request["options"] = _options(pixels)
    with _lock:
        process = _running()
        try:
            _send(process.stdin, json.dumps(request).encode(), frame)
            answer, payload = _receive(process.stdout)
        except (OSError, EOFError):
            raise _died(process, codec) from None
    reply = json.loads(answer)
    if reply["plugin"] is None:
        raise SampleError(Reason.DECODE_FAILED, f"{codec.first} and {', '.join(codec.second)} cannot read the frame")
    return np.frombuffer(payload, reply["dtype"]).reshape(reply["shape"]), f"pydicom.{reply['plugin']}"


def _died(process: "subprocess.Popen[bytes]", codec: Codec) -> SampleError:
    """Why there is no answer."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1.0)  # its pipe is closed: it is dying
    timed_out = process.poll() == -signal.SIGALRM
    end_second_decoder()
    done = f"took more than {TIME_LIMIT_S:g} s" if timed_out else "died of it"
    detail = f"{codec.first} refused the frame, one of {', '.join(codec.second)} {done}"
    return SampleError(Reason.DECODER_TIMEOUT if timed_out else Reason.DECODER_CRASHED, detail)


def _options(pixels: PixelModule) -> dict[str, int | str]:
    options: dict[str, int | str] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples_per_pixel": pixels.samples_per_pixel,
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": pixels.pixel_representation,
        "photometric_interpretation": pixels.photometric_interpretation,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    if pixels.samples_per_pixel > 1:
        is_native = find_codec(pixels.transfer_syntax_uid).kind == "native"
        options["planar_configuration"] = pixels.planar_configuration if is_native else 0
    if pixels.float_bits is not None:
        options["pixel_keyword"] = "FloatPixelData" if pixels.float_bits == 32 else "DoubleFloatPixelData"
    return options


def _running() -> "subprocess.Popen[bytes]":
    process = _children.get(os.getpid())
    if process is None or process.poll() is not None:
        end_second_decoder()
        process = _children[os.getpid()] = subprocess.Popen(
            [sys.executable, "-m", "medray.pixels.second_decoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # codecs print what they please there
            env=own_environment(),
        )
    return process


def own_environment() -> dict[str, str]:
    """Variables with which another Python finds the same modules."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


@atexit.register
def end_second_decoder() -> None:
    """End this process's decoding process, if it has one; the next broken frame starts another."""
    process = _children.pop(os.getpid(), None)
    if process is None:
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what is left unsent to a dead process
            cast(IO[bytes], pipe).close()


def _send(stream: IO[bytes] | None, header: bytes, payload: Buffer) -> None:
    assert stream is not None
    stream.write(struct.pack(">IQ", len(header), len(payload)) + header)
    stream.write(payload)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> tuple[bytes, bytes]:
    assert stream is not None
    start = stream.read(12)
    if len(start) < 12:
        raise EOFError
    header_length, length = struct.unpack(">IQ", start)
    header, payload = stream.read(header_length), stream.read(length)
    if len(payload) < length:
        raise EOFError
    return header, payload


def _decode(request: dict[str, Any], frame: bytes) -> tuple[np.ndarray, str | None]:
    """Ask the plugins in turn."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(request["uid"])
    source = encapsulate([frame], has_bot=False) if decoder.UID.is_encapsulated else frame
    for plugin in request["plugins"]:
        chosen = {"decoding_plugin": plugin} if decoder.UID.is_encapsulated else {}
        try:
            array, _ = decoder.as_array(source, raw=True, **chosen, **request["options"])
        except Exception:  # a plugin may raise anything, and the next one is asked
            continue
        return np.ascontiguousarray(array), plugin
    return np.empty(0, np.uint8), None


def main() -> None:
    """Serve requests from standard input until it ends."""
    warnings.simplefilter("ignore")
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a codec prints must not mix with the answers
    while True:
        try:
            header, frame = _receive(sys.stdin.buffer)
        except EOFError:
            return
        request = json.loads(header)
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])  # ends an endless loop of C too, and an orphan's
        array, plugin = _decode(request, frame)
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply = {"plugin": plugin, "dtype": array.dtype.str, "shape": array.shape}
        _send(out, json.dumps(reply).encode(), array.tobytes())


if __name__ == "__main__":
    main()
