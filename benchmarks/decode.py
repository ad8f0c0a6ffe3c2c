"""Bytes of a DICOM file in memory to stored values: against the codec alone, and against pydicom's fastest plugin.

    MEDRAY_DATA=folder python benchmarks/decode.py

`ratio_to_codec` is the codec's CPU time on the frame's bytes over medray's on the file's: 1 means that all the rest is
free; None for native files, which have no codec. `speedup_over_pydicom` is taken over the fastest of pydicom's plugins
that medray's licence allows, None where all of them refuse the file. Model input is 512 x 512, z-scored, antialiased.

CPU time, the least of each. Two take turns, medray and the codec, then medray and pydicom with all its plugins; each
twice in a row. All of them run with the allocator of medray's decoding processes. Thread scaling is wall time.
"""

import io
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut

from benchmarks.encoded import IMAGES, SYNTAXES, bare_codec, dicom_file, syntaxes_of
from benchmarks.results_writer import write_result
from benchmarks.road import data_folder
from medray.allocator import keep_freed_memory
from medray.archive.reading import read_instance
from medray.pixels.decode import decode_frame
from medray.pixels.prepare import prepare_image
from medray.pixels.values import frame_values
from medray.settings import Recipe

SECONDS = 2.5
"""CPU time that one row may take, about."""
GOALS = {".80": 0.95, ".90": 0.95, ".91": 0.95, ".51": 0.85, ".70": 0.85, ".201": 0.85, "RLE": 0.6, "deflated": 0.6}
RECIPE = Recipe(size=512, fit="stretch", ct_window=None, invert_monochrome1=False)
THREADED = (".70", ".80", ".90", ".201")
FRAMES, ROUNDS = 8, 9


