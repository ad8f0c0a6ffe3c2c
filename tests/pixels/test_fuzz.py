"""Broken frames end in SampleError, whatever breaks them."""

import imagecodecs
import numpy as np
import pytest
import tifffile

from medray.archive.instance import JPEG, PNG, TIFF
from medray.errors import Reason, SampleError
from medray.pixels import decode
from medray.pixels.values import frame_values
from tests.pixels.instances import BASELINE, ENCODERS, EXPLICIT, RLE, described, encoded_instance

ARRAY = np.random.default_rng(0).integers(0, 255, (48, 40)).astype(np.uint8)
MUTATIONS = 100


def encoded(kind: str, path) -> bytes:
    """The array in one of all formats."""
    if kind == RLE:
        segment = imagecodecs.packbits_encode(ARRAY.tobytes())
        return np.array([1, 64] + [0] * 14, "<u4").tobytes() + segment
    if kind == TIFF:
        tifffile.imwrite(path / "a.tif", ARRAY)
        return bytes((path / "a.tif").read_bytes())
    if kind in (JPEG, BASELINE):
        return bytes(imagecodecs.jpeg8_encode(ARRAY))
    return bytes(imagecodecs.png_encode(ARRAY) if kind == PNG else ENCODERS[kind](ARRAY))


def mutated(frame: bytes, draw: np.random.Generator) -> bytes:
    """Bytes flipped (mostly in the header), cut or doubled."""
    data = bytearray(frame)
    reach = len(data) if draw.random() < 0.5 else min(len(data), 120)
    for position in draw.integers(0, reach, draw.integers(1, 8)):
        data[position] = draw.integers(0, 256)
    if draw.random() < 0.3:
        data = data[: draw.integers(0, len(data))]
    return bytes(data)


def refuse_second(*_: object) -> tuple[np.ndarray, str]:
    """No second opinion: it has a process of its own, which would be asked for nearly every frame here."""
    raise SampleError(Reason.DECODE_FAILED, "not asked")


@pytest.mark.parametrize("kind", [RLE, BASELINE, PNG, JPEG, TIFF, *(name for name in ENCODERS if name != EXPLICIT)])
def test_mutated_frames_raise_nothing_but_sample_errors(kind: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decode, "decode_second", refuse_second)
    frame, draw, read = encoded(kind, tmp_path), np.random.default_rng(7), 0
    for number in range(MUTATIONS):
        data = frame if number == 0 else mutated(frame, draw)
        try:
            read += frame_values(encoded_instance(data, ARRAY.shape, kind, **described(ARRAY)), 0).values.size > 0
        except SampleError as error:
            assert str(tmp_path) not in str(error)
    assert read >= 1
