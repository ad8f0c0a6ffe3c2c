"""Keyed hashes as numbers: 16 bytes an id instead of a string each."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, UInt8, UInt64

ID_DIGITS = 32  # of `identity.keyed_hash`
NO_DIGIT = 255
DIGITS = np.full(256, NO_DIGIT, np.uint8)
DIGITS[list(b"0123456789abcdef")] = np.arange(16)

Ids = UInt64[np.ndarray, "_ 2"]


def packed_ids(ids: pa.StringArray) -> tuple[Ids, Bool[np.ndarray, " rows"]]:
    """Ids of 32 hexadecimal digits as two numbers each, and which rows hold such an id; the others are 0."""
    known = np.array(pc.fill_null(pc.equal(pc.binary_length(ids), ID_DIGITS), False))
    held = ids.filter(pa.array(known)).cast(pa.binary()).cast(pa.binary(ID_DIGITS))
    letters = np.frombuffer(held.buffers()[1], np.uint8) if len(held) else np.zeros(0, np.uint8)
    digits: UInt8[np.ndarray, "held 32"] = DIGITS[letters[: len(held) * ID_DIGITS]].reshape(-1, ID_DIGITS)
    good = (digits != NO_DIGIT).all(axis=1)
    octets = np.ascontiguousarray(digits[:, ::2] << 4 | digits[:, 1::2] & 15)
    packed = np.zeros((len(ids), 2), np.uint64)
    packed[known] = np.where(good[:, None], octets.view(">u8").astype(np.uint64), 0)
    known[known] = good
    return packed, known
