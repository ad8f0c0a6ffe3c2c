"""What the decoding process is asked: it and the process that asks share these, and little else."""

import struct
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from medray.errors import Reason
from medray.image_settings import DecodeSettings
from medray.samples.clock import Taken
from medray.settings import Recipe

PAGE = 4096  # of each shared memory in front of the images; in the first one it names the frame under way
UNDER_WAY = struct.Struct("<?qq")  # whether one is; row, frame

Place = tuple[int, int]
"""Row of the unit and frame; frame -1 is the object's header."""


@dataclass(frozen=True)
class Answer:
    """Frames on their way back, each as its samples of all recipes, and what was read for them."""

    frames: list[list[dict[str, Any]]]
    taken: Taken


@dataclass(frozen=True)
class Request:
    """A unit, and where to go on in it: place, frames that must not be touched, floats in each memory already.

    There is a memory for each recipe.
    """

    rows: pa.Table
    key: bytes = field(repr=False)
    recipes: tuple[Recipe, ...]
    decode: DecodeSettings
    start: Place
    guilty: dict[Place, Reason]
    floats: list[int]
