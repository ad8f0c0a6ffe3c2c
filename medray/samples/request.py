"""What the decoding process is asked: it and the process that asks share these, and little else."""

import struct
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from medray.errors import Reason
from medray.image_settings import DecodeSettings
from medray.samples.stages import Taken
from medray.settings import Recipe

PAGE = 4096  # of the shared memory in front of the images: the frame under way
UNDER_WAY = struct.Struct("<?qq")  # whether one is; row, frame

Place = tuple[int, int]
"""Row of the unit and frame; frame -1 is the object's header."""


@dataclass(frozen=True)
class Answer:
    """Samples on their way back, and what was read for them."""

    samples: list[dict[str, Any]]
    taken: Taken


@dataclass(frozen=True)
class Request:
    """A unit, and where to go on in it: place, frames that must not be touched, floats in the memory already."""

    rows: pa.Table
    key: bytes = field(repr=False)
    recipe: Recipe
    decode: DecodeSettings
    start: Place
    guilty: dict[Place, Reason]
    floats: int
