"""Stored values of every golden file against the hashes that independent decoders agree on.

    MEDRAY_DATA=folder python benchmarks/golden.py

A difference counts as documented only where its explanation is found to be true in this run. The lossless families of
NEMA WG04 are compared with their uncompressed originals too.
"""

import hashlib
import sys
import warnings
from pathlib import Path

import imagecodecs
import numpy as np

from benchmarks.results_writer import write_result
from benchmarks.road import data_folder
from medray.archive.instance import Instance
from medray.archive.reading import read_instance
from medray.errors import SampleError
from medray.pixels.decode import decode_frame
from tests.pixels.test_golden import golden_rows, locate

LOSSLESS = ("J2KR", "JLSL", "JPLL", "RLE")
CLIPPED = "the 12-bit JPEG overshoots Bits Stored; medray clips, the golden values are the codec's own"
NO_ROWS = "the file has no Rows and Columns, so it holds no image; medray refuses it"


def sha256(stored: np.ndarray) -> str:
    """Of the values, little endian."""
    return hashlib.sha256(np.ascontiguousarray(stored).tobytes()).hexdigest()


def stored_values(instance: Instance) -> tuple[np.ndarray, set[str]]:
    """All frames before colour conversion, (frames, rows, columns[, samples]), and their flags."""
    frames = [decode_frame(instance, frame, colour=False) for frame in range(instance.pixels.frames)]
    return np.stack([frame.stored for frame in frames]), {flag for frame in frames for flag in frame.flags}


def compare(path: Path, row: dict[str, str]) -> tuple[str, str]:
    """(`equal`, ""), (`documented`, why) or (`different`, what was found)."""
    try:
        instance = read_instance(path.read_bytes(), "dicom")
        stored, flags = stored_values(instance)
    except SampleError as error:
        without_rows = "0x0" in row["shape"] and error.reason.value in ("corrupt_header", "pixels_missing")
        return ("documented", NO_ROWS) if without_rows else ("different", error.reason.value)
    if (sha256(stored), str(stored.dtype)) == (row["sha256_of_stored_values"], row["dtype"]):
        return "equal", ""
    if "overshoot_clipped" in flags and _differs_by_clipping(instance, stored, row):
        return "documented", CLIPPED
    return "different", ", ".join(sorted(flags)) or "values differ"


def _differs_by_clipping(instance: Instance, stored: np.ndarray, row: dict[str, str]) -> bool:
    """The codec's own values have the golden hash, and cut at the top of Bits Stored they are medray's."""
    codec = np.stack([imagecodecs.jpeg8_decode(bytes(frame)) for frame in instance.encoded_frames if frame])
    clipped = np.minimum(codec, (1 << instance.pixels.bits_stored) - 1)
    return sha256(codec) == row["sha256_of_stored_values"] and np.array_equal(clipped, stored)


def lossless_families(data: Path) -> dict[str, str]:
    """For each lossless family of WG04 how many of its images equal the uncompressed ones."""
    found = {}
    for family in LOSSLESS:
        files = sorted((data / "wg04" / family).glob("*"))
        equal = [_equals_original(file, data / "wg04" / "REF" / f"{file.name.split('_')[0]}_UNC") for file in files]
        found[family] = f"{sum(equal)} of {len(files)}"
    return found


def _equals_original(file: Path, original: Path) -> bool:
    ours, truth = (stored_values(read_instance(path.read_bytes(), "dicom"))[0] for path in (file, original))
    return np.array_equal(ours, truth)


def decoded(files: list[Path]) -> str:
    """How many of the files the first decoder reads."""
    count = 0
    for file in files:
        _, flags = stored_values(read_instance(file.read_bytes(), "dicom"))
        count += "second_decoder" not in flags
    return f"{count} of {len(files)}"


def main() -> None:
    """Compare, say and keep."""
    warnings.simplefilter("ignore")
    data = data_folder()
    rows = golden_rows(data)
    located = [(row, path) for row in rows if (path := locate(data, row["path"])) is not None]
    verdicts = {row["path"]: compare(path, row) for row, path in located}
    for name, (verdict, why) in verdicts.items():
        if verdict != "equal":
            print(f"{name}: {verdict}: {why}", file=sys.stderr)
    found = [verdict for verdict, _ in verdicts.values()]
    figures = {
        "files": len(rows),
        "not_on_disk": [row["path"] for row in rows if row["path"] not in verdicts],
        "equal": found.count("equal"),
        "documented_differences": [f"{name}: {why}" for name, (kind, why) in verdicts.items() if kind == "documented"],
        "undocumented_differences": [f"{name}: {why}" for name, (kind, why) in verdicts.items() if kind == "different"],
        "wg04_lossless_equal_to_ref": lossless_families(data),
        "wg04_12_bit_jpeg_decoded": decoded(sorted((data / "wg04" / "JPLY").glob("*"))),
    }
    write_result("golden", figures)


if __name__ == "__main__":
    main()