def least_ms(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Least CPU milliseconds of each call; the calls take from 2 to 60 turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    begun = time.process_time()
    turns = 0
    while turns < 2 or (turns < 60 and time.process_time() - begun < SECONDS):
        for name, call in calls.items():
            for _ in range(2):
                start = time.process_time()
                call()
                times[name].append(1000 * (time.process_time() - start))
        turns += 1
    return {name: min(found) for name, found in times.items()}


def decode_by_medray(data: bytes) -> np.ndarray:
    """The stored values of the first frame."""
    return decode_frame(read_instance(data, "dicom"), 0).stored


def decode_by_pydicom(data: bytes, plugin: str) -> np.ndarray:
    """The same by one of pydicom's plugins; none is named for native files."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.pixel_array_options(decoding_plugin=plugin)
    array: np.ndarray = dataset.pixel_array
    return array


def readable_plugins(data: bytes, syntax: str) -> list[str]:
    """pydicom's plugins that read the file."""
    plugins = get_decoder(SYNTAXES[syntax]).available_plugins if syntax not in ("native", "deflated") else ("",)
    readable = []
    for plugin in plugins:
        try:
            decode_by_pydicom(data, plugin)
        except Exception:  # what a plugin raises on a file it cannot read is its own affair
            continue
        readable.append(plugin)
    return readable


def decode_row(data: bytes, image: str, syntax: str) -> dict[str, Any]:
    """One image in one transfer syntax."""
    instance = read_instance(data, "dicom")
    stored = decode_frame(instance, 0).stored
    frame = (
        instance.encoded_frames[0]
        if syntax != "deflated"
        else imagecodecs.deflate_encode(stored.tobytes(), 6, raw=True)
    )
    ours = partial(decode_by_medray, data)
    times = least_ms({"medray": ours, "codec": lambda: bare_codec(frame, syntax, stored)})
    peers: dict[str, Callable[[], Any]] = {
        f"pydicom {plugin}".strip(): partial(decode_by_pydicom, data, plugin)
        for plugin in readable_plugins(data, syntax)
    }
    beside = least_ms({"medray": ours, **peers})
    best = min(peers, key=lambda name: beside[name]) if peers else None
    ratio = times["codec"] / times["medray"]
    row = {
        "image": image,
        "transfer_syntax": syntax,
        "ratio_to_codec": round(ratio, 3) if syntax != "native" else None,
        "goal": _goal(syntax, stored),
        "speedup_over_pydicom": round(beside[best] / beside["medray"], 2) if best else None,
        "pydicom_plugin": best,
        "medray_ms": round(times["medray"], 3),
        "codec_ms": round(times["codec"], 3),
        "decoded_gb_per_s": round(stored.nbytes / 1e6 / times["medray"], 3),
        "flags": list(decode_frame(instance, 0).flags),
    }
    print(f"{image} {syntax}: {ratio:.3f} of the codec, {row['speedup_over_pydicom']} x {best}", flush=True)
    return row


def _goal(syntax: str, stored: np.ndarray) -> float | None:
    large = stored.nbytes >= 2e6 or syntax not in (".70", ".51", ".201")
    return GOALS.get(syntax) if large else 0.7


def input_by_medray(data: bytes) -> np.ndarray:
    """Model input of the first frame, (512, 512)."""
    instance = read_instance(data, "dicom")
    planes: np.ndarray = prepare_image(frame_values(instance, 0), instance.pixels, RECIPE)
    plane: np.ndarray = planes[0]
    return plane


def input_by_pydicom(data: bytes, plugin: str) -> np.ndarray:
    """The usual road to the same: pixel_array, modality LUT, z-score, Pillow's antialiased resize."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.pixel_array_options(decoding_plugin=plugin)
    values: np.ndarray = apply_modality_lut(dataset.pixel_array, dataset).astype(np.float32)
    values = (values - values.mean()) / values.std()
    return np.asarray(Image.fromarray(values).resize((512, 512), Image.Resampling.BILINEAR))


def input_row(data: bytes, image: str) -> dict[str, Any]:
    """Model input of one image in JPEG lossless; the two roads must agree."""
    plugins = readable_plugins(data, ".70")
    ours, theirs = input_by_medray(data), input_by_pydicom(data, plugins[0])
    calls: dict[str, Callable[[], Any]] = {"medray": lambda: input_by_medray(data)}
    for plugin in plugins:
        calls[plugin] = partial(input_by_pydicom, data, plugin)
    times = least_ms(calls)
    medray_ms = times.pop("medray")
    return {
        "image": image,
        "medray_ms": round(medray_ms, 2),
        "speedup_over_pydicom": round(min(times.values()) / medray_ms, 2),
        "largest_difference": round(float(np.abs(ours - theirs).max()), 5),
    }


def thread_scaling(data: bytes) -> float:
    """Wall time of eight frames one after the other over that of four on each of two threads; the least of each."""

    def decode_some(count: int) -> None:
        for _ in range(count):
            decode_by_medray(data)

    alone, together = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        decode_some(FRAMES)
        alone.append(time.perf_counter() - start)
        threads = [threading.Thread(target=decode_some, args=(FRAMES // 2,)) for _ in range(2)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        together.append(time.perf_counter() - start)
    return round(min(alone) / min(together), 2)


def lock_free_share(decode: Callable[[], Any]) -> float:
    """CPU time of a thread of busy Python over that of the thread that decodes: about 1 or more where the lock is free.

    Near 0 the lock was held. A busy machine moves this too, but unlike thread scaling not from one answer to the other.
    """
    done = threading.Event()
    busy: list[float] = []

    def spin() -> None:
        start = time.thread_time()
        while not done.is_set():
            pass
        busy.append(time.thread_time() - start)

    thread = threading.Thread(target=spin)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    thread.start()
    start = time.thread_time()
    for _ in range(2 * FRAMES):
        decode()
    spent = time.thread_time() - start
    done.set()
    thread.join()
    sys.setswitchinterval(interval)
    return round(busy[0] / spent, 2)


def main() -> None:
    """Measure, say and keep."""
    keep_freed_memory()
    warnings.simplefilter("ignore")
    wg04 = data_folder() / "wg04"
    rows = [decode_row(dicom_file(wg04, image, name), image, name) for image in IMAGES for name in syntaxes_of(image)]
    inputs = [input_row(dicom_file(wg04, image, ".70"), image) for image in list(IMAGES)[:3]]
    missed = [row for row in rows if row["goal"] and row["ratio_to_codec"] < row["goal"]]
    for row in missed:
        print(f"{row['image']} {row['transfer_syntax']}: {row['ratio_to_codec']}, the goal is {row['goal']}")
    load = os.getloadavg()[0]
    radiographs = {name: dicom_file(wg04, list(IMAGES)[1], name) for name in THREADED}
    scaling = {name: thread_scaling(data) for name, data in radiographs.items()}
    shares = {name: lock_free_share(partial(decode_by_medray, data)) for name, data in radiographs.items()}
    shares["pydicom gdcm .70"] = lock_free_share(partial(decode_by_pydicom, radiographs[".70"], "gdcm"))
    write_result(
        "decode",
        {
            "rows": rows,
            "missed": [f"{row['image']} {row['transfer_syntax']}" for row in missed],
            "model_input": inputs,
            "model_input_speedup_over_pydicom": inputs[1]["speedup_over_pydicom"],
            "thread_scaling": scaling,
            "lock_free_share": shares,
            "load_before_threads": round(load, 1),
        },
    )


if __name__ == "__main__":
    main()
